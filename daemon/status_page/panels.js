// What the parts of the page show of a state; each is a function of it, and shows nothing where the state has no such
// part.
const stateNames = {learning: 'Learning', waiting: 'Waiting for events', redoing: 'Redoing the log', paused: 'Learning; publishing paused',
  pinned: 'Learning; version pinned', draining: 'Draining', stopped: 'Learning has stopped', away: 'No connection', connecting: 'Connecting', refused: 'Token needed'};

function showState(name, reason) {
  const node = $('state');
  setAttribute(node, 'data-state', name);
  setText($('state-name'), stateNames[name] ?? name);
  if (reason) setAttribute(node, 'title', reason);
  else node.removeAttribute('title');
}

function tile(name, value, unit, words, more = {}) { return {name, value, unit, words, ...more}; }

function showTiles(state, measure) {
  const status = state.status;
  const now = status.live_recent?.[measure], frozen = state.frozen_recent?.[measure];
  let comparison = status.live?.[measure] === undefined ? 'no event scored yet' : `${decimal(status.live[measure])} over the whole stream`;
  let good = null;
  if (known(now) && known(frozen) && frozen !== 0) {
    const gain = (lowerIsBetter.has(measure) ? frozen - now : now - frozen) / Math.abs(frozen);
    good = gain >= 0;
    comparison = `${percent(Math.abs(gain), 1)} ${good ? 'better' : 'worse'} than frozen`;
  }
  const full = state.replay_capacity > 0 ? status.replay_events / state.replay_capacity : null;
  const behind = known(state.lag_seconds) && state.lag_seconds >= 1 ? `${lasting(state.lag_seconds * 1000)} behind` : 'caught up';
  const tiles = [
    tile('Stream', rateText(state.rate), 'events/s', `${brief(status.events)} learnt in ${plural(status.rounds, 'round')}`),
    tile('Lag', known(state.lag_events) ? brief(state.lag_events) : '–', 'events', known(state.lag_events) ? behind : 'the broker has not told it yet'),
    tile(measure ? measureName(measure) : 'Live quality', decimal(now), '', comparison, {good}),
    tile('Served version', count(status.served_version), '', state.served_since_ms ? `live for ${lasting(state.time_ms - state.served_since_ms)}` : 'untrained'),
    tile('Replay memory', percent(full), '', `${brief(status.replay_events)} of ${brief(state.replay_capacity)} events`, {share: full}),
    tile('Predictions', rateText(state.predictions_rate), 'rows/s', `${brief(state.predictions)} served since the start`),
  ];
  keyed($('tiles'), tiles, (one, i) => tiles.indexOf(one), () => element('div', {class: 'tile'}, element('h3'), element('b', {}, '', element('small')),
    element('div', {class: 'meter', hidden: true}, element('i')), element('p')), (node, one) => {
    const [name, value, meter, words] = node.children;
    setText(name, one.name);
    if (value.firstChild.data !== one.value) value.firstChild.data = one.value;
    setText(value.lastChild, one.unit);
    show(meter, known(one.share));
    if (known(one.share)) meter.firstChild.style.width = `${Math.min(100, one.share * 100)}%`;
    setText(words, one.words);
    words.className = one.good === true ? 'better' : one.good === false ? 'worse' : '';
  });
}

function showMarks(marks) {
  const list = $('marks');
  if (!marks.length) {
    keyed(list, [0], () => 'none', () => element('li', {class: 'nothing'}, element('i'), element('p', {}, 'No drift, rollback or study since the daemon started.')), () => {});
    return;
  }
  keyed(list, [...marks].reverse(), (mark) => `${mark.number}-${mark.time_ms}`,
    (mark) => element('li', {'data-kind': mark.kind}, element('i', {'aria-hidden': 'true'}),
      element('p', {}, element('b', {}, markNames[mark.kind] ?? mark.kind), ` ${mark.text}`,
        element('small', {}, mark.event ? `${moment(mark.time_ms)}, event ${count(mark.event)}` : moment(mark.time_ms)))), () => {});
}

