// Parallel coordinates: an axis a hyperparameter and one for the score, a line a trial. On a narrow screen the axes lie
// under one another. Drawn here: Chart.js has no such chart.
const unset = -0.13;  // where a line passes an axis that its trial has no value on

class ParallelPanel extends Panel {
  get axes() {
    const searched = new Set(this.shown.studies.flatMap((study) => study.raw.study.space.map((space) => space.option)));
    return [...this.shown.model.parameters.filter((one) => searched.has(one.option)), scoreDimension(this.shown)];
  }
  draw() {
    this.current_axes = this.axes;
    const count = this.current_axes.length;
    const room = this.box.clientWidth;
    this.flat = room >= 620;
    const width = this.flat ? Math.max(room, count * 92) : room;
    const height = this.flat ? 380 : count * 66 + 30;
    this.plot.style.width = `${width}px`;
    this.plot.style.height = `${height}px`;
    this.area = this.flat ? {left: 52, right: width - 74, top: 54, bottom: height - 62} : {left: 62, right: width - 26, top: 34, bottom: height - 34};
    this.points = this.shown.trials.map((trial) => ({trial, x: trial.score, y: 0, line: this.lineOf(trial)}));
    const order = (point) => this.shown.goodness.get(point.trial) ?? -1;
    this.byPlace = this.points.filter((point) => this.shown.passing.has(point.trial)).sort((a, b) => order(b) - order(a));
    for (const point of this.points) [point.px, point.py] = point.line[count - 1];
    this.drawn = true;
    this.figure.dataset.drawn = this.points.length;
    this.figure.dataset.passing = this.byPlace.length;
    this.note_.textContent = `drag along an axis to filter; the best scores are at the ${this.flat ? 'top' : 'right'}`;
    this.over.setAttribute('aria-label', `${this.title}, ${plural(this.byPlace.length, 'trial')}, ${plural(count, 'axis').replace('axiss', 'axes')}. Up and down walk through trials, left and right through axes.`);
    this.lines();
    this.overlay();
  }
  unit(dimension, value) {
    const unit = dimension.choices ? (dimension.choices.length > 1 ? value / (dimension.choices.length - 1) : 0.5)
      : Math.min(Math.max(unitOf(dimension, value), 0), 1);
    return dimension.lowerIsBetter ? 1 - unit : unit;
  }
  place(axis, unit) {
    const {left, right, top, bottom} = this.area;
    const steps = Math.max(this.current_axes.length - 1, 1);
    return this.flat ? [left + (right - left) * axis / steps, bottom - (bottom - top) * unit] : [left + (right - left) * unit, top + (bottom - top) * axis / steps];
  }
  lineOf(trial) {
    return this.current_axes.map((dimension, axis) => {
      const value = dimension.value(trial);
      // Of a choice, side by side: lines in one point could not be told apart.
      const apart = (trial.id * 0.61803 + axis * 0.37) % 1 - 0.5;
      if (value === null) return this.place(axis, unset + 0.04 * apart);
      return this.place(axis, this.unit(dimension, value) + (dimension.choices ? apart * Math.min(0.36 / dimension.choices.length, 0.1) : 0));
    });
  }
  pen(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext('2d');
    pen.scale(ratio, ratio);
    pen.font = `11.5px ${Chart.defaults.font.family}`;
    return pen;
  }
  trace(pen, line) {
    pen.beginPath();
    pen.moveTo(...line[0]);
    for (let i = 1; i < line.length; ++i) {
      const [[ax, ay], [bx, by]] = [line[i - 1], line[i]];
      // Controls at the thirds: a smooth step, which distance() can follow.
      if (this.flat) pen.bezierCurveTo(ax + (bx - ax) / 3, ay, bx - (bx - ax) / 3, by, bx, by);
      else pen.bezierCurveTo(ax, ay + (by - ay) / 3, bx, by - (by - ay) / 3, bx, by);
    }
    pen.stroke();
  }
  lines() {
    const pen = this.pen(this.under);
    const {shown} = this;
    const rank = (point) => (shown.passing.has(point.trial) ? 1 : 0) + (shown.goodness.get(point.trial) ?? -0.5);
    for (const point of [...this.points].sort((a, b) => rank(a) - rank(b))) {
      const {trial} = point;
      const passes = shown.passing.has(trial);
      const good = shown.goodness.get(trial) ?? 0;
      pen.strokeStyle = !passes ? css('--fade') : trial === shown.best ? css('--accent')
        : shown.several ? css(`--study-${trial.study.index % 6}`) : mixed(css('--low'), css('--high'), good ** 1.5);
      const crowd = Math.min(1, Math.sqrt(150 / this.byPlace.length));  // many lines are each fainter
      pen.globalAlpha = !passes ? 0.4 * crowd : trial === shown.best ? 1 : (0.32 + 0.5 * good) * crowd;
      pen.lineWidth = trial === shown.best && passes ? 3 : 1.4;
      pen.setLineDash(trial.failed ? [4, 4] : []);
      this.trace(pen, point.line);
    }
    pen.globalAlpha = 1;
    pen.setLineDash([]);
    this.current_axes.forEach((dimension, axis) => this.drawAxis(pen, dimension, axis));
  }
  drawAxis(pen, dimension, axis) {
    const [from, to] = [this.place(axis, 0), this.place(axis, 1)];
    pen.strokeStyle = css('--soft');
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    const halo = (text, x, y) => {
      pen.lineWidth = 3.5;
      pen.lineJoin = 'round';
      pen.strokeStyle = css('--card');
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    };
    const ticks = dimension.choices ? dimension.choices.map((_, choice) => choice)
      : dimension.log ? logTicks(dimension.lowest, dimension.highest) : [0, 0.5, 1].map((share) => {
        const value = dimension.lowest + (dimension.highest - dimension.lowest) * share;
        return dimension.whole ? Math.round(value) : value;
      });
    if (dimension.whole && !dimension.choices && dimension.highest - dimension.lowest <= 6) {
      ticks.splice(0, ticks.length, ...Array.from({length: dimension.highest - dimension.lowest + 1}, (_, i) => dimension.lowest + i));
    }
    pen.fillStyle = css('--soft');
    pen.font = `11px ${Chart.defaults.font.family}`;
    pen.textBaseline = 'middle';
    let last = -Infinity;
    for (const tick of ticks.sort((a, b) => this.unit(dimension, a) - this.unit(dimension, b))) {
      const [x, y] = this.place(axis, this.unit(dimension, tick));
      const text = dimension.format(tick);
      pen.textAlign = this.flat ? 'left' : 'center';
      if (this.flat) halo(this.fitted(pen, text, 76), x + 5, y);
      else if (x - pen.measureText(text).width / 2 > last + 4) {
        halo(text, x, y + 11);
        last = x + pen.measureText(text).width / 2;
      }
    }
    if (this.shown.trials.some((trial) => dimension.value(trial) === null)) {
      const [x, y] = this.place(axis, unset);
      pen.textAlign = this.flat ? 'center' : 'left';
      halo(dimension.id === 'score' ? 'failed' : 'not set', this.flat ? x : Math.max(x - 18, 0), this.flat ? y + 12 : y + 11);
    }
    const label = dimension.short || dimension.label;
    pen.fillStyle = css('--ink');
    pen.font = `600 12px ${Chart.defaults.font.family}`;
    if (this.flat) {
      const gap = this.place(1, 0)[0] - this.place(0, 0)[0] || 200;
      pen.textAlign = 'center';
      halo(this.fitted(pen, label, 2 * gap - 14), Math.max(to[0], pen.measureText(label).width / 2 + 2), axis % 2 ? 14 : 32);
    } else {
      pen.textAlign = 'left';
      halo(label, from[0], from[1] - 14);
    }
  }
  fitted(pen, text, width) {
    let cut = text;
    while (cut.length > 3 && pen.measureText(cut).width > width) cut = `${cut.slice(0, -2)}…`;
    return cut;
  }

