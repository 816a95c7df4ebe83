// Results as cards: what is seen, heard and played of each.

const template = document.getElementById('card');

export function timeText(seconds) {
  const whole = Math.floor(seconds + 0.05), tenth = Math.floor((seconds + 0.05 - whole) * 10);
  const pad = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60, rest = whole % 60;
  return `${hours ? `${hours}:${pad(minutes)}` : minutes}:${pad(rest)}${tenth ? `.${tenth}` : ''}`;
}

const isStill = (moment) => moment.end_seconds <= moment.start_seconds;

export function whenText(moment) {
  if (isStill(moment)) return 'picture';
  return `${timeText(moment.start_seconds)} to ${timeText(moment.end_seconds)}`;
}

const isPicture = (result) => isStill(result.moments[0]) && !result.audio_path;

let playing = null;  // {card, player}

export function stopPlaying() {
  if (!playing) return false;
  const { card, player } = playing;
  playing = null;
  player.pause();
  player.removeAttribute('src');
  player.load();
  player.remove();
  card.classList.remove('playing');
  return true;
}

// A still picture in its full size: the file where this browser shows it, else what the server made of it.
function showPicture(result, moment) {
  const dialog = document.getElementById('picture-dialog'), image = dialog.querySelector('img');
  dialog.querySelector('h2').textContent = result.name;
  image.alt = `Picture ${result.name}`;
  image.onerror = () => { image.onerror = null; image.src = `v1/moments/${moment.moment}/thumbnail`; };
  image.src = `v1/files/${result.file}/media`;
  dialog.showModal();
}

// The file itself where this browser plays it, else the moment as WebM or Ogg.
function play(card, result, moment) {
  stopPlaying();
  markMoment(card, moment);
  showMoment(card, result, moment);
  if (isPicture(result)) {
    showPicture(result, moment);
    return;
  }
  const player = document.createElement(result.has_video ? 'video' : 'audio');
  player.controls = true;
  player.setAttribute('aria-label', `${result.name}, ${whenText(moment)}`);
  const clip = `v1/moments/${moment.moment}/clip`;
  const isSplit = Boolean(result.audio_path);
  const canPlay = !isSplit && player.canPlayType(result.media_type) !== '';
  let usesClip = !canPlay;
  const stopAt = () => {
    if (usesClip || !playing || playing.player !== player) return;
    if (player.currentTime >= moment.end_seconds && !player.dataset.passed) {
      player.dataset.passed = 'yes';  // whoever plays on hears the rest
      player.pause();
    }
  };
  player.addEventListener('loadedmetadata', () => { if (!usesClip) player.currentTime = moment.start_seconds; });
  player.addEventListener('timeupdate', stopAt);
  player.addEventListener('error', () => {
    if (!playing || playing.player !== player) return;
    if (!usesClip) {
      usesClip = true;
      player.src = clip;
      player.play().catch(() => {});
      return;
    }
    stopPlaying();
    card.querySelector('.why').textContent = 'It cannot be played: the file is gone or damaged.';
  });
  player.src = usesClip ? clip : `v1/files/${result.file}/media`;
  player.dataset.source = usesClip ? 'clip' : 'file';
  card.querySelector('.screen').append(player);
  card.classList.add('playing');
  playing = { card, player };
  player.play().catch(() => {});
}

function markMoment(card, moment) {
  for (const button of card.querySelectorAll('.moments button'))
    button.setAttribute('aria-current', String(button.dataset.moment === String(moment.moment)));
  card.dataset.moment = moment.moment;
}

function showImage(image, source, alt) {
  image.hidden = false;
  image.alt = alt;
  image.onerror = () => { image.hidden = true; };
  image.src = source;
}

function showMoment(card, result, moment) {
  const picture = card.querySelector('.picture'), strip = card.querySelector('.spectrogram');
  const spectrogram = `v1/moments/${moment.moment}/spectrogram`;
  const when = whenText(moment);
  if (result.has_video) {
    showImage(picture, `v1/moments/${moment.moment}/thumbnail`, `Picture of ${result.name}, ${when}`);
    if (result.has_audio) showImage(strip, spectrogram, `Sound of ${result.name}, ${when}, as a spectrogram`);
  } else {
    picture.classList.add('wide');
    showImage(picture, spectrogram, `Sound of ${result.name}, ${when}, as a spectrogram`);
  }
}

const kSides = { audio: 'sound', video: 'picture' };

function makeCard(result, onMore) {
  const card = template.content.firstElementChild.cloneNode(true);
  const best = result.moments[0];
  const find = (selector) => card.querySelector(selector);
  card.dataset.moment = best.moment;
  find('.name').textContent = result.name;
  find('.score').textContent = best.score.toFixed(2);
  find('.score').title = `Cosine similarity ${best.similarity.toFixed(3)}`;
  find('.place').textContent = result.folder;
  find('.why').textContent = best.query === best.found ? `Its ${kSides[best.found]} is alike` : `Its ${kSides[best.found]} goes with the ${kSides[best.query]}`;
  card.setAttribute('aria-label', `${result.name}, ${whenText(best)}, score ${best.score.toFixed(2)}`);
  const current = () => result.moments.find((one) => String(one.moment) === card.dataset.moment) || best;
  const start = () => play(card, result, current());
  const button = find('.play');
  button.setAttribute('aria-label', isPicture(result) ? `Open ${result.name}` : `Play ${result.name}, ${whenText(best)}`);
  button.addEventListener('click', start);
  for (const moment of isPicture(result) ? [] : result.moments) {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = whenText(moment);
    chip.title = `Score ${moment.score.toFixed(2)}`;
    chip.dataset.moment = moment.moment;
    chip.setAttribute('aria-label', `Play from ${whenText(moment)}, score ${moment.score.toFixed(2)}`);
    chip.addEventListener('click', () => play(card, result, moment));
    find('.moments').append(chip);
  }
  markMoment(card, best);
  showMoment(card, result, best);
  for (const [selector, by, has] of [['.like-sound', 'audio', result.has_audio], ['.like-picture', 'video', result.has_video]]) {
    const more = find(selector);
    more.hidden = !has;
    more.addEventListener('click', () => onMore({ moment: current().moment, by }, { name: result.name, when: whenText(current()) }));
  }
  card.startOrStop = () => { if (!playing || playing.card !== card) start(); else stopPlaying(); };
  card.bestScore = best.score;
  return card;
}

export function showResults(list, results, onMore) {
  stopPlaying();
  list.replaceChildren(...results.map((result) => makeCard(result, onMore)));
}

// Hides what scores less. How many are left.
export function hideBelow(list, least) {
  let shown = 0;
  for (const card of list.children) {
    card.hidden = card.bestScore < least;
    if (!card.hidden) shown += 1;
    else if (playing && playing.card === card) stopPlaying();
  }
  return shown;
}