const verdictNames = {passed: 'passed', worse: 'worse', slice_worse: 'worse on a slice', unproven: 'unproven', paused: 'paused', pinned: 'another is pinned'};
const versionsFirst = 12;
let allVersions = false;

// The versions as rows: those that the gate knows, else those that are loaded.
function versionRows(state) {
  const gate = state.status.gate, loaded = new Set(state.loaded_versions ?? []);
  const served = state.status.served_version;
  let records = gate?.versions ?? [];
  const missing = [...loaded].filter((version) => !records.some((record) => record.version === version)).map((version) => ({version}));
  records = [...records, ...missing].sort((a, b) => b.version - a.version);
  return records.map((record) => ({
    ...record,
    served: record.version === served,
    trusted: record.version === gate?.trusted_version,
    anchor: record.version === gate?.anchor_version,
    pinned: record.version === gate?.pinned_version,
    loaded: loaded.has(record.version),
    lived: loaded.has(record.version) || !record.verdict || record.verdict === 'passed',
  }));
}

function showVersions(state, act) {
  const gate = state.status.gate;
  const rows = versionRows(state);
  const shown = allVersions ? rows : rows.slice(0, versionsFirst);
  for (const row of rows) if (row.served && !shown.includes(row)) shown.push(row);
  const counts = gate ? Object.entries(gate.verdicts).filter(([, number]) => number > 0) : [];
  const words = gate ? [...counts.map(([name, number]) => `${count(number)} ${verdictNames[name] ?? spaced(name)}`), gate.rollbacks ? plural(gate.rollbacks, 'rollback') : ''].filter(Boolean).join(' · ')
    : 'Every candidate is served; there is no gate.';
  setText($('versions-words'), words || 'No candidate has been judged yet.');

  const body = tableBody($('versions'), 'Versions, the newest first',
    [['', 'rail'], ['Version', 'text'], ['State', 'text'], ['', 'text'], ['Verdict', 'text'], ['Learnt up to'], ['Fresh loss'], ['Against the served']]);
  keyed(body, shown, (row) => row.version, (row) => {
    const buttons = element('span', {class: 'inline'});
    for (const [action, text] of [['pin', 'Pin'], ['roll_back', 'Roll back']]) {
      const button = element('button', {type: 'button', class: 'small', 'aria-label': action === 'pin' ? `Pin version ${row.version}` : `Roll back to version ${row.version}`}, text);
      button.addEventListener('click', () => act(action, row.version));
      button.dataset.action = action;
      buttons.append(button);
    }
    const number = element('th', {scope: 'row', class: 'text'}, count(row.version));
    return element('tr', {}, element('td', {class: 'rail'}, element('i')), number, element('td', {class: 'text'}), element('td', {class: 'text'}, buttons),
      element('td', {class: 'text'}), element('td'), element('td'), element('td'));
  }, (node, row) => {
    const [rail, , tags, buttons, verdict, learnt, loss, difference] = node.children;
    rail.classList.toggle('first', row.version === rows.at(-1).version);
    rail.firstChild.className = row.served ? 'live' : row.rolled_back ? 'back' : row.verdict && row.verdict !== 'passed' ? 'refused' : row.lived ? 'lived' : '';
    const wanted = [row.served && ['served', 'served'], row.pinned && ['pinned', 'pinned'], row.trusted && ['trusted', 'trusted'], row.anchor && ['anchor', 'anchor'],
      row.rolled_back && ['back', 'rolled back'], row.loaded && !row.served && ['kept', 'kept']].filter(Boolean);
    keyed(tags, wanted, ([kind]) => kind, ([kind, text]) => element('span', {class: `tag ${kind}`}, text), () => {});
    const judged = row.fresh_rows > 0;
    setText(learnt, row.last_event === undefined ? '–' : `event ${count(row.last_event)}`);
    setText(verdict, row.verdict ? verdictNames[row.verdict] ?? spaced(row.verdict) : '–');
    verdict.className = row.verdict && row.verdict !== 'passed' ? 'text worse' : 'text';
    setText(loss, judged ? decimal(row.fresh_loss) : '–');
    setText(difference, judged ? signed(row.fresh_difference) : '–');
    difference.className = judged && row.fresh_difference < 0 ? 'better' : judged && row.fresh_difference > 0 ? 'worse' : '';
    for (const button of buttons.firstChild.children) show(button, row.loaded && !(button.dataset.action === 'roll_back' && row.served) && !(button.dataset.action === 'pin' && row.pinned));
  });
  const more = $('more-versions');
  show(more, rows.length > versionsFirst);
  setText(more, allVersions ? 'Show the newest alone' : `Show all ${rows.length}`);
}

