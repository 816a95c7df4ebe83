// The page: what is asked, shown and kept in the address.
import { ask, askJson, beginSession, onTokenNeeded, search, ServerError, ServerGone } from './api.js';
import { hideBelow, showResults, stopPlaying } from './cards.js';
import { showQuery, takeFiles, takeRecordings } from './query.js';

const element = (id) => document.getElementById(id);
const list = element('results'), filters = element('filters'), message = element('message');
const kMostFiles = 60;

let library = null;
let query = null;              // {file} or {moment, by}
let facts = null;              // of the query's moment, to name it
let asked = null;              // AbortController of what is being asked
const files = new Map();       // queries by file, which no address can hold, by a number in the history

// ---- The address.
function readAddress() {
  const words = new URLSearchParams(location.search);
  filters.elements.for.value = ['audio', 'video'].includes(words.get('for')) ? words.get('for') : 'any';
  element('min').value = words.get('min') || 0;
  chooseFolder(words.get('under') || '');
  const moment = Number(words.get('moment'));
  if (words.get('moment') && Number.isSafeInteger(moment)) return { moment, by: words.get('by') === 'video' ? 'video' : 'audio' };
  const kept = files.get(history.state && history.state.file);
  return kept ? { file: kept } : null;
}

function writeAddress(isNew) {
  const words = new URLSearchParams();
  if (query && query.moment !== undefined) { words.set('moment', query.moment); words.set('by', query.by); }
  if (filters.elements.for.value !== 'any') words.set('for', filters.elements.for.value);
  if (Number(element('min').value) > 0) words.set('min', element('min').value);
  if (element('under').value) words.set('under', element('under').value);
  let state = null;
  if (query && query.file) {
    state = { file: [...files].find(([, file]) => file === query.file)?.[0] ?? files.size + 1 };
    files.set(state.file, query.file);
  }
  const text = words.toString();
  history[isNew ? 'pushState' : 'replaceState'](state, '', text ? `?${text}` : location.pathname);
}

function chooseFolder(path) {
  const select = element('under');
  if (path && ![...select.options].some((option) => option.value === path)) select.add(new Option(path, path));
  select.value = path;
}

// ---- What is said.
function say(title, text, { bad = false, button = null } = {}) {
  message.hidden = !title;
  if (!title) return;
  message.classList.toggle('bad', bad);
  message.querySelector('h2').textContent = title;
  message.querySelector('p').textContent = text;
  const act = message.querySelector('button');
  act.hidden = !button;
  if (button) {
    act.textContent = button.text;
    act.onclick = button.act;
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

function sayError(error) {
  if (error instanceof ServerGone) { serverIsGone(); return; }
  const titles = { 413: 'This file is too large', 415: 'This file cannot be searched by', 404: 'It is not in the library any more', 503: 'The server is busy' };
  const isServers = error instanceof ServerError;
  say(isServers && titles[error.status] ? titles[error.status] : 'That did not work',
    sentence(error.message) + (isServers && error.cure ? `\n${sentence(error.cure)}` : ''),
    { bad: true, button: error.status === 503 ? { text: 'Try again', act: () => run() } : null });
}

let goneTimer = 0;
function serverIsGone() {
  element('gone').hidden = false;
  element('status').textContent = '';
  if (goneTimer) return;
  goneTimer = setInterval(async () => {
    try {
      await fetch('healthz', { cache: 'no-store' });
    } catch { return; }
    clearInterval(goneTimer);
    goneTimer = 0;
    element('gone').hidden = true;
    if (!library) start(); else if (query) run();
  }, 2000);
}

// ---- Searching.
async function run() {
  say(null);
  showQuery(query, facts);
  filters.hidden = !query;
  if (asked) asked.abort();
  if (!query) {
    showResults(list, [], null);
    element('status').textContent = '';
    if (library && library.moments === 0)
      say('The library is empty', `Fill it with cavmae index ${library.name} --data FOLDER; what is added can be found at once.`);
    return;
  }
  if (query.file && library && query.file.size > library.max_upload_mb * 1e6) {
    say('This file is too large', `It has ${Math.round(query.file.size / 1e6)} MB, and ${library.max_upload_mb} are taken. Send a part of it.`, { bad: true });
    return;
  }
  const mine = asked = new AbortController();
  element('status').textContent = query.file ? 'Listening and looking…' : 'Searching…';
  list.classList.add('waiting');
  try {
    const options = { for: filters.elements.for.value, top: kMostFiles };
    if (element('under').value) options.under = element('under').value;
    const answer = await search(query, options, mine.signal);
    if (asked !== mine) return;
    showResults(list, answer.results, (next, nextFacts) => { setQuery(next, nextFacts); });
    showShare(answer);
  } catch (error) {
    if (error.name === 'AbortError') return;
    if (!(error instanceof ServerGone)) showResults(list, [], null);
    element('status').textContent = '';
    sayError(error);
  } finally {
    if (asked === mine) list.classList.remove('waiting');
  }
}

let lastAnswer = null;
function showShare(answer = lastAnswer) {
  lastAnswer = answer;
  if (!answer) return;
  const least = Number(element('min').value);
  element('min-text').textContent = least.toFixed(2);
  const shown = hideBelow(list, least), all = answer.results.length;
  const count = (number, word) => `${number.toLocaleString('en')} ${word}${number === 1 ? '' : 's'}`;
  element('status').textContent = shown
    ? `${count(shown, 'file')}${shown < all ? ` of ${all}` : ''}, best first, from ${count(answer.searched, 'moment')} in ${answer.seconds.toFixed(2)} s`
    : '';
  if (shown) say(null);
  else if (all) say('Nothing scores that much', `The best of ${all} files scores ${list.children[0].bestScore.toFixed(2)}.`, { button: { text: 'Show all', act: () => { element('min').value = 0; writeAddress(false); showShare(); } } });
  else if (answer.searched === 0) say('The library is empty', 'There is nothing to be found yet.');
  else say('Nothing was found', element('under').value ? 'Look in all folders, or for something else.' : 'Look for sounds and pictures both, or for something else.');
}

function setQuery(next, nextFacts = null, isNew = true) {
  query = next;
  facts = nextFacts;
  lastAnswer = null;
  writeAddress(isNew);
  scrollTo({ top: 0 });
  run();
}

async function nameQuery() {
  if (!query || query.moment === undefined || facts) return;
  try {
    const { whenText } = await import('./cards.js');
    const moment = await ask(`v1/moments/${query.moment}`);
    facts = { name: moment.name, when: whenText(moment) };
    showQuery(query, facts);
  } catch { /* the search itself says what is wrong */ }
}

// ---- The library, tokens, adding.
function askUserForToken(reason) {
  const dialog = element('token-dialog'), form = element('token-form'), error = element('token-error');
  if (reason.message && reason.message.includes('admin')) { error.textContent = sentence(reason.message); error.hidden = false; }
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      error.hidden = true;
      try {
        await beginSession(element('token').value.trim());
        element('token').value = '';
        dialog.close();
        resolve();
      } catch (failure) {
        error.textContent = sentence(failure.message);
        error.hidden = false;
      }
    };
  });
}

