// Panels of rungs, of several studies beside each other, and of cost.

const survivalTall = (shown) => Math.max(190, 46 + shown.studies.reduce((sum, study) => sum + study.rungs.length, 0) * (shown.several ? 25 : 36));

function survivalPanel(shown, reader, parent) {
  const rows = () => shown.studies.flatMap((study) => study.rungs.map((level, rung) => {
    const there = study.trials.filter((trial) => trial.resource >= level)
      .map((trial) => ({trial, score: trial.evaluations.find((one) => one.resource === level)?.score ?? null}))
      .sort((a, b) => (a.score === null) - (b.score === null) || study.sign * (b.score - a.score));
    return {study, level, there, next: study.rungs[rung + 1] ?? null};
  }));
  const share = {id: 'rank', label: 'trials at the rung, best first', values: () => []};
  return new Panel(shown, reader, {
    parent, id: 'survival', rangeless: true, title: 'Rung by rung', note: 'a square is a trial, the best one first', height: 220,
    tall: () => survivalTall(shown),
    y: () => ({...rungDimension, lowest: -0.5, highest: rows().length - 0.5}),
    items: () => rows().flatMap((row, y) => row.there.map(({trial, score}, rank) => ({trial, x: rank + 0.5, y, row, score}))),
    select(along, from, to) {  // of rows: their trials
      const scale = this.drawn.scales.y;
      const all = rows();
      const [low, high] = [from, to].map((pixel) => scale.getValueForPixel(pixel)).sort((a, b) => a - b);
      const taken = all.filter((_, row) => row >= low - 0.3 && row <= high + 0.3);
      if (taken.length) this.shown.filter(rungDimension, Math.min(...taken.map((row) => row.level)), Math.max(...taken.map((row) => row.level)));
    },
    chart(panel) {
      const all = rows();
      const most = Math.max(1, ...all.map((row) => row.there.length));
      panel.key.replaceChildren(...legendOf(['', shown.several ? '--study-0' : '--blue', shown.several ? 'went on, in the colour of its study' : 'went on'],
        ['', '--low', 'stayed'], ['', '--fade', 'failed or filtered out']));
      const short = (name) => (name.length > 24 ? `${name.slice(0, 22)}…` : name);
      const names = all.map((row, i) => `${shown.several && all[i - 1]?.study !== row.study ? `${short(row.study.name)} · ` : ''}${row.level} ${row.level === 1 ? 'stretch' : 'stretches'}`);
      const cells = {id: 'cells', beforeDatasetsDraw(chart) {
        const {x, y} = chart.scales;
        const wide = Math.abs(x.getPixelForValue(1) - x.getPixelForValue(0));
        const high = Math.abs(y.getPixelForValue(1) - y.getPixelForValue(0));
        const half = [Math.max(0.4, Math.min(wide * 0.5 - (wide > 4 ? 0.8 : 0), 11)), Math.max(1, high * 0.5 - 3)];
        const step = Math.min(wide, 2 * half[0] + 1.6);
        for (const point of panel.points) {
          point.half = half;
          point.place = x.left + (point.x - 0.5) * step + half[0] + 2;
          const passes = shown.passing.has(point.trial);
          const on = point.row.next !== null && point.trial.resource >= point.row.next;
          chart.ctx.fillStyle = !passes || point.score === null ? css('--fade')
            : on || point.row.next === null ? (shown.several ? css(`--study-${point.row.study.index % 6}`) : css('--blue')) : css('--low');
          chart.ctx.beginPath();
          chart.ctx.rect(point.place - half[0], y.getPixelForValue(point.y) - half[1], 2 * half[0], 2 * half[1]);
          chart.ctx.fill();
          if (passes && point.trial === shown.best) {
            chart.ctx.strokeStyle = css('--accent');
            chart.ctx.lineWidth = 2.5;
            chart.ctx.stroke();
          }
        }
        chart.ctx.fillStyle = css('--soft');
        chart.ctx.font = `11.5px ${Chart.defaults.font.family}`;
        chart.ctx.textBaseline = 'middle';
        all.forEach((row, i) => chart.ctx.fillText(` ${row.there.length}`, x.left + row.there.length * step + 4, y.getPixelForValue(i)));
      }};
      const y = {type: 'linear', reverse: true, min: -0.5, max: all.length - 0.5, grid: {display: false, borderColor: css('--line')},
        afterBuildTicks: (scale) => { scale.ticks = all.map((_, value) => ({value})); }, ticks: {color: css('--soft'), autoSkip: false, callback: (value) => names[value], font: {size: 11.5}}};
      const x = {type: 'linear', min: 0, max: most + Math.max(1, most * 0.06), ticks: {display: false}, grid: {display: false}, title: {display: false, text: share.label}};
      return {type: 'scatter', data: {datasets: [{data: []}]}, options: {scales: {x, y}}, plugins: [cells]};
    },
    locate() {
      const {y} = this.drawn.scales;
      for (const point of this.points) [point.px, point.py] = [point.place, y.getPixelForValue(point.y)];
      this.byPlace = this.points.filter((point) => this.shown.passing.has(point.trial)).sort((a, b) => a.y - b.y || a.px - b.px);
    },
  });
}
const rungDimension = {id: 'rung', label: 'trained to', format: (value) => `${formatNumber(value)}`, values: (trial) => [trial.resource], value: (trial) => trial.resource};