function showForgetting(state) {
  const forgetting = state.status.forgetting;
  show($('forgetting'), Boolean(forgetting));
  if (!forgetting) return;
  const words = [['mean_score', 'mean score', decimal], ['mean_forgetting', 'mean forgetting', decimal], ['backward_transfer', 'backward transfer', signed], ['forward_transfer', 'forward transfer', signed]]
    .filter(([name]) => known(forgetting[name])).map(([name, text, format]) => `${text} ${format(forgetting[name])}`);
  setText($('forgetting-words'), words.join(' · '));
  const body = tableBody($('slices'), 'Slices', [['Slice', 'text'], ['Now'], ['Best'], ['Forgotten'], ['', 'bar-cell']]);
  const most = Math.max(0.02, ...forgetting.slices.map((slice) => slice.forgetting));
  keyed(body, forgetting.slices, (slice) => slice.slice, (slice) => element('tr', {}, element('th', {scope: 'row', class: 'text name'}, slice.slice), element('td'), element('td'), element('td'),
    element('td', {class: 'bar-cell'}, element('div', {class: 'meter'}, element('i')))), (node, slice) => {
    setText(node.cells[1], decimal(slice.now));
    setText(node.cells[2], decimal(slice.best));
    setText(node.cells[3], decimal(slice.forgetting));
    node.cells[4].firstChild.firstChild.style.width = `${Math.min(100, (slice.forgetting / most) * 100)}%`;
  });
}

function showDrift(state) {
  const drift = state.status.drift;
  show($('drift'), Boolean(drift));
  if (!drift) return;
  setText($('drift-words'), `${plural(drift.alarms, 'alarm')}: ${count(drift.confirmed)} confirmed, ${count(drift.dismissed)} dismissed.`);
  const body = tableBody($('watches'), 'Detectors', [['Detector', 'text'], ['Watches', 'text'], ['Statistic'], ['Alarms'], ['Left out']]);
  textRows(body, drift.watches.map((watch) => ({key: `${watch.detector} ${watch.statistic}`,
    cells: [watch.detector, watch.statistic, known(watch.value) ? watch.value.toPrecision(4) : '–', count(watch.alarms), count(watch.left_out)]})), ['text', 'text']);
}