async function loadLibrary() {
  library = await ask('v1/library');
  const number = (value) => value.toLocaleString('en');
  element('library').textContent = `${library.name}: ${number(library.moments)} moments of ${number(library.files)} files`;
  const chosen = element('under').value;
  element('under').replaceChildren(new Option('All folders', ''), ...library.folders.map((path) => new Option(path, path)));
  chooseFolder(chosen);
  element('admin').hidden = library.access !== 'admin';
  element('add-roots').replaceChildren(...library.roots.map((path) => new Option(path, path)));
}

async function followIndexing() {
  for (;;) {
    const now = await ask('v1/index');
    const words = { running: `Adding ${now.path}: ${now.files_done} of ${now.files} files`, failed: `Not added: ${now.error}`, interrupted: 'Stopped before the end.' };
    element('add-status').textContent = now.state === 'done' ? `Added ${now.result.added} files, ${now.result.moments} moments; ${now.result.unchanged} were there.` : words[now.state] || '';
    if (now.state !== 'running') break;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  await loadLibrary();
}

element('add').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    await askJson('v1/index', { path: element('add-path').value.trim() });
    await followIndexing();
  } catch (error) {
    element('add-status').textContent = sentence(error.message) + (error.cure ? ` ${sentence(error.cure)}` : '');
  }
});

// ---- Keys, theme, begin.
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}
const preferred = matchMedia('(prefers-color-scheme: dark)');
const keptTheme = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
setTheme(keptTheme() || (preferred.matches ? 'dark' : 'light'));
preferred.addEventListener('change', () => { if (!keptTheme()) setTheme(preferred.matches ? 'dark' : 'light'); });
element('theme').addEventListener('click', () => {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  setTheme(next);
  try { localStorage.setItem('theme', next); } catch { /* not kept */ }
});
element('help').addEventListener('click', () => element('help-dialog').showModal());

function moveFocus(step) {
  const cards = [...list.children].filter((card) => !card.hidden);
  const at = cards.indexOf(document.activeElement.closest('.card'));
  const next = cards[Math.min(cards.length - 1, Math.max(0, at + step))];
  if (next) next.focus();
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.target.closest('input:not([type=radio]):not([type=range]), select, textarea')) return;
  const card = event.target.closest('.card');
  const press = (selector) => { const button = card && card.querySelector(selector); if (button && !button.hidden) button.click(); };
  const keys = {
    '/': () => element('choose').click(), r: () => element('record').click(), '?': () => element('help').click(),
    j: () => moveFocus(1), k: () => moveFocus(-1), s: () => press('.like-sound'), p: () => press('.like-picture'), Escape: stopPlaying,
  };
  if (event.key === 'Enter' && card === event.target) card.startOrStop();
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});

filters.addEventListener('submit', (event) => event.preventDefault());
filters.addEventListener('change', (event) => {
  writeAddress(false);
  if (event.target.id !== 'min') run();
});
element('min').addEventListener('input', () => showShare());
element('clear').addEventListener('click', () => { setQuery(null); element('choose').focus(); });
element('home').addEventListener('click', (event) => { event.preventDefault(); setQuery(null); });
takeFiles((file) => setQuery({ file }));
takeRecordings((file) => setQuery({ file }));
addEventListener('popstate', () => { query = readAddress(); facts = null; lastAnswer = null; run(); nameQuery(); });
onTokenNeeded(askUserForToken);

async function start() {
  try {
    await loadLibrary();
  } catch (error) {
    sayError(error);
    return;
  }
  query = readAddress();
  run();
  nameQuery();
}
start();
