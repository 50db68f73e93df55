// Wires the page: what comes from the server goes to the panels, what the reader does goes to the server.
const page = {
  state: null, series: new Series(), range: 'second', measure: '', marks: [], started: 0, configNumber: -1, slicesRound: -1, options: [], historyDue: 0,
  link: 'connecting', last: 0, busy: false, tuned: '{}',
};
const follow = new Link({state: takeState, link: takeLink});

function remembered(name, fallback) { try { return localStorage.getItem(`freshet-${name}`) || fallback; } catch { return fallback; } }
function remember(name, value) { try { localStorage.setItem(`freshet-${name}`, value); } catch { /* private browsing */ } }

// Colours

const dark = window.matchMedia('(prefers-color-scheme: dark)');
function paint() {
  const choice = remembered('theme', 'auto');
  document.documentElement.dataset.theme = choice === 'auto' ? (dark.matches ? 'dark' : 'light') : choice;
  setText($('theme'), {auto: 'Auto', light: 'Light', dark: 'Dark'}[choice]);
  setAttribute($('theme'), 'aria-label', `Colours: ${{auto: 'as the system has them', light: 'light', dark: 'dark'}[choice]}`);
}
$('theme').addEventListener('click', () => {
  const next = {auto: 'light', light: 'dark', dark: 'auto'};
  remember('theme', next[remembered('theme', 'auto')]);
  paint();
  redraw();
});
dark.addEventListener('change', () => { paint(); redraw(); });
paint();

// Charts

const format4 = (value) => decimal(value);
const quality = new TimeChart($('quality-chart'), {
  datasets: () => [line('Frozen', css('--base'), {borderDash: [6, 4], borderWidth: 1.5}), line('Live', css('--blue'), {borderWidth: 2})],
  axes: () => ({y: valueAxis((value) => Number(value.toPrecision(4)).toString())}), format: format4, marks: true,
});
const fromZero = {min: 0, grace: '12%'};
const smallCharts = [
  {name: 'Events a second', sets: [['rate', 'Events a second', '--blue']], format: rateText, axis: {...fromZero}},
  {name: 'Lag', sets: [['lag_events', 'Events behind', '--accent']], format: brief, axis: {...fromZero, suggestedMax: 10}},
  {name: 'Kept by sifting', sets: [['kept_share', 'Kept', '--violet']], format: (value) => percent(value), axis: {min: 0, max: 1}, spanGaps: 300_000, absent: 'Sifting is off: every event is trained on.'},
  {name: 'Replay memory filled', sets: [['replay_fill', 'Filled', '--good']], format: (value) => percent(value), axis: {min: 0, max: 1}},
].map((chart) => {
  const canvas = element('canvas', {role: 'img', 'aria-label': `${chart.name} over time`});
  const now = element('b');
  const absent = element('p', {class: 'nothing', hidden: true}, chart.absent ?? 'Nothing is known of it yet.');
  const plot = element('div', {class: 'plot'}, canvas);
  $('small-charts').append(element('figure', {'data-chart': chart.sets[0][0]}, element('figcaption', {}, element('h3', {}, chart.name), now), plot, absent));
  const drawn = new TimeChart(canvas, {
    datasets: () => chart.sets.map(([, label, colour]) => line(label, css(colour), {fill: 'origin', spanGaps: chart.spanGaps ?? false, backgroundColor: `color-mix(in srgb, ${css(colour)} 14%, transparent)`})),
    axes: () => ({y: valueAxis((value) => chart.format(value), {...chart.axis, ticks: {color: css('--soft'), maxTicksLimit: 4, padding: 6, font: {size: 11}, callback: (value) => chart.format(value)}})}),
    format: chart.format,
  });
  return {...chart, now, absent, plot, drawn};
});
const heat = new HeatMap($('heat'), $('heat-words'));

function redraw() {
  quality.draw();
  for (const chart of smallCharts) chart.drawn.draw();
  heat.draw();
  showLegends();
  showCharts();
}