// For axes that are too short for more than the metric's name.
const shortScore = (shown) => ({...scoreDimension(shown), label: shown.lead.scoreName});

// The score of each trial as it was trained on: a line a trial, through the rungs that it reached.
function curvesPanel(shown, reader, parent) {
  return new Panel(shown, reader, {
    parent, id: 'curves', title: 'Score by training', note: 'a line is a trial', height: 220, tall: () => survivalTall(shown), joined: true, y: () => scoreDimension(shown),
    x: () => ({...rungDimension, label: 'stretches trained', log: true, lowest: 1, highest: Math.max(2, ...shown.studies.map((study) => study.whole))}),
    items: () => shown.trials.flatMap((trial) => trial.evaluations.map((one) => ({trial, x: one.resource, y: one.score}))),
    chart(panel) {
      const lines = {id: 'lines', beforeDatasetsDraw(chart) {
        const {ctx, scales: {x, y}, chartArea: area} = chart;
        ctx.save();
        ctx.beginPath();
        ctx.rect(area.left, area.top - 4, area.right - area.left + 8, area.bottom - area.top + 8);
        ctx.clip();
        const order = [...shown.trials].sort((a, b) => shown.passing.has(a) - shown.passing.has(b) || (shown.goodness.get(a) ?? 0) - (shown.goodness.get(b) ?? 0));
        for (const trial of order) {
          ctx.strokeStyle = !shown.passing.has(trial) ? css('--fade') : trial === shown.best ? css('--accent') : colourOf(trial, shown);
          ctx.lineWidth = trial === shown.best ? 2.4 : 1.3;
          ctx.globalAlpha = shown.passing.has(trial) ? 0.85 : 0.5;
          ctx.beginPath();
          trial.evaluations.forEach((one, i) => ctx[i ? 'lineTo' : 'moveTo'](x.getPixelForValue(one.resource), y.getPixelForValue(one.score)));
          ctx.stroke();
        }
        ctx.restore();
      }};
      panel.key.replaceChildren(...legendOf(['line', '--accent', 'best trial']));
      const levels = [...new Set(shown.studies.flatMap((study) => study.rungs))].sort((a, b) => a - b);
      const x = axisOf(panel.x());
      x.afterBuildTicks = (scale) => { scale.ticks = levels.map((value) => ({value})); };
      return {type: 'scatter', data: {datasets: scatterSets(panel, () => 2.6)}, plugins: [lines], options: {scales: {x, y: axisOf(shortScore(shown))}}};
    },
  });
}

// A row a study: every trial's score, the middle half as a box, the median as a line.
function comparePanel(shown, reader, parent) {
  return new Panel(shown, reader, {
    parent, id: 'compare', title: 'Scores of all trials', note: 'box: the middle half; line: the median', height: 200, tall: () => 84 + 58 * shown.studies.length,
    x: () => scoreDimension(shown),
    items: () => shown.trials.filter((trial) => trial.score !== null).map((trial) => ({
      trial, x: trial.score, y: shown.studies.indexOf(trial.study) + ((trial.id * 0.61803) % 1 - 0.5) * 0.46})),
    chart(panel) {
      const along = scoreDimension(shown);
      const boxes = {id: 'boxes', beforeDatasetsDraw(chart) {
        const {ctx, scales: {x, y}} = chart;
        const hold = (value) => Math.min(Math.max(x.getPixelForValue(value), x.left), x.right);
        for (const [row, study] of shown.studies.entries()) {
          const scores = study.trials.filter((trial) => trial.score !== null && shown.passing.has(trial)).map((trial) => trial.score).sort((a, b) => a - b);
          if (scores.length < 2) continue;
          const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => hold(quantile(scores, part)));
          const [top, bottom] = [y.getPixelForValue(row - 0.34), y.getPixelForValue(row + 0.34)].sort((a, b) => a - b);
          ctx.fillStyle = css('--fill');
          ctx.fillRect(low, top, high - low, bottom - top);
          ctx.fillStyle = css(`--study-${study.index % 6}`);
          ctx.fillRect(middle - 1.25, top, 2.5, bottom - top);
        }
      }};
      const y = {type: 'linear', reverse: true, min: -0.5, max: shown.studies.length - 0.5, grid: {display: false, borderColor: css('--line')},
        afterBuildTicks: (scale) => { scale.ticks = shown.studies.map((_, value) => ({value})); }, ticks: {color: css('--soft'), callback: (value) => shown.studies[value]?.name, font: {size: 12}}};
      const sets = scatterSets({...panel, points: panel.points, shown, y: null}, () => 4);
      return {type: 'scatter', data: {datasets: sets.map((set) => ({...set, data: set.data.map((one) => ({...one, x: Math.min(Math.max(one.x, along.lowest), along.highest)}))}))},
        options: {scales: {x: axisOf(along), y}}, plugins: [boxes]};
    },
  });
}

