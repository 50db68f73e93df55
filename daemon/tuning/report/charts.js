// The panels of the page: what each draws with Chart.js, and where its trials stand in it.

// Along which a trial has a score, as the user knows the metric.
function scoreDimension(shown) {
  const study = shown.lead;
  const range = scoreRange(shown.trials.filter((trial) => trial.score !== null).map((trial) => trial.score), study.lowerIsBetter);
  return {
    id: 'score', label: `${study.scoreName} (${study.lowerIsBetter ? 'lower' : 'higher'} is better)`, short: study.scoreName,
    lowest: range.low, highest: range.high, exact: true, cut: range.cut, format: formatScore, lowerIsBetter: study.lowerIsBetter,
    values: (trial) => (trial.score === null ? [] : [trial.score]), value: (trial) => trial.score,
  };
}

const clocks = {
  compute: {id: 'compute', name: 'Compute', label: 'compute, in whole trainings', format: formatNumber, from: (moment) => moment.compute},
  order: {id: 'order', name: 'Steps', label: 'stretches of training done, in order', whole: true, format: formatNumber, from: (moment) => moment.order},
  seconds: {id: 'seconds', name: 'Time', label: 'seconds since the study began', format: (value) => formatSeconds(value), from: (moment) => moment.at},
};
for (const clock of Object.values(clocks)) clock.values = (trial) => trial.moments.map(clock.from);

const colourOf = (trial, shown) => (shown.several ? css(`--study-${trial.study.index % 6}`)
  : mixed(css('--low'), css('--high'), trial.study.whole > 1 ? Math.log(Math.max(trial.resource, 1)) / Math.log(trial.study.whole) : 1));

// A scatter of points, those that are filtered away behind the others, the best trial with a ring of its own.
function scatterSets(panel, size = () => 4.5) {
  const {shown} = panel;
  const faded = css('--fade');
  const larger = {triangle: 1.3, rectRot: 1.2, star: 1.2, cross: 1.2};
  for (const point of panel.points) point.radius = size(point) * (larger[point.trial.study.shape] || 1);
  const sets = [];
  for (const passes of [true, false]) {
    for (const study of shown.studies) {
      const points = panel.points.filter((point) => point.trial.study === study && shown.passing.has(point.trial) === passes && point.x !== null && point.y !== null);
      const [low, high] = [panel.y?.().lowest ?? -Infinity, panel.y?.().highest ?? Infinity];
      sets.push({
        type: 'scatter', clip: 8, normalized: false, data: points.map(({x, y}) => ({x, y: Math.min(Math.max(y, low), high)})),
        pointRadius: points.map((point) => point.radius), pointStyle: study.shape,
        pointBackgroundColor: points.map((point) => (passes ? colourOf(point.trial, shown) : faded)),
        pointBorderColor: points.map((point) => (passes && point.trial === shown.best ? css('--accent') : study.shape === 'cross' || study.shape === 'star'
          ? (passes ? colourOf(point.trial, shown) : faded) : css('--card'))),
        pointBorderWidth: points.map((point) => (passes && point.trial === shown.best ? 2.5 : study.shape === 'cross' || study.shape === 'star' ? 2 : 0.75)),
      });
    }
  }
  return sets;
}

// Failed trials stand at the edge where the worst ones do.
const failedAt = (panel, area) => (panel.shown.lead.lowerIsBetter ? area.top + 7 : area.bottom - 7);

// Crosses where a trial failed, arrows where one lies beyond the axis.
const marksOf = (panel) => ({
  id: 'marks',
  afterDatasetsDraw(chart) {
    const pen = chart.ctx;
    const {x, y} = chart.scales;
    const area = chart.chartArea;
    const dimension = panel.y?.();
    for (const point of panel.points) {
      const failed = point.y === null;
      const beyond = !failed && dimension && dimension.exact && (point.y < dimension.lowest || point.y > dimension.highest);
      if (!failed && !beyond) continue;
      const px = point.x === null ? area.left + 6 : x.getPixelForValue(point.x);
      const py = failed ? failedAt(panel, area) : point.y > dimension.highest ? area.top + 1 : area.bottom - 1;
      pen.strokeStyle = css(panel.shown.passing.has(point.trial) ? '--soft' : '--fade');
      pen.lineWidth = 1.6;
      pen.beginPath();
      if (failed) {
        pen.moveTo(px - 4, py - 4); pen.lineTo(px + 4, py + 4); pen.moveTo(px + 4, py - 4); pen.lineTo(px - 4, py + 4);
      } else {
        const up = point.y > dimension.highest ? -1 : 1;
        pen.moveTo(px - 5, py - 4 * up); pen.lineTo(px, py + 2 * up); pen.lineTo(px + 5, py - 4 * up);
      }
      pen.stroke();
    }
  },
});

