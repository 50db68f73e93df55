// What the page knows: studies, trials, hyperparameters, and the dimensions along which trials are drawn and filtered.
// Reads the JSON that daemon/tuning/study_report.cc writes; draws nothing.
const shapes = ['circle', 'triangle', 'rect', 'rectRot', 'cross', 'star'];

function formatNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, 'e').replace('e+', 'e');
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(4)));
}

// A score with the digits that tell it from others.
const formatScore = (value) => (value === null || !Number.isFinite(value) ? '–'
  : Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? formatNumber(value)
  : value.toFixed(Math.abs(value) >= 100 ? 2 : Math.abs(value) >= 10 ? 3 : 4));

function formatSeconds(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.0995) return `${formatNumber(Number((seconds * 1000).toPrecision(2)))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ''}`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
}

const plural = (count, word) => `${count.toLocaleString('en-US')} ${word}${count === 1 ? '' : 's'}`;
const metricName = (metric) => ({auc: 'AUC', rmse: 'RMSE', mae: 'MAE', r2: 'R²', f1: 'F1', brier: 'Brier score'}[metric] ||
  metric.replace(/_/g, ' ').replace(/\bf1\b/, 'F1'));

const searchName = (kind) => ({gp: 'Gaussian process', kde: 'density model', sobol: 'Sobol'}[kind] || kind);
const schedulerName = (kind) => ({asha: 'ASHA', pasha: 'PASHA', hyperband: 'Hyperband', median: 'median stopping', plain: 'no early stopping',
  successive_halving: 'successive halving'}[kind] || kind);

function readStudy({name, document: raw}, index) {
  const inner = raw.study;
  const sign = raw.lower_is_better ? -1 : 1;
  const study = {
    index, raw, sign, name: name || raw.model || `study ${index + 1}`, metric: raw.metric, penalty: raw.forgetting_penalty || 0,
    lowerIsBetter: Boolean(raw.lower_is_better), whole: inner.max_resource, rungs: raw.rungs, shape: shapes[index % shapes.length],
    trials: [], finished: [], timed: false,
  };
  study.scoreName = metricName(study.metric) + (study.penalty > 0 ? ` ${sign < 0 ? '+' : '−'} ${study.penalty === 1 ? '' : `${formatNumber(study.penalty)} × `}forgetting` : '');
  study.kind = `${study.metric}|${study.penalty}`;
  const score = (objective) => (typeof objective === 'number' ? sign * objective : null);
  for (const record of inner.trials) {
    const evaluations = record.evaluations.filter((one) => typeof one.objective === 'number')
      .map((one) => ({resource: one.resource, score: score(one.objective)}));
    let best = null;
    for (const one of evaluations) if (!best || sign * one.score >= sign * best.score) best = one;
    study.trials.push({
      study, number: record.trial, state: record.state, failed: record.state === 'failed', given: record.given, note: record.note || '',
      configured: raw.configured_trial === record.trial, resource: record.resource, settings: record.configuration, evaluations,
      score: best ? best.score : null, bestAt: best ? best.resource : 0, cost: record.cost, seconds: null, moments: [],
    });
  }
  readOrder(study, raw, score);
  return study;
}

