// The charts over time. A series never has more points than the server keeps of a range (1,440), whatever the time that
// the page is open.
const ranges = {
  second: {name: '10 min', step: 1000, points: 600},
  minute: {name: 'Day', step: 60_000, points: 1440},
  life: {name: 'Since the start', step: 60_000, points: 1440},
};
const columns = ['rate', 'lag_events', 'lag_seconds', 'kept_share', 'replay_fill', 'forgetting', 'swaps', 'predictions'];

// What is known of a range: columns of numbers beside the times; live and frozen by measure.
class Series {
  constructor() { this.clear(); }
  clear() {
    this.time = [];
    this.columns = Object.fromEntries(columns.map((name) => [name, []]));
    this.live = {};
    this.frozen = {};
  }
  take(history) {
    this.clear();
    this.time = history.time_ms;
    for (const name of columns) this.columns[name] = history[name] ?? [];
    this.live = history.live ?? {};
    this.frozen = history.frozen ?? {};
  }
  add(point, most) {
    if (this.time.length && point.time_ms <= this.time.at(-1)) return;
    const before = this.time.length;
    this.time.push(point.time_ms);
    for (const name of columns) this.columns[name].push(point[name] ?? null);
    for (const kind of ['live', 'frozen']) {
      for (const name of Object.keys(point[kind] ?? {})) this[kind][name] ??= new Array(before).fill(null);
      for (const name of Object.keys(this[kind])) this[kind][name].push(point[kind]?.[name] ?? null);
    }
    if (this.time.length > most) this.each((list) => list.splice(0, list.length - most));
  }
  each(act) {
    act(this.time);
    for (const group of [this.columns, this.live, this.frozen]) for (const list of Object.values(group)) act(list);
  }
  // As Chart.js takes it; where points are missing for long, the line has a gap.
  points(list, step) {
    const out = [];
    for (let i = 0; i < this.time.length; ++i) {
      if (i > 0 && this.time[i] - this.time[i - 1] > 5 * step) out.push({x: this.time[i] - step, y: NaN});
      out.push({x: this.time[i], y: list?.[i] ?? NaN});
    }
    return out;
  }
}

// Round times of the day, about `most` of them.
function timeTicks(low, high, most) {
  const second = 1000, minute = 60 * second, hour = 60 * minute, oneDay = 24 * hour;
  const steps = [second, 2 * second, 5 * second, 10 * second, 30 * second, minute, 2 * minute, 5 * minute, 10 * minute, 30 * minute, hour, 2 * hour, 4 * hour,
    6 * hour, 12 * hour, oneDay, 2 * oneDay, 7 * oneDay, 14 * oneDay, 28 * oneDay];
  const step = steps.find((one) => (high - low) / one <= most) ?? 84 * oneDay;
  const offset = new Date(low).getTimezoneOffset() * minute;
  const ticks = [];
  for (let at = Math.ceil((low - offset) / step) * step + offset; at <= high; at += step) ticks.push({value: at});
  return {ticks, format: step >= oneDay ? day : step >= minute ? (ms) => clock(ms).slice(0, 5) : clock};
}

function timeAxis() {
  let format = clock;
  return {
    type: 'linear', grid: {display: false, borderColor: css('--line')},
    afterBuildTicks: (scale) => {
      const made = timeTicks(scale.min, scale.max, Math.max(2, Math.floor(scale.width / 90)));
      scale.ticks = made.ticks;
      format = made.format;
    },
    ticks: {color: css('--soft'), maxRotation: 0, autoSkip: false, font: {size: 11}, callback: (value) => format(value)},
  };
}
function valueAxis(format, extra = {}) {
  return {
    grid: {color: css('--line'), borderColor: 'transparent', drawTicks: false}, grace: '6%',
    ticks: {color: css('--soft'), maxTicksLimit: 6, padding: 6, font: {size: 11}, callback: format}, ...extra,
  };
}
const line = (label, colour, extra = {}) => ({label, data: [], borderColor: colour, backgroundColor: colour, borderWidth: 1.8, pointRadius: 0, pointHitRadius: 8,
  pointHoverRadius: 4, tension: 0, spanGaps: false, ...extra});