const wideAxis = {afterFit: (scale) => { scale.width = Math.max(scale.width, 58); }};
const legendOf = (...entries) => entries.map(([kind, colour, text]) => {
  const mark = element('i', {class: kind, style: colour ? `--mark:var(${colour})` : null});
  return element('span', {}, mark, text);
});
const resourceLegend = (shown) => (shown.several ? shown.studies.map((study) => {
  const mark = element('span', {class: `mark m${study.index % 6}`, style: `--mark:var(--study-${study.index % 6})`});
  return element('span', {}, mark, study.name);
}) : legendOf(['ramp', null, `trained from ${plural(1, 'stretch').replace('stretchs', 'stretches')} to ${shown.lead.whole}`]));

function progressPanel(shown, reader, parent, clock) {
  return new Panel(shown, reader, {
    parent, id: 'progress', title: 'Score over the study', height: 360, joined: true,
    note: () => {
      const dimension = scoreDimension(shown);
      const beyond = shown.trials.filter((trial) => trial.score !== null && (trial.score < dimension.lowest || trial.score > dimension.highest)).length;
      const failed = shown.trials.filter((trial) => trial.failed).length;
      return [beyond ? `${beyond} beyond the axis` : '', failed ? `${failed} failed` : ''].filter(Boolean).join(', ');
    },
    x: () => ({...clocks[clock()]}), y: () => scoreDimension(shown),
    items: () => shown.studies.flatMap((study) => study.finished.map((moment) => ({trial: moment.trial, x: clocks[clock()].from(moment), y: moment.score, moment}))),
    chart(panel) {
      panel.key.replaceChildren(...legendOf(...(shown.several ? [] : [['line', '--blue', 'best so far']]), ['ring', '--accent', 'best trial']), ...resourceLegend(shown));
      const last = Math.max(...panel.points.map((point) => point.x), 0);
      const lines = shown.studies.map((study) => {
        const data = study.finished.filter((moment) => moment.bestSoFar !== null).map((moment) => ({x: clocks[clock()].from(moment), y: moment.bestSoFar}));
        if (data.length && !shown.several) data.push({x: last, y: data[data.length - 1].y});
        return {type: 'line', stepped: true, data, pointRadius: 0, borderWidth: 2.4, borderColor: shown.several ? css(`--study-${study.index % 6}`) : css('--blue'),
          borderDash: [[], [9, 4], [3, 3], [12, 4, 3, 4], [6, 2], [2, 5]][study.index % 6]};
      });
      const x = axisOf({...clocks[clock()], lowest: 0, highest: last * 1.015 || 1, exact: true});
      const most = (point) => 3 + 2.6 * Math.log(Math.max(point.moment.resource, 1)) / Math.log(Math.max(point.trial.study.whole, 2));
      return {type: 'scatter', data: {datasets: [...lines, ...scatterSets(panel, most)]}, options: {scales: {x, y: axisOf(scoreDimension(shown))}}, plugins: [marksOf(panel)]};
    },
  });
}

// Gaussian kernels over values in [0, 1]; of a bounded range mirrored at the ends, where density would leak out.
function densityOf(values, weightTotal, bounded) {
  const sorted = [...values].sort((a, b) => a - b);
  const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, one) => sum + (one - mean) ** 2, 0) / values.length);
  const spread = Math.min(deviation, (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.34 || deviation);
  const width = Math.max(0.9 * spread * values.length ** -0.2, 0.03);
  return Array.from({length: 81}, (_, i) => {
    const at = i / 80;
    let sum = 0;
    for (const value of values) for (const image of bounded ? [value, -value, 2 - value] : [value]) sum += Math.exp(-0.5 * ((at - image) / width) ** 2);
    return {at, density: sum / (weightTotal * width * Math.sqrt(2 * Math.PI))};
  });
}
const unitOf = (dimension, value) => (dimension.log ? Math.log(value / dimension.lowest) / Math.log(dimension.highest / dimension.lowest)
  : (value - dimension.lowest) / (dimension.highest - dimension.lowest || 1));
