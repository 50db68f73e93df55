// Puts the page together: summary, filters, charts, table, tooltip.
(() => {
  const $ = (id) => document.getElementById(id);
  const model = readModel(JSON.parse($('studies-data').textContent));
  const shown = new Shown(model);
  const nameOf = (trial) => `Trial ${trial.number}${shown.several ? ` · ${trial.study.name}` : ''}`;
  const markOf = (study) => element('span', {class: `mark m${study.index % 6}`, style: `--mark:var(--study-${study.index % 6})`});
  const stretches = (count) => `${formatNumber(count)} ${count === 1 ? 'stretch' : 'stretches'}`;
  const settingText = (parameter, trial) => (parameter.value(trial) === null ? '–' : parameter.choices ? String(trial.settings[parameter.option]) : formatNumber(trial.settings[parameter.option]));

  // What is said of a trial, beside the pointer and to screen readers.
  const reader = {
    show(trial, x, y) {
      const tip = $('tip');
      const facts = element('div', {}, trial.score === null ? (trial.failed ? 'failed' : 'no score yet') : `${trial.study.scoreName} ${formatScore(trial.score)}`,
        ` · ${trial.state} at ${trial.resource} of ${stretches(trial.study.whole)}`);
      const list = element('dl');
      for (const parameter of model.parameters) {
        if (parameter.value(trial) !== null) list.append(element('dt', {}, parameter.label), element('dd', {}, settingText(parameter, trial)));
      }
      if (trial.seconds !== null) list.append(element('dt', {}, 'processor time'), element('dd', {}, formatSeconds(trial.seconds)));
      const head = element('h4', {}, ...(shown.several ? [markOf(trial.study)] : []), nameOf(trial) + (trial === shown.best ? ' · best' : trial.configured ? ' · configured now' : ''));
      tip.replaceChildren(head, facts, ...(trial.note ? [element('div', {class: 'soft'}, trial.note)] : []), list);
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(10, x + 18 + box.width < innerWidth - 8 ? x + 18 : x - box.width - 18)}px`;
      tip.style.top = `${Math.min(Math.max(10, y - box.height / 2), innerHeight - box.height - 10)}px`;
    },
    hide() { $('tip').hidden = true; },
    say(trial, at, of) {
      const settings = model.parameters.filter((one) => one.value(trial) !== null).map((one) => `${one.label} ${settingText(one, trial)}`).join(', ');
      this.call(`${nameOf(trial)}, ${trial.score === null ? 'failed' : `${trial.study.scoreName} ${formatScore(trial.score)}`}, ${trial.state}. ${settings}. ${at} of ${of}.`);
    },
    call(text) { $('live').textContent = text; },
  };

  function copy(text, button) {
    const said = button.textContent;
    const done = (word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = said; }, 1400);
    };
    const byHand = () => {
      const area = element('textarea', {style: 'position:fixed;opacity:0'});
      area.value = text;
      document.body.append(area);
      area.select();
      done(document.execCommand('copy') ? 'Copied' : 'Select and copy');
      area.remove();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done('Copied'), byHand);
    else byHand();
  }

  function settingsCard(trial) {
    const lines = yamlOf(trial);
    const yaml = lines.map((line) => `${' '.repeat(line.indent)}${line.name}:${line.value === null ? '' : ` ${line.value}`}`).join('\n');
    const block = element('pre', {tabindex: '0', 'aria-label': 'Settings as YAML', id: 'yaml'});
    lines.forEach((line, i) => block.append(`${i ? '\n' : ''}${' '.repeat(line.indent)}${line.name}:`, ...(line.value === null ? [] : [' ', element('span', {class: 'value'}, line.value)])));
    const asYaml = element('button', {type: 'button'}, 'Copy YAML');
    asYaml.addEventListener('click', () => copy(`${yaml}\n`, asYaml));
    const asSets = element('button', {type: 'button'}, 'Copy --set');
    asSets.addEventListener('click', () => copy(Object.entries(trial.settings).map(([option, value]) => `--set ${option}=${value}`).join(' '), asSets));
    return element('div', {class: 'card settings'},
      element('div', {class: 'top'}, element('h3', {}, `${trial === shown.best ? 'Best settings: ' : 'Settings of '}${nameOf(trial).replace('Trial', 'trial')}`), element('div', {class: 'buttons'}, asYaml, asSets)), block);
  }

  function summary() {
    const best = shown.best;
    const section = $('summary');
    if (!best) {
      section.replaceChildren(element('p', {class: 'notice'}, model.trials.length ? 'No trial has come to an end with a score yet.' : 'No trial has been tried yet.'));
      return;
    }
    const study = best.study;
    const facts = element('div', {class: 'card facts'});
    const fact = (name, value, note = '', kind = '') => facts.append(element('div', {class: `fact ${kind}`}, element('span', {class: 'name'}, name), element('b', {}, value), element('small', {}, note)));
    const configured = study.trials.find((trial) => trial.configured && trial.score !== null);
    const first = element('span');
    first.append(`${nameOf(best)}, after ${best.bestAt} of ${stretches(study.whole)}`);
    if (configured && configured !== best && configured.score !== 0) {
      const change = Math.abs(best.score - configured.score) / Math.abs(configured.score);
      first.append('; ', element('span', {class: 'better'}, `${(100 * change).toFixed(change < 0.1 ? 1 : 0)} % better`), ` than what is configured now (${formatScore(configured.score)})`);
    } else if (configured === best) {
      first.append('; this is what is configured now');
    }
    fact(`Best ${study.scoreName} (${study.lowerIsBetter ? 'lower' : 'higher'} is better)`, formatScore(best.score), first, 'first');
    const trials = shown.trials;
    const failed = trials.filter((trial) => trial.failed).length;
    const whole = trials.filter((trial) => trial.state === 'completed').length;
    fact('Trials', formatNumber(trials.length), `${whole} trained whole${failed ? `, ${failed} failed` : ''}`);
    fact('Compute', `${formatNumber(Number(shown.studies.reduce((sum, one) => sum + one.compute, 0).toFixed(2)))} ×`, `a plain training; all trials to the end: ${formatNumber(trials.length)} ×`);
    const seconds = shown.studies.reduce((sum, one) => sum + (one.elapsed ?? NaN), 0);
    const work = shown.studies.reduce((sum, one) => sum + (one.raw.worker_seconds || 0), 0);
    if (Number.isFinite(seconds)) fact('Time', formatSeconds(seconds), work > 0 ? `${formatSeconds(work)} of processor time${shown.several ? '' : `, ${plural(study.raw.workers || 1, 'worker')}`}` : '');
    const moment = study.bestMoment;
    if (study.ordered && moment) {
      fact('Time to best', study.timed ? formatSeconds(moment.at) : `${formatNumber(Number(moment.compute.toFixed(2)))} ×`, `after ${formatNumber(Number((100 * moment.order / study.finished.length).toFixed(0)))} % of the stretches${shown.several ? `, ${study.name}` : ''}`);
    }
    section.replaceChildren(facts, settingsCard(shown.kept || best));
  }

  function subtitle() {
    const study = shown.lead;
    if (!study) return;
    const {raw} = study;
    const words = [];
    if (!shown.several) words.push(`${searchName(raw.study.searcher)} search, ${schedulerName(raw.study.scheduler)}`);
    if (raw.events_judging) words.push(`judged on ${formatNumber(raw.events_judging)} ${raw.judged_by_newest ? 'of the newest' : 'held-out'} events`);
    if (raw.events_trained_on) words.push(`trained on ${formatNumber(raw.events_trained_on)}`);
    if (!raw.study.over) words.push('not finished');
    const models = [...new Set(model.studies.map((one) => one.raw.model).filter(Boolean))];
    const what = models.length === 1 ? `Tuning ${models[0]}` : 'Tuning';
    $('title').textContent = shown.several ? `${what}: ${model.studies.length} studies compared` : what;
    document.title = $('title').textContent;
    $('subtitle').textContent = words.join(' · ');
    const kinds = new Set(model.studies.map((one) => one.kind));
    $('notice').hidden = kinds.size < 2 && model.studies.every((one) => one.ordered || !one.trials.length);
    $('notice').textContent = kinds.size > 1 ? 'These studies were not all judged in the same way: only those with one metric are shown together. Press a study’s name to change over.'
      : 'The order of the trials was not kept with this study: rungs are shown one after another.';
    $('made').textContent = `Written by freshet ${model.data.version} on ${model.data.written}. Charts: Chart.js (MIT licence, in this page’s source).`;
  }

  function filterBar() {
    $('bar').hidden = false;
    $('count').textContent = shown.filters.size ? `${shown.passing.size} of ${plural(shown.trials.length, 'trial')}` : plural(shown.trials.length, 'trial');
    const chips = [...shown.filters.values()].map(([dimension, low, high]) => {
      const text = dimension.choices ? dimension.choices.filter((_, i) => i >= low && i <= high).join(', ') || 'none'
        : !Number.isFinite(low) ? `up to ${dimension.format(high)}` : !Number.isFinite(high) ? `from ${dimension.format(low)}` : low === high ? dimension.format(low) : `${dimension.format(low)} to ${dimension.format(high)}`;
      const chip = element('button', {type: 'button', title: 'Remove this filter'}, `${dimension.short || dimension.label}: ${text}`, element('span', {'aria-hidden': 'true'}, '×'));
      chip.addEventListener('click', () => shown.filter(dimension, null, null));
      return chip;
    });
    $('filters').replaceChildren(...chips);
    $('hint').hidden = chips.length > 0;
    $('reset').hidden = chips.length === 0;
    if (model.studies.length < 2) return;
    if (!$('studies').children.length) {
      for (const study of model.studies) {
        const chip = element('button', {type: 'button'}, markOf(study), study.name);
        chip.addEventListener('click', () => shown.toggle(study));
        $('studies').append(chip);
      }
    }
    [...$('studies').children].forEach((chip, i) => chip.setAttribute('aria-pressed', String(!shown.off.has(i))));
  }

  // Compute that each study needed until it was as good as the worst of their bests.
  function compareTable() {
    const studies = shown.studies;
    const bests = studies.map((study) => study.bestMoment?.score).filter((score) => score !== undefined);
    const target = bests.length ? bests.reduce((a, b) => (shown.lead.sign * a < shown.lead.sign * b ? a : b)) : null;
    const head = ['Study', 'Search', 'Best', 'Trials', 'Failed', 'Compute', 'Time', 'Processor', 'Time to best', `Compute to ${formatScore(target)}`];
    const rows = studies.map((study) => {
      const there = study.finished.find((moment) => moment.bestSoFar !== null && study.sign * moment.bestSoFar >= study.sign * target);
      return element('tr', {}, element('td', {}, markOf(study), study.name), element('td', {class: 'text'}, `${searchName(study.raw.study.searcher)}, ${schedulerName(study.raw.study.scheduler)}`),
        element('td', {class: study.bestMoment && study.bestMoment.score === shown.best?.score ? 'best' : ''}, formatScore(study.bestMoment?.score ?? null)), element('td', {}, formatNumber(study.trials.length)),
        element('td', {}, formatNumber(study.trials.filter((trial) => trial.failed).length)), element('td', {}, `${formatNumber(Number(study.compute.toFixed(2)))} ×`), element('td', {}, formatSeconds(study.elapsed ?? NaN)),
        element('td', {}, formatSeconds(study.raw.worker_seconds || NaN)), element('td', {}, study.timed && study.bestMoment ? formatSeconds(study.bestMoment.at) : '–'), element('td', {}, there && study.ordered ? `${formatNumber(Number(there.compute.toFixed(2)))} ×` : '–'));
    });
    $('compare-table').replaceChildren(element('thead', {}, element('tr', {}, ...head.map((text, i) => element('th', {scope: 'col', class: i === 1 ? 'text' : ''}, text)))), element('tbody', {}, ...rows));
  }

  const table = {sort: 'score', down: false, rows: new Map()};
  function trialTable() {
    const columns = [
      {id: 'trial', name: 'Trial', value: (trial) => trial.id, cell: (trial) => [...(shown.several ? [markOf(trial.study)] : []), String(trial.number)]},
      {id: 'score', name: shown.lead.scoreName, value: (trial) => (trial.score === null ? null : -trial.study.sign * trial.score), text: (trial) => formatScore(trial.score)},
      {id: 'state', name: 'State', text: (trial) => trial.state, left: true},
      {id: 'resource', name: 'Stretches', value: (trial) => trial.resource, text: (trial) => formatNumber(trial.resource)},
      {id: 'cost', name: model.timed ? 'Seconds' : 'Cost', value: (trial) => (model.timed ? trial.seconds : trial.cost), text: (trial) => formatNumber(Number((model.timed ? trial.seconds ?? 0 : trial.cost).toPrecision(3)))},
      ...model.parameters.map((one) => ({id: one.id, name: one.label, value: one.value, text: (trial) => settingText(one, trial), left: Boolean(one.choices)})),
    ];
    const by = columns.find((column) => column.id === table.sort) || columns[0];
    const key = by.value || by.text;
    const trials = [...shown.passing].sort((a, b) => {
      const [one, other] = [key(a), key(b)];
      if (one === null || other === null) return (one === null) - (other === null);
      const order = typeof one === 'string' ? one.localeCompare(other) : one - other;
      return (table.down ? -order : order) || a.id - b.id;
    });
    const head = columns.map((column) => {
      const button = element('button', {type: 'button'}, column.name, column.id === table.sort ? (table.down ? ' ↓' : ' ↑') : '');
      button.addEventListener('click', () => {
        table.down = table.sort === column.id && !table.down;
        table.sort = column.id;
        trialTable();
        [...$('trials').querySelectorAll('th button')][columns.indexOf(column)].focus();
      });
      return element('th', {scope: 'col', class: column.left ? 'text' : '', 'aria-sort': column.id === table.sort ? (table.down ? 'descending' : 'ascending') : 'none'}, button);
    });
    table.rows.clear();
    const rows = trials.map((trial) => {
      const row = element('tr', {'data-trial': trial.id}, ...columns.map((column) => {
        const text = column.cell ? column.cell(trial) : [column.text(trial)];
        return element('td', {class: [column.left ? 'text' : '', column.id === 'score' && trial === shown.best ? 'best' : '', text[0] === '–' ? 'none' : ''].join(' ').trim()}, ...text);
      }));
      row.addEventListener('pointerenter', () => shown.light(trial));
      row.addEventListener('pointerleave', () => shown.light(null));
      row.addEventListener('click', () => shown.keep(trial));
      table.rows.set(trial, row);
      return row;
    });
    $('trials').replaceChildren(element('caption', {class: 'unseen'}, 'Trials that pass the filters'), element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows));
    $('table-count').textContent = shown.filters.size ? `${trials.length} of ${shown.trials.length}` : '';
    lightRows();
  }
  function lightRows() {
    for (const [trial, row] of table.rows) {
      row.classList.toggle('lit', trial === shown.lit);
      row.classList.toggle('kept', trial === shown.kept);
    }
  }

  const panels = [];
  let clock = 'compute';
  function clockChoice() {
    const usable = Object.values(clocks).filter((one) => one.id !== 'seconds' || model.timed);
    const buttons = usable.map((one) => {
      const button = element('button', {type: 'button', role: 'radio', 'data-clock': one.id}, one.name);
      button.addEventListener('click', () => choose(one.id));
      button.addEventListener('keydown', (event) => {
        const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
        if (!by) return;
        event.preventDefault();
        choose(usable[(usable.indexOf(one) + by + usable.length) % usable.length].id).focus();
      });
      return button;
    });
    $('clock').replaceChildren(...buttons);
    function choose(id) {
      clock = id;
      for (const button of buttons) {
        button.setAttribute('aria-checked', String(button.dataset.clock === id));
        button.tabIndex = button.dataset.clock === id ? 0 : -1;
      }
      if (panels.length) panels[0].draw();
      return buttons[usable.findIndex((one) => one.id === id)];
    }
    choose(clock);
  }

  function themeChoice() {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const choices = ['auto', 'light', 'dark'];
    let choice = 'auto';
    const apply = () => {
      document.documentElement.dataset.theme = choice === 'auto' ? (system.matches ? 'dark' : 'light') : choice;
      $('theme').textContent = {auto: 'Auto', light: 'Light', dark: 'Dark'}[choice];
      $('theme').setAttribute('aria-label', {auto: 'Colours: as the system has them', light: 'Colours: light', dark: 'Colours: dark'}[choice]);
      for (const panel of panels) panel.draw();
    };
    $('theme').addEventListener('click', () => {
      choice = choices[(choices.indexOf(choice) + 1) % choices.length];
      apply();
    });
    system.addEventListener('change', apply);
    apply();
  }

  function start() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    if (shown.several) document.documentElement.dataset.several = '';
    subtitle();
    summary();
    shown.listen('filter', () => { filterBar(); summary(); subtitle(); trialTable(); if (shown.several) compareTable(); });
    let keptBefore = null;
    shown.listen('light', () => {
      lightRows();
      if (shown.kept !== keptBefore) summary();
      keptBefore = shown.kept;
    });
    themeChoice();
    if (!model.trials.length) return;
    $('charts').hidden = false;
    filterBar();
    clockChoice();
    panels.push(progressPanel(shown, reader, $('progress'), () => clock));
    if (shown.several) {
      $('compare-section').hidden = false;
      panels.push(comparePanel(shown, reader, $('compare')));
      compareTable();
    }
    const parallel = new ParallelPanel(shown, reader, {parent: $('parallel'), id: 'parallel', title: 'Parallel coordinates', height: 380});
    parallel.box = element('div', {class: 'plot-scroll'});
    parallel.plot.replaceWith(parallel.box);
    parallel.box.append(parallel.plot);
    panels.push(parallel);
    for (const parameter of model.parameters) panels.push(...parameterPanels(shown, reader, $('parameters'), parameter));
    panels.push(survivalPanel(shown, reader, $('rungs')), curvesPanel(shown, reader, $('rungs')), ...costPanels(shown, reader, $('cost')));
    for (const panel of panels) panel.draw();
    trialTable();
    $('reset').addEventListener('click', () => shown.clear());
    let width = innerWidth;
    addEventListener('resize', () => {
      if (innerWidth === width) return;
      width = innerWidth;
      parallel.draw();
    });
  }
  start();
  window.freshetReport = {model, shown, panels};
})();