function showLegends() {
  const parts = [['', 'Live', '--blue'], ...(Object.keys(page.series.frozen).length ? [['dash', 'Frozen', '--base']] : []), ['tick', 'Model swapped', '--base'],
    ...(page.marks.length ? [['dot', 'What happened', '--soft']] : [])];
  keyed($('quality-legend'), parts, ([, text]) => text, ([kind, text, colour]) => element('span', {}, element('i', {class: kind || null, mark: `var(${colour})`}), text), () => {});
  $('heat-legend').replaceChildren(element('span', {}, '0', element('i', {class: 'ramp'}), `${decimal(heat.most ?? 0, 3)} below the best score`));
}

function showCharts() {
  if (document.hidden) return;
  const {series, measure} = page;
  const step = ranges[page.range].step;
  const to = series.time.at(-1) ?? Date.now();
  const first = series.time[0] ?? to - 60_000;
  const most = page.range === 'life' ? Infinity : ranges[page.range].points * step;
  const from = Math.max(Math.min(first, to - 60_000), to - most);
  const every = page.range === 'life' && series.time.length > 1 ? Math.max(step, (to - first) / series.time.length) : step;
  const swaps = series.time.filter((_, i) => series.columns.swaps[i] > 0);
  quality.set([series.points(series.frozen[measure], every), series.points(series.live[measure], every)], from, to, page.marks, swaps);
  for (const chart of smallCharts) {
    const list = series.columns[chart.sets[0][0]];
    const any = list.some(known);
    show(chart.plot, any);
    show(chart.absent, !any);
    setText(chart.now, any ? chart.format(list.findLast(known)) : '');
    if (any) chart.drawn.set([series.points(list, every)], from, to);
  }
  showLegends();
  showQualityTable();
}

function showQualityTable() {
  const details = document.querySelector('#quality-figure details');
  if (!details.open) return;
  const body = tableBody($('quality-table'), 'Live quality, the newest first', [['Time', 'text'], ['Live'], ['Frozen'], ['Events a second'], ['Models swapped']]);
  const {series, measure} = page;
  const rows = [];
  for (let i = series.time.length - 1; i >= 0 && rows.length < 60; --i) {
    rows.push({key: series.time[i], cells: [moment(series.time[i]), decimal(series.live[measure]?.[i]), decimal(series.frozen[measure]?.[i]), rateText(series.columns.rate[i]), count(series.columns.swaps[i])]});
  }
  textRows(body, rows, ['text']);
}
document.querySelector('#quality-figure details').addEventListener('toggle', showQualityTable);

async function loadHistory() {
  const range = page.range;
  page.historyDue = Date.now() + 60_000;
  try {
    const history = await askJson(`/status/history?step=${range}`);
    if (range !== page.range) return;
    page.series.take(history);
    page.marks = history.marks;
    showMarks(page.marks);
    showCharts();
  } catch { /* the link says what is wrong */ }
}

function chooseRange(range, focus) {
  page.range = range;
  for (const button of $('range').children) {
    const chosen = button.dataset.range === range;
    setAttribute(button, 'aria-checked', String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) button.focus();
  }
  page.series.clear();
  loadHistory();
}
for (const [name, range] of Object.entries(ranges)) {
  const button = element('button', {type: 'button', role: 'radio', 'data-range': name, 'aria-checked': String(name === page.range), tabindex: name === page.range ? '0' : '-1'}, range.name);
  button.addEventListener('click', () => chooseRange(name, false));
  $('range').append(button);
}
$('range').addEventListener('keydown', (event) => {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (!step) return;
  event.preventDefault();
  const names = Object.keys(ranges);
  chooseRange(names[(names.indexOf(page.range) + step + names.length) % names.length], true);
});
$('measure').addEventListener('change', () => {
  page.measure = $('measure').value;
  remember('measure', page.measure);
  if (page.state) showTiles(page.state, page.measure);
  showCharts();
});

function chooseMeasures(status) {
  const names = Object.keys(status.live_recent ?? {});
  if (!names.length || names.join() === [...$('measure').options].map((option) => option.value).join()) return;
  $('measure').replaceChildren(...names.map((name) => element('option', {value: name}, measureName(name))));
  const wanted = remembered('measure', '');
  page.measure = names.includes(wanted) ? wanted : names[0];
  $('measure').value = page.measure;
}