// Every stretch in the order in which it was done. A study that was kept without it shows its rungs one after another.
function readOrder(study, raw, score) {
  let stretches = (raw.finished || []).filter((one) => study.trials[one.trial]);
  const known = new Map();
  for (const one of stretches) known.set(one.trial, (known.get(one.trial) || 0) + one.to - one.from);
  study.ordered = stretches.length > 0 && study.trials.every((trial) => trial.resource === (known.get(trial.number) || 0));
  study.timed = study.ordered && stretches.every((one) => typeof one.at === 'number');
  if (!study.ordered) {
    stretches = [];
    for (const trial of study.trials) {
      let from = 0;
      const ends = trial.failed && trial.resource > 0 ? [...trial.evaluations, {resource: trial.resource, score: null}] : trial.evaluations;
      for (const one of ends) {
        if (one.resource <= from) continue;
        stretches.push({trial: trial.number, from, to: one.resource, objective: one.score === null ? null : study.sign * one.score});
        from = one.resource;
      }
    }
    stretches.sort((a, b) => a.from - b.from || a.trial - b.trial);
  }
  let units = 0;
  let best = null;
  for (const [order, one] of stretches.entries()) {
    units += one.to - one.from;
    const trial = study.trials[one.trial];
    const moment = {trial, order: order + 1, compute: units / study.whole, at: one.at, score: score(one.objective), resource: one.to};
    if (moment.score !== null && (!best || study.sign * moment.score > study.sign * best.score)) best = moment;
    moment.bestSoFar = best ? best.score : null;
    if (study.timed) trial.seconds = (trial.seconds || 0) + (one.seconds || 0);
    trial.moments.push(moment);
    study.finished.push(moment);
  }
  study.bestMoment = best;
  study.compute = units / study.whole;
  study.elapsed = typeof raw.seconds === 'number' && raw.seconds > 0 ? raw.seconds : null;
}

// The options that any study searches: one dimension each, wide enough for all.
function readParameters(studies) {
  const found = new Map();
  for (const study of studies) {
    for (const space of study.raw.study.space) {
      let one = found.get(space.option);
      if (!one) {
        one = {id: `p:${space.option}`, option: space.option, choices: null, lowest: Infinity, highest: -Infinity, log: true, whole: true};
        found.set(space.option, one);
      }
      if (space.choices) {
        one.choices = one.choices || [];
        for (const choice of space.choices) if (!one.choices.includes(String(choice))) one.choices.push(String(choice));
      } else {
        one.lowest = Math.min(one.lowest, space.lowest);
        one.highest = Math.max(one.highest, space.highest);
        one.log = one.log && space.log && space.lowest > 0;
        one.whole = one.whole && Boolean(space.integer);
      }
    }
  }
  const all = [...found.values()];
  for (const one of all) {
    const parts = one.option.split('.');
    // The last part says enough where it is the only one of its name.
    one.label = all.filter((other) => other.option.split('.').pop() === parts[parts.length - 1]).length > 1
      ? parts.slice(-2).join('.') : parts[parts.length - 1];
    if (one.choices) {  // of a number here and a choice there, the choice wins, and numbers that were tried join it
      for (const study of studies) {
        for (const trial of study.trials) {
          const value = trial.settings[one.option];
          if (value !== undefined && !one.choices.includes(String(value))) one.choices.push(String(value));
        }
      }
      one.log = false;
    }
    one.value = (trial) => {
      const value = trial.settings[one.option];
      if (value === undefined || value === null) return null;
      return one.choices ? one.choices.indexOf(String(value)) : Number(value);
    };
    one.values = (trial) => (one.value(trial) === null ? [] : [one.value(trial)]);
    one.format = (value) => (one.choices ? one.choices[Math.round(value)] ?? '' : formatNumber(one.whole ? Math.round(value) : value));
  }
  return all;
}

function readModel(data) {
  const studies = data.studies.map(readStudy);
  const trials = studies.flatMap((study) => study.trials);
  trials.forEach((trial, id) => { trial.id = id; });
  return {data, studies, trials, parameters: readParameters(studies), timed: studies.length > 0 && studies.every((one) => one.timed)};
}

const quantile = (sorted, share) => {
  if (!sorted.length) return null;
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
};