const fromUnit = (dimension, unit) => (dimension.log ? dimension.lowest * (dimension.highest / dimension.lowest) ** unit
  : dimension.lowest + unit * (dimension.highest - dimension.lowest));

// Curves (or bars, of choices) of groups of trials along a dimension; below them a tick a trial.
function densityPanel(shown, reader, options) {
  const {dimension, groups} = options;
  return new Panel(shown, reader, {
    ...options, hit: 'column', x: dimension,
    items: () => shown.trials.filter((trial) => dimension().value(trial) !== null).map((trial) => ({trial, x: dimension().value(trial), y: 0})),
    chart(panel) {
      const along = dimension();
      const sets = [];
      for (const group of groups()) {
        const trials = group.trials.filter((trial) => shown.passing.has(trial) && along.value(trial) !== null);
        if (!trials.length) continue;
        if (along.choices) {
          sets.push({type: 'bar', barThickness: Math.min(22, 120 / along.choices.length), backgroundColor: group.colour, borderRadius: 3,
            data: along.choices.map((_, choice) => ({x: choice, y: trials.filter((trial) => along.value(trial) === choice).length / trials.length}))});
        } else {
          const units = trials.map((trial) => unitOf(along, along.value(trial))).filter((unit) => unit >= -1e-9 && unit <= 1 + 1e-9);
          if (!units.length) continue;
          const curve = densityOf(units, trials.length, !along.exact);
          sets.push({type: 'line', data: curve.map(({at, density}) => ({x: fromUnit(along, at), y: density})), pointRadius: 0, borderWidth: 2,
            borderColor: group.colour, borderDash: group.dash || [], backgroundColor: `${group.colour}2b`, fill: 'origin', tension: 0.25});
        }
      }
      if (!along.choices) {
        const rug = panel.points.filter((point) => shown.passing.has(point.trial));
        sets.push({type: 'scatter', data: rug.map(({x}) => ({x, y: 0})), pointStyle: 'line', pointRotation: 90, pointRadius: 4, pointBorderColor: css('--soft'), pointBorderWidth: 1, clip: false});
      }
      const top = Math.max(0.01, ...sets.flatMap((set) => set.data.map((one) => one.y)));
      const y = {min: 0, max: top * 1.08, ticks: {display: false}, grid: {display: false, borderColor: css('--line')}, ...wideAxis};
      return {type: 'scatter', data: {datasets: sets}, options: {scales: {x: {...axisOf(along, Boolean(options.titled)), offset: false}, y}}};
    },
  });
}

// A hyperparameter: score against it, and below, on the same axis, where the best quarter lies.
function parameterPanels(shown, reader, parent, parameter) {
  const scatter = new Panel(shown, reader, {
    parent, id: `scatter-${parameter.option}`, title: parameter.label, height: 200, x: () => parameter, y: () => scoreDimension(shown),
    note: () => {
      const without = shown.trials.filter((trial) => parameter.value(trial) === null).length;
      return [parameter.label === parameter.option ? '' : parameter.option, without ? `${without} without` : ''].filter(Boolean).join(' · ');
    },
    items: () => shown.trials.filter((trial) => parameter.value(trial) !== null).map((trial) => ({
      trial, y: trial.score,
      x: parameter.value(trial) + (parameter.choices ? ((trial.id * 0.61803) % 1 - 0.5) * 0.5 : 0),  // apart where a choice would stack them
    })),
    chart(panel) {
      const y = {...axisOf(scoreDimension(shown), false), ...wideAxis};
      const x = axisOf(parameter, false);
      x.ticks.display = false;
      return {type: 'scatter', data: {datasets: scatterSets(panel)}, options: {scales: {x, y}}, plugins: [marksOf(panel)]};
    },
  });
  const density = densityPanel(shown, reader, {
    parent: scatter.figure, id: `density-${parameter.option}`, title: `Density of ${parameter.label}`, height: 96, dimension: () => parameter,
    groups: () => [{trials: shown.trials.filter((trial) => !shown.good.has(trial)), colour: css('--low')},
      {trials: [...shown.good], colour: css('--accent')}],
  });
  density.figure.replaceWith(density.plot);  // one figure for both; the density keeps its own data for tests and readers
  density.figure = density.plot;
  density.figure.dataset.panel = density.id;
  density.figure.append(density.key);
  return [scatter, density];
}