// What comes from the server

function takeState(state) {
  const first = page.link !== 'live';
  const restarted = page.started !== 0 && state.started_ms !== page.started;
  page.state = state;
  page.last = Date.now();
  if (first) {
    if (page.started === 0) setNotice('');
    else if (restarted) setNotice(`The daemon has started anew at ${clock(state.started_ms)}; connected again.`, 'good', true);
    else setNotice(`Connected again at ${clock(page.last)}.`, 'good', true);
  }
  page.started = state.started_ms;
  setAttribute(document.body, 'data-known', '');
  takeLink('live');
  if (first || Date.now() > page.historyDue) loadHistory();
  if (page.range === 'second' && state.point) page.series.add(state.point, ranges.second.points);
  const newest = page.marks.at(-1)?.number ?? 0;
  const news = (state.marks ?? []).filter((mark) => mark.number > newest);
  if (news.length) page.marks = [...page.marks, ...news].slice(-320);
  if (state.config_number !== page.configNumber || first) loadConfig(state.config_number);
  if (state.slices_round !== page.slicesRound || first) loadSlices(state.slices_round);
  chooseMeasures(state.status);
  if (!document.hidden) draw();
}

function draw() {
  const state = page.state;
  if (!state) return;
  showState(state.state, state.reason);
  if (state.state === 'stopped') setNotice(`Learning has stopped: ${state.reason} The last good model is served.`, 'bad');
  setText($('model'), state.model);
  document.title = `${state.model} · Freshet`;
  showTiles(state, page.measure);
  const window = state.window_events, frozen = state.status.baseline;
  setText($('quality-words'), `Each event is predicted before it is learnt from; the measure is over the newest ${count(window)} events.${frozen ? ` Frozen: version ${count(frozen.frozen_version)}, kept as it was, statistics and all.` : ''}`);
  showMarks(page.marks);
  showCharts();
  showForgetting(state);
  holdVersions(state);
  showTuned(state);
  showDrift(state);
  showTuning(state);
  showLetters(state);
  setText($('made'), `Freshet ${state.server} · up for ${lasting(state.time_ms - state.started_ms)} · page fed at ${clock(page.last)}`);
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) draw(); });

function takeLink(name, error) {
  page.link = name;
  setAttribute(document.body, 'data-link', name);
  show($('entry'), name === 'refused');
  if (name === 'live') setText($('link'), 'Live');
  else if (name === 'refused') showState('refused', '');
  else {
    showState('away', '');
    setText($('link'), page.last ? `No answer since ${clock(page.last)}; trying again` : 'No answer yet; trying again');
  }
  if (name === 'refused' && token.get()) setNotice(error?.status === 403 ? 'This token may not look at the status.' : 'The server does not take this token.', 'bad');
}

let noticeTimer = 0;
function setNotice(text, kind = '', passing = false) {
  clearTimeout(noticeTimer);
  setText($('notice'), text);
  setAttribute($('notice'), 'data-kind', kind);
  show($('notice'), text !== '');
  if (passing) noticeTimer = setTimeout(() => setNotice(''), 15_000);
}

async function loadConfig(number) {
  page.configNumber = number;
  try {
    page.options = (await askJson('/status/config')).options;
    showOptions(page.options, JSON.parse(page.tuned));
  } catch (error) {
    page.options = [];
    showOptions([], {}, error instanceof Refused ? 'The options are shown to whoever has an administrator’s token; type it beside the buttons above.' : '');
  }
}
// Options that a study has set since.
function showTuned(state) {
  const tuned = JSON.stringify(state.status.tuning?.in_force ?? {});
  if (tuned === page.tuned) return;
  page.tuned = tuned;
  showOptions(page.options, JSON.parse(tuned));
}
async function loadSlices(round) {
  page.slicesRound = round;
  if (round === 0) return;
  try {
    const slices = await askJson('/status/slices');
    if (slices.slices?.length) heat.take(slices);
    showLegends();
  } catch { /* with the next round, or when the server is back */ }
}
for (const [id, event] of [['find', 'input'], ['all-options', 'change']]) $(id).addEventListener(event, () => showOptions(page.options, JSON.parse(page.tuned)));