// From the best to where trials thin out: a diverged one would press all others into a line.
function scoreRange(scores, lowerIsBetter) {
  if (!scores.length) return {low: 0, high: 1, cut: null};
  const sorted = [...scores].sort((a, b) => (lowerIsBetter ? a - b : b - a));
  const best = sorted[0];
  const worst = sorted[sorted.length - 1];
  const spread = Math.abs(quantile(sorted, 0.75) - best);
  const far = spread > 0 && Math.abs(worst - best) > 3 * spread;
  const edge = far ? best + 2 * (quantile(sorted, 0.75) - best) : worst;
  const low = Math.min(best, edge);
  const high = Math.max(best, edge);
  const pad = (high - low) * 0.06 || Math.abs(high) * 0.05 || 0.5;
  return {low: low - pad, high: high + pad, cut: far ? edge : null};
}

function yamlOf(trial) {
  const root = new Map();
  for (const [option, value] of Object.entries(trial.settings)) {
    const parts = option.split('.');
    let level = root;
    for (const part of parts.slice(0, -1)) {
      if (!(level.get(part) instanceof Map)) level.set(part, new Map());
      level = level.get(part);
    }
    level.set(parts[parts.length - 1], String(value));
  }
  const lines = [];
  const write = (level, indent) => {
    for (const [name, value] of level) {
      if (value instanceof Map) {
        lines.push({indent, name, value: null});
        write(value, indent + 2);
      } else {
        lines.push({indent, name, value});
      }
    }
  };
  write(root, 0);
  return lines;
}

// What is shown: which trial is under the pointer or kept, which ranges filter, which studies are on. Charts listen.
class Shown {
  constructor(model) {
    this.model = model;
    this.hover = null;
    this.kept = null;
    this.filters = new Map();  // id of a dimension: [dimension, low, high]
    this.off = new Set();
    this.listeners = {light: [], filter: []};
    const first = model.studies.find((study) => study.trials.length) || model.studies[0];
    for (const study of model.studies) if (first && study.kind !== first.kind) this.off.add(study.index);
    this.passing = new Set();
    this.judge();
  }
  listen(what, call) { this.listeners[what].push(call); }
  tell(what) { for (const call of this.listeners[what]) call(); }
  get lit() { return this.hover ?? this.kept; }
  get studies() { return this.model.studies.filter((study) => !this.off.has(study.index)); }
  get trials() { return this.model.trials.filter((trial) => !this.off.has(trial.study.index)); }
  get several() { return this.model.studies.length > 1; }
  get lead() { return this.studies[0] || this.model.studies[0]; }

  light(trial) {
    if (this.hover === trial) return;
    this.hover = trial;
    this.tell('light');
  }
  keep(trial) {
    this.kept = trial && this.kept !== trial ? trial : null;
    this.tell('light');
  }
  filter(dimension, low, high) {
    if (low === null) this.filters.delete(dimension.id);
    else this.filters.set(dimension.id, [dimension, Math.min(low, high), Math.max(low, high)]);
    this.judge();
    this.tell('filter');
  }
  clear() {
    this.filters.clear();
    this.judge();
    this.tell('filter');
  }
  // Studies that were judged in another way cannot be on together.
  toggle(study) {
    if (this.off.has(study.index)) {
      this.off.delete(study.index);
      for (const other of this.model.studies) if (other.kind !== study.kind) this.off.add(other.index);
    } else if (this.studies.length > 1) {
      this.off.add(study.index);
    }
    if (this.kept && this.off.has(this.kept.study.index)) this.kept = null;
    this.judge();
    this.tell('filter');
  }
  judge() {
    this.passing = new Set(this.trials.filter((trial) => [...this.filters.values()].every(([dimension, low, high]) =>
      dimension.values(trial).some((value) => value >= low && value <= high))));
    const ranked = this.trials.filter((trial) => trial.score !== null).sort((a, b) => a.study.sign * (b.score - a.score));
    this.best = ranked[0] || null;
    this.goodness = new Map(ranked.map((trial, rank) => [trial, ranked.length > 1 ? 1 - rank / (ranked.length - 1) : 1]));
    this.good = new Set(ranked.slice(0, Math.max(1, Math.ceil(ranked.length / 4))));
  }
}