  overlay() {
    if (!this.drawn) return;
    const pen = this.pen(this.over);
    this.bands(pen);
    const seen = [];
    for (const [trial, colour] of [[this.shown.kept, '--accent'], [this.shown.hover, '--ring']]) {
      const point = trial && this.points.find((one) => one.trial === trial);
      if (!point) continue;
      for (const [width, ink] of [[7, '--card'], [3, this.shown.lit === trial ? '--ring' : colour]]) {
        pen.lineWidth = width;
        pen.strokeStyle = css(ink);
        this.trace(pen, point.line);
      }
      pen.fillStyle = css('--ring');
      for (const [x, y] of point.line) {
        pen.beginPath();
        pen.arc(x, y, 4, 0, 2 * Math.PI);
        pen.fill();
      }
      if (trial === this.shown.lit) seen.push(trial.id);
    }
    this.figure.dataset.lit = seen.join(' ');
  }
  bands(pen) {
    this.current_axes.forEach((dimension, axis) => {
      let ends = null;
      const range = this.shown.filters.get(dimension.id);
      if (this.drag?.along && this.drag.axis === axis) {
        ends = [this.drag.from, this.drag.to].map((at) => (this.flat ? at.y : at.x));
      } else if (range) {
        const room = dimension.choices ? 0.35 / Math.max(dimension.choices.length - 1, 1) : 0;
        const units = [range[1], range[2]].map((value) => this.unit(dimension, Number.isFinite(value) ? value : value < 0 ? dimension.lowest : dimension.highest)).sort((a, b) => a - b);
        ends = [units[0] - room, units[1] + room].map((unit) => this.place(axis, unit)[this.flat ? 1 : 0]);
      }
      const active = this.axis === axis && this.over.matches(':focus-visible');
      if (!ends && !active) return;
      const [x, y] = this.place(axis, 0);
      const [low, high] = ends ? [Math.min(...ends), Math.max(...ends)] : this.flat ? [this.area.top, this.area.bottom] : [this.area.left, this.area.right];
      pen.fillStyle = css('--blue');
      pen.globalAlpha = ends ? 0.22 : 0.1;
      const box = this.flat ? [x - 9, low, 18, high - low] : [low, y - 9, high - low, 18];
      pen.fillRect(...box);
      pen.globalAlpha = 0.9;
      pen.lineWidth = 1.5;
      pen.strokeStyle = css('--blue');
      pen.strokeRect(...box);
      pen.globalAlpha = 1;
    });
  }
  axisAt(event) {
    const at = this.at(event);
    const away = this.current_axes.map((_, axis) => Math.abs(this.place(axis, 0)[this.flat ? 0 : 1] - at[this.flat ? 'x' : 'y']));
    return away.indexOf(Math.min(...away));
  }
  find(event) {
    const {x, y} = this.at(event);
    const [u, v] = this.flat ? [x, y] : [y, x];
    const [main, cross] = this.flat ? [0, 1] : [1, 0];
    let best = null;
    let least = 14;
    for (const point of this.byPlace) {
      const {line} = point;
      for (let i = 1; i < line.length; ++i) {
        const [a, b] = [line[i - 1], line[i]];
        if (u < a[main] - 8 || u > b[main] + 8) continue;
        const t = Math.min(Math.max((u - a[main]) / (b[main] - a[main]), 0), 1);
        const steep = Math.abs(b[cross] - a[cross]) * 6 * t * (1 - t) / (b[main] - a[main]);
        const away = Math.abs(a[cross] + (b[cross] - a[cross]) * (3 * t * t - 2 * t ** 3) - v) / Math.hypot(1, steep);
        if (away < least) [best, least] = [point, away];
      }
    }
    return best;
  }
  press(event) {
    super.press(event);
    if (this.drag) this.drag.axis = this.axisAt(event);
  }
  move(event) {
    if (!this.drag) {
      super.move(event);
      return;
    }
    this.drag.to = this.at(event);
    const {from, to} = this.drag;
    if (Math.abs(this.flat ? to.y - from.y : to.x - from.x) > dragFrom) this.drag.along = this.flat ? 'y' : 'x';
    if (this.drag.along) {
      this.reader.hide();
      this.shown.light(null);
      this.overlay();
    }
  }
  release(event) {
    this.released = this.drag;
    super.release(event);
  }
  select(along, from, to) {
    const {axis} = this.released;
    const dimension = this.current_axes[axis];
    const [start, end] = [this.place(axis, 0), this.place(axis, 1)].map((point) => point[this.flat ? 1 : 0]);
    const value = (pixel) => {
      const unit = (pixel - start) / (end - start);
      const way = dimension.lowerIsBetter ? 1 - unit : unit;
      if (dimension.choices) return way * (dimension.choices.length - 1);
      if (way <= 0.004) return -Infinity;
      return way >= 0.996 ? Infinity : fromUnit(dimension, way);
    };
    let [low, high] = [value(from), value(to)].sort((a, b) => a - b);
    if (dimension.choices) [low, high] = [Math.ceil(low - 0.3), Math.floor(high + 0.3)];
    this.shown.filter(dimension, low, high);
  }
  forget() {
    for (const dimension of this.current_axes) if (this.shown.filters.has(dimension.id)) this.shown.filter(dimension, null, null);
  }
  type(event) {
    const across = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (across) {
      this.axis = Math.min(Math.max((this.axis ?? (across > 0 ? -1 : this.current_axes.length)) + across, 0), this.current_axes.length - 1);
      this.walk = null;
      this.reader.call(`Axis ${this.current_axes[this.axis].label}`);
      this.overlay();
      event.preventDefault();
      return;
    }
    // Down: to worse trials, which are later in the walk.
    const turned = {ArrowDown: 'ArrowRight', ArrowUp: 'ArrowLeft'}[event.key];
    if (!turned) {
      super.type(event);
      return;
    }
    event.preventDefault();
    const dimension = event.shiftKey && this.current ? this.current_axes[this.axis ?? this.current_axes.length - 1] : null;
    if (!dimension) this.walk = null;
    else if (!this.walk) this.walk = {points: this.byPlace, from: dimension.value(this.current.trial)};
    this.go(this.placeOf() + (turned === 'ArrowRight' ? 1 : -1), dimension);
  }
}