const phases = [['idle', 'Idle'], ['studying', 'Studying'], ['challenging', 'Challenging'], ['adopting', 'Adopting']];
const trialColours = {running: '--blue', paused: '--violet', completed: '--good', finished: '--good', done: '--good', stopped: '--base', failed: '--bad'};
function showTuning(state) {
  const tuning = state.status.tuning;
  show($('tuning'), Boolean(tuning));
  if (!tuning) return;
  keyed($('phases'), phases, ([name]) => name, ([, text]) => element('li', {}, text), (node, [name]) => {
    if (tuning.phase === name) setAttribute(node, 'aria-current', 'step');
    else node.removeAttribute('aria-current');
  });
  const study = tuning.study;
  let words = tuning.studies === 0 ? 'No study yet; a confirmed drift begins one.' : `${plural(tuning.studies, 'study', 'studies')}, ${count(tuning.adopted)} taken over, ${count(tuning.dropped)} dropped.`;
  if (study) words += ` The last began after event ${count(study.begun_after_event)}, on ${count(study.events)} events${known(study.best_objective) ? `; its best objective is ${decimal(study.best_objective)}` : ''}.`;
  if (tuning.challenger) words += ` Its winner challenges: its loss is ${signed(tuning.challenger.loss_difference)} to that of the model in force, over ${count(tuning.challenger.events)} events.`;
  setText($('tuning-words'), words);
  const trials = Object.entries(study?.trials ?? {}).filter(([, number]) => number > 0);
  const colour = (name) => `var(${trialColours[name] ?? '--base'})`;
  keyed($('trials'), trials, ([name]) => name, ([name]) => element('i', {mark: colour(name)}), (node, [, number]) => { node.style.flexGrow = number; });
  setAttribute($('trials'), 'aria-label', `Trials: ${trials.map(([name, number]) => `${number} ${name}`).join(', ') || 'none'}`);
  keyed($('trials-legend'), trials, ([name]) => name, ([name]) => element('span', {}, element('i', {class: 'dot', mark: colour(name)}), ''), (node, [name, number]) => { node.lastChild.data = `${count(number)} ${name}`; });
  const settings = Object.entries(tuning.challenger?.settings ?? tuning.in_force ?? {});
  const pairs = settings.flatMap(([name, value]) => [['dt', name, name], ['dd', `${name} value`, value]]);
  keyed($('settings'), pairs, ([, key]) => key, ([tag]) => element(tag), (node, [, , text]) => setText(node, text));
}

const reasonNames = {malformed: 'not readable', not_an_object: 'no object', invalid_utf8: 'no UTF-8', missing_label: 'no label', bad_label: 'unusable label',
  bad_feature: 'unusable field', bad_time: 'unusable time', duplicate_field: 'a field twice'};
function showLetters(state) {
  const letters = state.dead_letters;
  const reasons = Object.entries(letters?.reasons ?? {}).filter(([, number]) => number > 0);
  setText($('letters-words'), !letters?.total ? 'Every record could be read since the daemon started.' : `${plural(letters.total, 'record')} could not become events since the daemon started; the newest are below.`);
  keyed($('reasons'), reasons, ([name]) => name, ([name]) => element('span', {class: 'chip'}, reasonNames[name] ?? spaced(name), element('b')), (node, [, number]) => setText(node.lastChild, count(number)));
  show($('letters-scroll'), Boolean(letters?.recent?.length));
  if (!letters?.recent?.length) return;
  const body = tableBody($('letters'), 'Recent dead letters, the newest first', [['When', 'text'], ['Reason', 'text'], ['What is wrong', 'text'], ['Where', 'text']]);
  textRows(body, letters.recent.map((one) => ({key: one.number, cells: [moment(one.time_ms), reasonNames[one.reason] ?? spaced(one.reason), one.detail, `${one.topic} ${one.partition}, offset ${one.offset}`]})),
    ['text', 'text', 'text wide', 'text']);
}

function showOptions(options, tuned, refusal) {
  const words = $('find').value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const every = $('all-options').checked || words.length > 0;
  const all = options.map((option) => (tuned[option.name] === undefined ? {...option, from: option.default ? 'default' : 'set'}
    : {...option, value: tuned[option.name], default: false, from: `a study’s; ${option.value} is configured`}));
  const shown = all.filter((option) => (every || !option.default) && words.every((word) => `${option.name} ${option.value}`.toLowerCase().includes(word)));
  const body = tableBody($('options'), 'Options', [['Option', 'text'], ['Value', 'text'], ['', 'text'], ['Changes', 'text']]);
  textRows(body, shown.length ? shown.map((option) => ({key: option.name, cells: [option.name, option.value, option.from, option.change]}))
    : [{key: ' none', cells: [refusal ? refusal : words.length ? 'No option has these words.' : 'All options have their defaults.', '', '', '']}], ['text', 'text wide', 'text soft', 'text soft']);
}
