// A panel: one chart with what all charts share. Chart.js draws axes and marks once; a canvas on top draws what moves
// (the lit trial, ranges that filter) and takes pointer and keys.
const near = 26;  // pixels within which a trial is met
const dragFrom = 6;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const mixed = (from, to, share) => {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((one, i) => Math.round(one + (b[i] - one) * share)).join(' ')})`;
};
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') made.className = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
};

// The axis of a dimension, as Chart.js wants it.
function axisOf(dimension, titled = true) {
  const axis = {
    grid: {color: css('--line'), borderColor: css('--line'), drawTicks: false},
    ticks: {color: css('--soft'), padding: 7, maxRotation: 0, includeBounds: false, autoSkipPadding: 14, font: {size: 11.5}},
    title: {display: titled, text: dimension.label, color: css('--soft'), font: {size: 12}},
    type: dimension.log ? 'logarithmic' : 'linear',
  };
  if (dimension.choices) {
    axis.min = -0.5;
    axis.max = dimension.choices.length - 0.5;
    axis.afterBuildTicks = (scale) => { scale.ticks = dimension.choices.map((_, value) => ({value})); };
    axis.ticks.callback = (value) => dimension.choices[value];
    axis.ticks.autoSkip = true;
    axis.grid.drawOnChartArea = false;
  } else if (Number.isFinite(dimension.lowest)) {
    const spread = dimension.log ? (dimension.highest / dimension.lowest) ** 0.035 : (dimension.highest - dimension.lowest) * 0.035 || 0.5;
    axis.min = dimension.log ? dimension.lowest / spread : dimension.lowest - spread;
    axis.max = dimension.log ? dimension.highest * spread : dimension.highest + spread;
    if (dimension.exact) [axis.min, axis.max] = [dimension.lowest, dimension.highest];
    axis.ticks.callback = (value) => (value < axis.min || value > axis.max ? '' : formatNumber(value));
    if (dimension.log) axis.afterBuildTicks = (scale) => { scale.ticks = logTicks(axis.min, axis.max).map((value) => ({value})); };
    else axis.afterBuildTicks = (scale) => { scale.ticks = scale.ticks.filter((tick) => tick.value >= axis.min && tick.value <= axis.max); };
    if (dimension.whole) axis.ticks.precision = 0;
  }
  return axis;
}

function logTicks(low, high) {
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); ++power) {
      for (const step of steps) {
        const value = step * 10 ** power;
        if (value >= low && value <= high) ticks.push(Number(value.toPrecision(1)));
      }
    }
    if (ticks.length <= 6 || steps.length === 1) return ticks.length > 8 ? ticks.filter((_, i) => i % 2 === 0) : ticks;
  }
  return [];
}

class Panel {
  // options: parent, id, title, note, height, x and y (functions that give a dimension, or nothing: not to be filtered by),
  // items(): [{trial, x, y, pixel?}], chart(panel): a Chart.js configuration, hit: 'point' or 'column'
  constructor(shown, reader, options) {
    Object.assign(this, options);
    this.shown = shown;
    this.reader = reader;
    this.drag = null;  // from and to in pixels, along x or y once that is clear
    this.current = null;  // the point that keys have come to
    this.walk = null;
    this.note_ = element('span', {class: 'soft'});
    this.under = element('canvas', {'aria-hidden': 'true'});
    this.over = element('canvas', {class: 'over', tabindex: '0', role: 'application', 'aria-roledescription': 'interactive chart'});
    this.plot = element('div', {class: 'plot', style: `height:${this.height}px`}, this.under, this.over);
    this.key = element('div', {class: 'legend'});
    this.figure = element('figure', {id: `panel-${this.id}`, 'data-panel': this.id},
      element('figcaption', {}, element('h3', {}, this.title), this.note_), this.plot, this.key);
    this.parent.append(this.figure);
    for (const [name, call] of [['pointermove', 'move'], ['pointerdown', 'press'], ['pointerup', 'release'], ['pointercancel', 'release'],
      ['pointerleave', 'leave'], ['keydown', 'type'], ['focus', 'enter'], ['blur', 'leave'], ['dblclick', 'forget']]) {
      this.over.addEventListener(name, (event) => this[call](event));
    }
    shown.listen('light', () => this.overlay());
    shown.listen('filter', () => this.draw());
  }

  // Anew: marks, and what lies over them.
  draw() {
    if (this.tall) this.plot.style.height = `${this.tall()}px`;
    this.points = this.items();
    const made = this.chart(this);
    made.options = {
      animation: false, responsive: true, maintainAspectRatio: false, events: [], normalized: true, layout: {padding: {top: 8, right: 10}},
      ...made.options, plugins: {legend: {display: false}, tooltip: {enabled: false}, ...(made.options.plugins || {})},
    };
    if (this.drawn) this.drawn.destroy();
    this.drawn = null;
    this.drawn = new Chart(this.under, {...made, plugins: [{id: 'fit', afterRender: () => this.fit()}, ...(made.plugins || [])]});
    const drawn = new Set(this.points.map((point) => point.trial));
    const passing = [...drawn].filter((trial) => this.shown.passing.has(trial)).length;
    this.figure.dataset.drawn = drawn.size;
    this.figure.dataset.passing = passing;
    this.note_.textContent = typeof this.note === 'function' ? this.note() : this.note || '';
    this.over.setAttribute('aria-label', `${this.title}, ${plural(passing, 'trial')}. The table of all trials says the same in words.`);
    this.locate();
    this.overlay();
  }
  fit() {
    if (!this.drawn) return;
    this.locate();
    this.overlay();
  }
  // Where each point stands, in pixels.
  locate() {
    const {x, y} = this.drawn.scales;
    const area = this.drawn.chartArea;
    const hold = (value, low, high) => Math.min(Math.max(value, low), high);
    for (const point of this.points) {
      if (point.x === null || point.y === null) {
        point.px = point.x === null ? area.left + 6 : x.getPixelForValue(point.x);
        point.py = failedAt(this, area);
      } else {
        point.px = hold(x.getPixelForValue(point.x), area.left, area.right);
        point.py = hold(y.getPixelForValue(point.y), area.top, area.bottom);
      }
    }
    this.byPlace = this.points.filter((point) => this.shown.passing.has(point.trial)).sort((a, b) => a.px - b.px || b.py - a.py);
  }

  overlay() {
    if (!this.drawn) return;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    this.over.width = Math.round(width * ratio);
    this.over.height = Math.round(height * ratio);
    this.over.style.width = `${width}px`;
    this.over.style.height = `${height}px`;
    const pen = this.over.getContext('2d');
    pen.scale(ratio, ratio);
    this.bands(pen);
    const seen = [];
    for (const [trial, strong] of [[this.shown.kept, false], [this.shown.hover, true]]) {
      const points = trial ? this.points.filter((point) => point.trial === trial) : [];
      if (!points.length) continue;
      this.spot(pen, points, strong || !this.shown.hover);
      if (strong || !this.shown.hover) seen.push(trial.id);
    }
    this.figure.dataset.lit = seen.join(' ');
  }
  // The points of a trial, ringed and joined.
  spot(pen, points, strong) {
    const area = this.drawn.chartArea;
    pen.strokeStyle = strong ? css('--ring') : css('--accent');
    if (this.hit === 'column') {
      pen.lineWidth = 1.5;
      pen.globalAlpha = 0.75;
      for (const point of points) {
        pen.beginPath();
        pen.moveTo(point.px, area.top);
        pen.lineTo(point.px, area.bottom);
        pen.stroke();
      }
      pen.globalAlpha = 1;
    } else if (points.length > 1 && this.joined) {
      pen.lineWidth = 1.6;
      pen.beginPath();
      for (const [i, point] of points.entries()) pen[i ? 'lineTo' : 'moveTo'](point.px, point.py);
      pen.stroke();
    }
    for (const point of points) {
      pen.beginPath();
      if (point.half) pen.rect(point.px - point.half[0] - 1, point.py - point.half[1] - 1, 2 * point.half[0] + 2, 2 * point.half[1] + 2);
      else pen.arc(point.px, point.py, (point.radius || 4) + 3.5, 0, 2 * Math.PI);
      pen.lineWidth = 4.5;
      pen.strokeStyle = css('--card');
      pen.stroke();
      pen.lineWidth = 2.2;
      pen.strokeStyle = strong ? css('--ring') : css('--accent');
      pen.stroke();
    }
  }
  bands(pen) {
    const area = this.drawn.chartArea;
    const band = (from, to, along) => {
      const [low, high] = [Math.min(from, to), Math.max(from, to)];
      pen.fillStyle = css('--blue');
      pen.globalAlpha = 0.1;
      const box = along === 'x' ? [low, area.top, high - low, area.bottom - area.top] : [area.left, low, area.right - area.left, high - low];
      pen.fillRect(...box);
      pen.globalAlpha = 0.8;
      for (const edge of [low, high]) {
        if (along === 'x') pen.fillRect(edge - 0.75, area.top, 1.5, area.bottom - area.top);
        else pen.fillRect(area.left, edge - 0.75, area.right - area.left, 1.5);
      }
      pen.globalAlpha = 1;
    };
    for (const along of ['x', 'y']) {
      if (this.drag && this.drag.along === along) {
        band(this.drag.from[along], this.drag.to[along], along);
        continue;
      }
      const dimension = this[along]?.();
      const range = dimension && this.shown.filters.get(dimension.id);
      if (!range || this.rangeless) continue;
      const scale = this.drawn.scales[along];
      const room = range[0].choices ? 0.42 : 0;
      const edges = along === 'x' ? [area.left, area.right] : [area.top, area.bottom];
      band(...[range[1] - room, range[2] + room].map((value) => Math.min(Math.max(scale.getPixelForValue(value), edges[0]), edges[1])), along);
    }
  }

  find(event) {
    const box = this.over.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = near;
    for (const point of this.byPlace) {
      const away = this.hit === 'column' ? Math.abs(point.px - px) + 0.001 * Math.abs(point.py - py)
        : point.half ? Math.hypot(Math.max(0, Math.abs(point.px - px) - point.half[0]), Math.max(0, Math.abs(point.py - py) - point.half[1]))
        : Math.hypot(point.px - px, point.py - py);
      if (away < least) [best, least] = [point, away];
    }
    return best;
  }
  at(event) {
    const box = this.over.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  }
  move(event) {
    if (this.drag) {
      const to = this.at(event);
      const [dx, dy] = [Math.abs(to.x - this.drag.from.x), Math.abs(to.y - this.drag.from.y)];
      if (!this.drag.along && Math.max(dx, dy) > dragFrom) {
        const along = event.pointerType === 'touch' || dx >= dy ? 'x' : 'y';
        this.drag.along = this[along]?.() ? along : this[along === 'x' ? 'y' : 'x']?.() ? (along === 'x' ? 'y' : 'x') : null;
      }
      this.drag.to = to;
      if (this.drag.along) {
        this.reader.hide();
        this.shown.light(null);
        this.overlay();
      }
      return;
    }
    const point = this.find(event);
    this.shown.light(point ? point.trial : null);
    if (point) this.reader.show(point.trial, event.clientX, event.clientY);
    else this.reader.hide();
  }
  press(event) {
    if (event.button !== 0) return;
    this.drag = {from: this.at(event), to: this.at(event), along: null};
    this.over.setPointerCapture(event.pointerId);
  }
  release(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.along && event.type === 'pointerup') {
      this.select(drag.along, drag.from[drag.along], drag.to[drag.along]);
    } else if (event.type === 'pointerup') {
      const point = this.find(event);
      this.shown.keep(point ? point.trial : null);
    }
    this.overlay();
  }
  select(along, from, to) {
    const dimension = this[along]();
    const scale = this.drawn.scales[along];
    const area = this.drawn.chartArea;
    const edges = along === 'x' ? [area.left, area.right] : [area.top, area.bottom];
    const value = (pixel) => {  // past the edge: everything there, what lies beyond the axis too
      const [first, last] = [scale.getValueForPixel(edges[0]), scale.getValueForPixel(edges[1])];
      if (pixel <= edges[0] + 1) return first < last ? -Infinity : Infinity;
      if (pixel >= edges[1] - 1) return first < last ? Infinity : -Infinity;
      return scale.getValueForPixel(pixel);
    };
    let [low, high] = [value(from), value(to)].sort((a, b) => a - b);
    if (dimension.choices) [low, high] = [Math.ceil(low - 0.2), Math.floor(high + 0.2)];
    this.shown.filter(dimension, low, high);
  }
  forget() {
    for (const along of ['x', 'y']) {
      const dimension = this[along]?.();
      if (dimension && this.shown.filters.has(dimension.id)) this.shown.filter(dimension, null, null);
    }
  }
  leave(event) {
    if (event.type === 'pointerleave' && this.drag) return;
    this.shown.light(null);
    this.reader.hide();
    if (event.type === 'blur') this.walk = this.current = null;
  }
  enter() {
    if (this.over.matches(':focus-visible') && !this.drag) this.go(Math.max(this.placeOf(), 0));
  }

  // By keys: the points from left to right. While a range grows, the walk goes on over what was there before it.
  type(event) {
    const steps = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -1e9, End: 1e9};
    if (event.key in steps) {
      const dimension = event.shiftKey && this.current ? this.x?.() : null;
      if (!dimension) this.walk = null;
      else if (!this.walk) this.walk = {points: this.byPlace, from: dimension.value ? dimension.value(this.current.trial) : this.current.x};
      this.go(this.placeOf() + steps[event.key], dimension);
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.shown.keep(this.shown.hover);
    } else if (event.key === 'Escape' || event.key === 'Delete') {
      this.walk = null;
      if (this.shown.kept && event.key === 'Escape') this.shown.keep(null);
      else this.forget();
    } else {
      return;
    }
    event.preventDefault();
  }
  // Where the walk stands: the point it came to, else one of the lit trial, else before the first.
  placeOf() {
    const points = this.walk ? this.walk.points : this.byPlace;
    const here = this.current ? points.findIndex((one) => one.trial === this.current.trial && one.x === this.current.x && one.y === this.current.y) : -1;
    return here >= 0 ? here : points.findIndex((one) => one.trial === this.shown.lit);
  }
  go(index, dimension = null) {
    const points = this.walk ? this.walk.points : this.byPlace;
    if (!points.length) return;
    const next = Math.min(Math.max(index, 0), points.length - 1);
    this.current = points[next];
    const to = dimension && (dimension.value ? dimension.value(this.current.trial) : this.current.x);
    if (dimension && this.walk.from !== null && to !== null) this.shown.filter(dimension, this.walk.from, to);
    const box = this.over.getBoundingClientRect();
    this.shown.light(this.current.trial);
    this.reader.show(this.current.trial, box.left + this.current.px, box.top + this.current.py);
    this.reader.say(this.current.trial, next + 1, points.length);
  }
}