// Seconds where they were measured, else what the study reckoned.
function costDimension(shown) {
  const timed = shown.model.timed;
  const value = (trial) => (timed ? trial.seconds ?? 0 : trial.cost);
  const most = Math.max(...shown.trials.map(value), 1e-9);
  return {id: 'cost', label: timed ? 'processor seconds' : 'cost (reckoned)', lowest: 0, highest: most * 1.05, exact: true,
    format: timed ? formatSeconds : formatNumber, value, values: (trial) => [value(trial)]};
}

// The same along a logarithmic axis, where it spans much.
function spreadCost(shown) {
  const cost = costDimension(shown);
  const least = Math.min(...shown.trials.map(cost.value).filter((value) => value > 0));
  return Number.isFinite(least) && cost.highest > 8 * least ? {...cost, log: true, lowest: least / 1.2, highest: cost.highest * 1.1} : cost;
}

function costPanels(shown, reader, parent) {
  const numbers = {id: 'number', label: 'trial', whole: true, format: formatNumber, value: (trial) => trial.number, values: (trial) => [trial.number]};
  const each = new Panel(shown, reader, {
    parent, id: 'cost-each', title: 'Cost of each trial', height: 220, hit: 'column', y: () => costDimension(shown),
    x: () => ({...numbers, lowest: -0.7, highest: Math.max(0, ...shown.trials.map((trial) => trial.number)) + 0.7, exact: true}),
    items: () => shown.trials.map((trial) => ({trial, x: trial.number, y: costDimension(shown).value(trial)})),
    chart(panel) {
      const most = Math.max(1, ...shown.studies.map((study) => study.trials.length)) * shown.studies.length;
      const thick = Math.max(1, Math.min(18, 0.72 * Math.max(120, panel.plot.clientWidth - 70) / most));
      panel.key.replaceChildren(...resourceLegend(shown));
      const sets = shown.studies.map((study) => ({
        type: 'bar', barThickness: thick, data: study.trials.map((trial) => ({x: trial.number, y: costDimension(shown).value(trial)})), borderRadius: thick > 5 ? 2 : 0,
        backgroundColor: study.trials.map((trial) => (!shown.passing.has(trial) ? css('--fade') : trial === shown.best ? css('--accent') : colourOf(trial, shown))),
      }));
      return {type: 'scatter', data: {datasets: sets}, options: {scales: {x: axisOf(panel.x()), y: axisOf(panel.y())}}};
    },
  });
  const against = new Panel(shown, reader, {
    parent, id: 'cost-score', title: 'Score for its cost', note: 'line: nothing cheaper is better', height: 220, x: () => spreadCost(shown), y: () => scoreDimension(shown),
    items: () => {
      const cost = spreadCost(shown);
      return shown.trials.map((trial) => ({trial, x: Math.max(cost.value(trial), cost.lowest), y: trial.score}));
    },
    chart(panel) {
      const front = [];
      const {sign} = shown.lead;
      const byCost = panel.points.filter((point) => point.y !== null && shown.passing.has(point.trial)).sort((a, b) => a.x - b.x || sign * (b.y - a.y));
      for (const {x, y} of byCost) if (!front.length || sign * y > sign * front[front.length - 1].y) front.push({x, y});
      panel.key.replaceChildren(...resourceLegend(shown));
      const line = {type: 'line', stepped: true, data: front, pointRadius: 0, borderColor: css('--accent'), borderWidth: 1.8, clip: 2};
      return {type: 'scatter', data: {datasets: [line, ...scatterSets(panel)]}, options: {scales: {x: axisOf(panel.x()), y: axisOf(shortScore(shown))}}, plugins: [marksOf(panel)]};
    },
  });
  const scores = densityPanel(shown, reader, {
    parent, id: 'density-score', title: 'Density of the score', note: 'where trials end', height: 220, dimension: () => scoreDimension(shown), titled: true,
    groups: () => shown.studies.map((study) => ({trials: study.trials, colour: shown.several ? css(`--study-${study.index % 6}`) : css('--blue'),
      dash: [[], [9, 4], [3, 3], [12, 4, 3, 4], [6, 2], [2, 5]][study.index % 6]})),
  });
  return [each, against, scores];
}
