// The heat map: a row for each slice, a column for each kept round; how much of the best score so far is lost, or the
// score itself. Chart.js has no such chart, so the cells are painted here.
class HeatMap {
  constructor(canvas, words) {
    this.canvas = canvas;
    this.words = words;
    this.slices = [];
    this.rounds = [];
    this.cells = [];
    this.at = null;  // [row, column] pointed at
    canvas.addEventListener('mousemove', (event) => this.point(this.cellAt(event)));
    canvas.addEventListener('mouseleave', () => this.point(null));
    canvas.addEventListener('keydown', (event) => this.walk(event));
    canvas.addEventListener('blur', () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }
  take({slices, rounds}) {
    this.slices = slices;
    this.rounds = rounds.map((row) => row.round);
    const best = slices.map(() => -Infinity);
    this.cells = slices.map(() => []);
    for (const {scores} of rounds) {
      slices.forEach((_, row) => {
        const score = scores[row];
        if (known(score)) best[row] = Math.max(best[row], score);
        this.cells[row].push(known(score) ? {score, lost: best[row] - score} : null);
      });
    }
    this.most = Math.max(0.02, ...this.cells.flat().map((cell) => cell?.lost ?? 0));
    if (this.at && (this.at[0] >= slices.length || this.at[1] >= this.rounds.length)) this.at = null;
    this.draw();
  }
  get row() { return this.slices.length > 16 ? 15 : this.slices.length > 8 ? 20 : 26; }
  draw() {
    const width = Math.floor(this.canvas.parentElement.clientWidth);
    if (!width || !this.slices.length) return;
    const height = this.slices.length * this.row + 22;
    const scale = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      [this.canvas.width, this.canvas.height] = [wide, high];
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext('2d');
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = '12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
    pen.textBaseline = 'middle';
    this.left = Math.min(Math.max(...this.slices.map((name) => pen.measureText(name).width)) + 12, width * 0.32);
    const across = width - this.left;
    this.column = across / Math.max(this.rounds.length, 1);
    pen.fillStyle = css('--soft');
    this.slices.forEach((name, row) => pen.fillText(this.cut(pen, name), 0, (row + 0.5) * this.row));
    const hot = css('--hot'), cold = css('--cold'), none = css('--none');
    const gap = this.column > 5 ? 1 : 0;
    this.cells.forEach((cells, row) => cells.forEach((cell, column) => {
      const x = this.left + column * this.column, y = row * this.row;
      const box = [x, y, Math.max(this.column - gap, 1), this.row - 1.5];
      pen.globalAlpha = 1;
      pen.fillStyle = cell ? cold : none;
      pen.fillRect(...box);
      if (!cell) return;
      pen.globalAlpha = Math.min(1, cell.lost / this.most);
      pen.fillStyle = hot;
      pen.fillRect(...box);
    }));
    pen.globalAlpha = 1;
    pen.fillStyle = css('--soft');
    const labels = Math.max(1, Math.min(this.rounds.length, Math.floor(across / 90)));
    for (let i = 0; i < labels; ++i) {
      const column = labels === 1 ? 0 : Math.round((i * (this.rounds.length - 1)) / (labels - 1));
      pen.textAlign = i === 0 ? 'left' : i === labels - 1 ? 'right' : 'center';
      const x = this.left + (i === 0 ? 0 : i === labels - 1 ? this.rounds.length : column + 0.5) * this.column;
      pen.fillText(i === 0 ? `round ${count(this.rounds[column])}` : count(this.rounds[column]), x, height - 8);
    }
    pen.textAlign = 'left';
    if (this.at) {
      pen.strokeStyle = css('--ink');
      pen.lineWidth = 2;
      pen.strokeRect(this.left + this.at[1] * this.column, this.at[0] * this.row, Math.max(this.column - gap, 2), this.row - 1.5);
    }
  }
  cut(pen, name) {
    if (pen.measureText(name).width <= this.left - 10) return name;
    let shorter = name;
    while (shorter && pen.measureText(`${shorter}…`).width > this.left - 10) shorter = shorter.slice(0, -1);
    return `${shorter}…`;
  }
  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / this.row), column = Math.floor((event.clientX - box.left - this.left) / this.column);
    return this.cells[row]?.[column] !== undefined ? [row, column] : null;
  }
  walk(event) {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (event.key === 'Escape') return this.point(null);
    if (!step || !this.rounds.length) return undefined;
    event.preventDefault();
    const [row, column] = this.at ?? [0, this.rounds.length];
    this.point([Math.min(Math.max(row + step[0], 0), this.slices.length - 1), Math.min(Math.max(column + step[1], 0), this.rounds.length - 1)]);
    return undefined;
  }
  point(at) {
    if (String(at) === String(this.at)) return;
    this.at = at;
    const cell = at && this.cells[at[0]][at[1]];
    setText(this.words, !at ? 'Point at a cell, or walk through them with the arrow keys.'
      : `${this.slices[at[0]]}, round ${count(this.rounds[at[1]])}: ${cell ? `score ${decimal(cell.score)}, ${decimal(cell.lost)} below its best until then` : 'not scored'}`);
    this.draw();
  }
}