const markColours = {alarm: '--warn', confirmed: '--bad', dismissed: '--base', rollback: '--accent', study: '--violet', asked: '--blue', stopped: '--bad', started: '--good'};
const markNames = {alarm: 'Drift alarm:', confirmed: 'Drift confirmed:', dismissed: 'Drift dismissed:', rollback: 'Rolled back:', study: 'Study', asked: 'Operator:',
  stopped: 'Stopped:', started: 'Started:'};

// Lines where something happened, and a tick below for each moment in which models were swapped.
const marksPlugin = (owner) => ({
  id: 'marks',
  beforeDatasetsDraw(chart) {
    const {ctx, chartArea: area, scales: {x}} = chart;
    if (!area) return;
    ctx.save();
    ctx.strokeStyle = css('--base');
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = 1;
    ctx.beginPath();
    let drawn = -Infinity;
    for (const at of owner.swaps) {
      const place = Math.round(x.getPixelForValue(at)) + 0.5;
      if (place < area.left || place > area.right || place < drawn + 2) continue;
      drawn = place;
      ctx.moveTo(place, area.bottom);
      ctx.lineTo(place, area.bottom - 7);
    }
    ctx.stroke();
    for (const mark of owner.marks) {
      if (mark.time_ms < x.min || mark.time_ms > x.max) continue;
      const place = Math.round(x.getPixelForValue(mark.time_ms)) + 0.5;
      ctx.strokeStyle = ctx.fillStyle = css(markColours[mark.kind] ?? '--base');
      ctx.globalAlpha = 0.55;
      ctx.setLineDash([3, 3]);
      ctx.beginPath();
      ctx.moveTo(place, area.top + 4);
      ctx.lineTo(place, area.bottom);
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      ctx.beginPath();
      ctx.arc(place, area.top + 4, 4, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.restore();
  },
});

class TimeChart {
  // datasets: a function that makes them, so that colours can change; format: of values.
  constructor(canvas, {datasets, axes, format, marks}) {
    this.canvas = canvas;
    this.options = {datasets, axes, format};
    this.plugins = marks ? [marksPlugin(this)] : [];
    this.marks = [];
    this.swaps = [];
    this.draw();
  }
  draw() {
    const data = this.chart?.data.datasets.map((set) => set.data);
    const kept = this.chart?.options.scales.x;
    const [min, max] = [kept?.min, kept?.max];
    this.chart?.destroy();
    const {datasets, axes, format} = this.options;
    const sets = datasets();
    sets.forEach((set, i) => { set.data = data?.[i] ?? []; });
    this.chart = new Chart(this.canvas, {
      type: 'line',
      data: {datasets: sets},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true, events: ['mousemove', 'mouseout', 'click', 'touchstart'],
        interaction: {mode: 'index', axis: 'x', intersect: false},
        scales: {x: {...timeAxis(), min, max}, ...axes()},
        plugins: {
          legend: {display: false},
          tooltip: {
            backgroundColor: css('--card'), titleColor: css('--soft'), bodyColor: css('--ink'), footerColor: css('--ink'), borderColor: css('--line'), borderWidth: 1,
            padding: 10, boxPadding: 4, titleFont: {weight: 'normal'}, footerFont: {weight: 'normal'}, usePointStyle: true,
            callbacks: {title: (items) => (items.length ? moment(items[0].parsed.x) : ''),
              label: (item) => `${item.dataset.label}: ${known(item.parsed.y) ? format(item.parsed.y, item.datasetIndex) : '–'}`,
              footer: (items) => this.marksNear(items[0]?.parsed.x)},
          },
        },
      },
      plugins: this.plugins,
    });
  }
  marksNear(at) {
    const {x} = this.chart.scales;
    return this.marks.filter((mark) => Math.abs(x.getPixelForValue(mark.time_ms) - x.getPixelForValue(at)) < 5)
      .slice(0, 4).map((mark) => `${markNames[mark.kind] ?? mark.kind} ${mark.text}`.slice(0, 90));
  }
  set(lists, from, to, marks, swaps) {
    const {data, options} = this.chart;
    lists.forEach((list, i) => { data.datasets[i].data = list; });
    Object.assign(options.scales.x, {min: from, max: to});
    if (marks) Object.assign(this, {marks, swaps});
    this.chart.update('none');
  }
}
