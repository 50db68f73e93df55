// The link to the server: the stream of its states, what was before, and what it is asked to do. fetch() rather than
// EventSource, which cannot send a token.
const tokenKey = 'freshet-token';
const silentMost = 10_000;  // ms without a word until the connection counts as lost
const retryMost = 5_000;

const token = {
  get: () => { try { return sessionStorage.getItem(tokenKey) || ''; } catch { return token.kept || ''; } },
  set: (value) => {
    token.kept = value;
    try { value ? sessionStorage.setItem(tokenKey, value) : sessionStorage.removeItem(tokenKey); } catch { /* kept above */ }
  },
};
const headers = () => (token.get() ? {Authorization: `Bearer ${token.get()}`} : {});

class Refused extends Error {
  constructor(status, words) { super(words); this.status = status; }
}

async function askFor(path, options = {}) {
  const answer = await fetch(path, {cache: 'no-store', ...options, headers: {...headers(), ...options.headers}});
  if (!answer.ok) {
    let words = '';
    try { words = (await answer.json()).error || ''; } catch { /* no JSON: the code says enough */ }
    throw new Refused(answer.status, words || `HTTP ${answer.status}`);
  }
  return answer;
}
const askJson = async (path, options) => (await askFor(path, options)).json();

// Calls on.state(object) for each state that the server sends, on.link(name, error) when the connection changes:
// "live", "away" (tried again by itself), "refused" (tried again after token.set() and wake()).
class Link {
  constructor(on) {
    this.on = on;
    this.tries = 0;
    this.wait = null;
    window.addEventListener('online', () => this.wake());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.wake(); });
  }
  wake() { this.wait?.(); }
  async run() {
    for (;;) {
      let failure = null;
      try {
        await this.follow();
      } catch (error) {
        failure = error;
      }
      const refused = failure instanceof Refused && (failure.status === 401 || failure.status === 403);
      this.on.link(refused ? 'refused' : 'away', failure);
      const pause = Math.min(retryMost, 250 * 2 ** this.tries++);
      await new Promise((done) => {
        this.wait = done;
        if (!refused) setTimeout(done, pause);
      });
      this.wait = null;
    }
  }
  async follow() {
    const cancel = new AbortController();
    let watch = setTimeout(() => cancel.abort(), silentMost);
    try {
      const answer = await askFor('/status/stream', {signal: cancel.signal});
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const {value, done} = await reader.read();
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(() => cancel.abort(), silentMost);
        text += value;
        const blocks = text.split('\n\n');
        text = blocks.pop();
        for (const block of blocks) this.take(block);
      }
    } finally {
      clearTimeout(watch);
      cancel.abort();
    }
  }
  take(block) {
    let data = '';
    for (const line of block.split('\n')) if (line.startsWith('data:')) data += line.slice(5);
    if (!data) return;  // a comment that keeps the connection alive
    this.tries = 0;
    const state = JSON.parse(data);
    // A fault of the page's own is no fault of the connection.
    try { this.on.state(state); } catch (error) { console.error(error); }
  }
}

// Asks for a change of what is served; the answer once it is done.
async function publish(action, version) {
  const lane = '/admin/v1/publishing';
  const body = JSON.stringify(version === undefined ? {action} : {action, version: String(version)});
  let report = await askJson(`${lane}/publishing`, {method: 'POST', body, headers: {'Content-Type': 'application/json'}});
  const id = report.id;
  for (let i = 0; report.state === 'running' && i < 300; ++i) {
    await new Promise((done) => setTimeout(done, 200));
    report = await askJson(`${lane}/current`);
    if (report.id !== id) throw new Error('Another request came between; see the versions for what is served.');
  }
  if (report.state !== 'done') throw new Error(report.error || 'It is still under way after a minute.');
  return report.result;
}

// In words, what went wrong with a request.
function refusalWords(error) {
  if (!(error instanceof Refused)) return error instanceof TypeError ? 'The server does not answer.' : error.message;
  if (error.status === 401) return token.get() ? 'The server does not take this token. Type another one.' : 'This needs a token. Type it into the field beside the buttons.';
  if (error.status === 403) return 'This token may look, but not change what is served. Type the administrator’s.';
  if (error.status === 404) return 'Administration has another address on this server: open this page there.';
  return error.message;
}
