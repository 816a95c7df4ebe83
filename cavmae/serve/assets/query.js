// The ways to a query: a file that is dropped or chosen, and the microphone.

const element = (id) => document.getElementById(id);
const kLongestRecording = 30;  // seconds

export function takeFiles(onFile) {
  const input = element('file');
  element('choose').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    if (input.files.length) onFile(input.files[0]);
    input.value = '';
  });
  const drop = element('drop');
  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
  let depth = 0;
  addEventListener('dragenter', (event) => { if (hasFiles(event)) { depth += 1; drop.hidden = false; } });
  addEventListener('dragleave', (event) => { if (hasFiles(event) && (depth -= 1) <= 0) { depth = 0; drop.hidden = true; } });
  addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    drop.hidden = true;
    if (event.dataTransfer.files.length) onFile(event.dataTransfer.files[0]);
  });
  addEventListener('paste', (event) => {
    if (event.clipboardData && event.clipboardData.files.length) onFile(event.clipboardData.files[0]);
  });
}

function note(text) {
  const place = element('record-note');
  place.textContent = text;
  place.hidden = !text;
}

function whyNotRecorded(error) {
  if (error.name === 'NotAllowedError') return 'The browser was not allowed to use the microphone. Allow it in the address bar and try again.';
  if (error.name === 'NotFoundError') return 'No microphone was found.';
  return `The microphone could not be used: ${error.message}`;
}

export function takeRecordings(onFile) {
  const button = element('record'), text = element('record-text');
  let recorder = null, timer = 0;

  const finish = () => { if (recorder && recorder.state !== 'inactive') recorder.stop(); };
  const begin = async () => {
    if (!navigator.mediaDevices || !window.MediaRecorder) {
      note('Browsers give the microphone only to pages from localhost or over https. Open this page by one of them, or drop a recording.');
      return;
    }
    note('');
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    } catch (error) {
      note(whyNotRecorded(error));
      return;
    }
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener('dataavailable', (event) => parts.push(event.data));
    recorder.addEventListener('stop', () => {
      stream.getTracks().forEach((track) => track.stop());
      clearInterval(timer);
      button.setAttribute('aria-pressed', 'false');
      text.textContent = 'Record';
      note('');
      const type = recorder.mimeType || 'audio/webm';
      const extension = type.includes('mp4') ? 'm4a' : type.includes('ogg') ? 'ogg' : 'webm';
      recorder = null;
      const file = new File(parts, `recording.${extension}`, { type });
      if (file.size) onFile(file);
    });
    recorder.start();
    button.setAttribute('aria-pressed', 'true');
    const since = Date.now();
    const tell = () => {
      const seconds = Math.floor((Date.now() - since) / 1000);
      text.textContent = `Stop (${seconds} s)`;
      if (seconds >= kLongestRecording) finish();
    };
    tell();
    timer = setInterval(tell, 250);
    note('Listening. Stop when it was heard.');
  };
  button.addEventListener('click', () => (recorder ? finish() : begin()));
}

let shownUrl = '';

// Shows a query beside its name. query: {file}, or {moment, by}; facts: of the moment.
export function showQuery(query, facts) {
  const section = element('query'), view = element('query-view');
  view.replaceChildren();
  if (shownUrl) URL.revokeObjectURL(shownUrl);
  shownUrl = '';
  section.hidden = !query;
  document.body.classList.toggle('asked', Boolean(query));
  if (!query) return;
  if (query.file) {
    shownUrl = URL.createObjectURL(query.file);
    const kind = query.file.type.split('/')[0];
    const tag = kind === 'image' ? 'img' : kind === 'video' ? 'video' : 'audio';
    const preview = document.createElement(tag);
    preview.src = shownUrl;
    if (tag === 'img') preview.alt = '';
    if (tag === 'audio') preview.controls = true;
    if (tag === 'video') {  // too small for controls
      preview.title = 'Play or pause';
      preview.addEventListener('click', () => (preview.paused ? preview.play() : preview.pause()));
    }
    preview.addEventListener('error', () => preview.remove());
    view.append(preview);
    element('query-kind').textContent = 'Moments like this file';
    element('query-name').textContent = query.file.name;
    return;
  }
  const isSound = query.by === 'audio';
  element('query-kind').textContent = isSound ? 'Moments like the sound of' : 'Moments like the picture of';
  element('query-name').textContent = facts ? `${facts.name}, ${facts.when}` : `moment ${query.moment}`;
  const image = document.createElement('img');
  image.alt = '';
  image.src = `v1/moments/${query.moment}/${isSound ? 'spectrogram' : 'thumbnail'}`;
  image.addEventListener('error', () => image.remove());
  view.append(image);
}
