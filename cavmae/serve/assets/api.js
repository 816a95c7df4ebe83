// What the page asks of the server: addresses are relative, so that it works below any path of a proxy.

export class ServerError extends Error {
  constructor(status, { code, message, cure } = {}) {
    super(message || `the server answered ${status}`);
    this.status = status;
    this.code = code || '';
    this.cure = cure || '';
  }
}
export class ServerGone extends Error {}

let askForToken = null;  // asks the user, and ends when there is a session
export function onTokenNeeded(ask) { askForToken = ask; }

async function fetchJson(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ServerGone('the server does not answer');
  }
  let json = {};
  try { json = await response.json(); } catch { /* a proxy's own page */ }
  if (!response.ok) throw new ServerError(response.status, json.error);
  return json;
}

export async function ask(path, options = {}) {
  for (;;) {
    try {
      return await fetchJson(path, options);
    } catch (error) {
      if (!(error instanceof ServerError) || error.status !== 401 || !askForToken) throw error;
      await askForToken(error);
    }
  }
}

export function askJson(path, value, options = {}) {
  return ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value), ...options });
}

export function beginSession(token) {
  return fetchJson('v1/session', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token }),
  });
}

// query: {file} or {moment}, and by; options: for, under, top.
export function search(query, options, signal) {
  if (!query.file) return askJson('v1/search', { moment: query.moment, by: query.by || 'any', ...options }, { signal });
  const form = new FormData();
  for (const [name, value] of Object.entries({ by: query.by || 'any', ...options })) form.append(name, value);
  form.append('file', query.file, query.file.name);
  return ask('v1/search', { method: 'POST', body: form, signal });
}