// What the reader asks for

// Rows do not move away under a pointer or a finger on a button.
function holdVersions(state) {
  const table = $('versions');
  const held = table.rows.length > 1 && (table.matches(':hover') || table.contains(document.activeElement));
  const newer = versionRows(state)[0]?.version, top = Number(table.tBodies[0]?.rows[0]?.dataset.key);
  setText($('held'), held && newer > top ? `${plural(newer - top, 'newer version')}; shown when you leave the table.` : '');
  if (!held || newer === top) showVersions(state, ask);
  const gate = state.status.gate;
  for (const button of document.querySelectorAll('#control [data-action]')) {
    const action = button.dataset.action;
    // Not `disabled`, which would take the focus away from a button that was just used.
    const idle = page.busy || (action === 'pause' && gate?.paused) || (action === 'resume' && gate && !gate.paused && !gate.pinned_version);
    setAttribute(button, 'aria-disabled', String(Boolean(idle)));
  }
}
$('more-versions').addEventListener('click', () => {
  allVersions = !allVersions;
  if (page.state) showVersions(page.state, ask);
});

const questions = {
  promote: () => ['Promote the newest candidate?', 'It is served at once, whatever the gate said of it.', 'Promote'],
  pin: (version) => [`Pin version ${count(version)}?`, 'It is served, and stays until you resume publishing. Training goes on.', 'Pin'],
  roll_back: (version) => [`Roll back to version ${count(version)}?`, 'It is served until a candidate proves itself to be no worse.', 'Roll back'],
};
function confirmed(action, version) {
  if (!questions[action]) return Promise.resolve(true);
  const [title, text, yes] = questions[action](version);
  setText($('ask-title'), title);
  setText($('ask-text'), text);
  setText($('ask-yes'), yes);
  const dialog = $('ask');
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'), {once: true}));
}

function answer(text, kind = '') {
  setText($('answer'), text);
  setAttribute($('answer'), 'data-kind', kind);
}
const asked = {pause: 'Publishing is paused; training goes on.', resume: 'The gate decides again.', promote: 'The newest candidate is served.'};
async function ask(action, version) {
  keepToken();
  if (page.busy || !(await confirmed(action, version))) return;
  page.busy = true;
  answer('Asking…');
  try {
    const result = await publish(action, version);
    answer(asked[action] ?? `Version ${count(result.served_version)} is served${result.pinned_version ? ', pinned' : ''}.`, 'good');
  } catch (error) {
    answer(refusalWords(error), 'bad');
  } finally {
    page.busy = false;
  }
  if (page.state) holdVersions(page.state);
}
for (const button of document.querySelectorAll('#control [data-action]')) {
  button.addEventListener('click', () => { if (button.getAttribute('aria-disabled') !== 'true') ask(button.dataset.action); });
}

function keepToken() {
  const field = $('token');
  if (!field.value) return false;
  token.set(field.value.trim());
  field.value = '';
  showToken();
  follow.wake();
  if (page.state && !page.options.length) loadConfig(page.configNumber);
  return true;
}
function showToken() {
  setAttribute($('token'), 'placeholder', token.get() ? 'kept for this tab' : 'of the administrator');
  setText($('keep-token'), token.get() ? 'Forget' : 'Keep');
}
$('token').addEventListener('input', () => setText($('keep-token'), $('token').value || !token.get() ? 'Keep' : 'Forget'));
$('control').addEventListener('submit', (event) => {
  event.preventDefault();
  if (keepToken()) return answer('The token is kept until this tab is closed.');
  if (token.get()) {
    token.set('');
    showToken();
    answer('The token is forgotten.');
  }
  return undefined;
});
$('entry').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set($('entry-token').value.trim());
  $('entry-token').value = '';
  showToken();
  setNotice('');
  follow.wake();
});
showToken();

window.freshetStatus = page;  // for tests
follow.run();
