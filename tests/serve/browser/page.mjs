// The page in headless Chromium, as people use it. Starts 'cavmae serve' itself and ends it.
//   node page.mjs PROGRAM LIBRARY EMPTY_LIBRARY FILMS TOKEN_FILE TOKEN OUT
// OUT: a folder for screenshots. Prints a line a check; exits 1 at the first that fails.
import { spawn } from 'node:child_process';
import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { faintTexts, fitsWidth, namelessControls } from './looks.mjs';

const [program, library, emptyLibrary, films, tokenFile, token, out] = process.argv.slice(2);
const kWait = 60000;
const servers = [];

function check(condition, what) {
  if (!condition) throw new Error(`failed: ${what}`);
  console.log(`ok: ${what}`);
}

// Its address and how to end it; with `port` at that one.
function serve(folder, flags = [], port = 0) {
  const child = spawn(program, ['serve', folder, '--port', String(port), ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(child);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the server did not begin')), kWait);
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      const found = text.match(/http:\/\/\S+:(\d+)\//);
      if (!found) return;
      clearTimeout(timer);
      const ended = new Promise((end) => child.on('exit', end));
      resolve({ url: found[0], port: Number(found[1]), stop: async () => { child.kill('SIGTERM'); await ended; } });
    });
    child.on('exit', (code) => { clearTimeout(timer); reject(new Error(`the server ended with ${code}`)); });
  });
}

// A proxy that shows the server below a path.
function proxy(port, prefix) {
  const server = http.createServer((request, response) => {
    if (!request.url.startsWith(prefix)) { response.writeHead(404).end(); return; }
    const forward = http.request({ port, host: '127.0.0.1', path: request.url.slice(prefix.length - 1), method: request.method, headers: request.headers },
      (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
    forward.on('error', () => response.writeHead(502).end());
    request.pipe(forward);
  });
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${server.address().port}${prefix}`, close: () => server.close() })); });
}

async function newPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ['microphone'], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(kWait / 2);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (line) => { if (/Content.Security.Policy|Refused to/.test(line.text())) page.problems.push(line.text()); });
  return page;
}

async function drop(page, file, type) {
  const bytes = fs.readFileSync(file).toString('base64');
  const transfer = await page.evaluateHandle(([text, name, kind]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type: kind }));
    return data;
  }, [bytes, path.basename(file), type]);
  await page.dispatchEvent('main', 'dragenter', { dataTransfer: transfer });
  await page.waitForSelector('#drop', { state: 'visible' });
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
}

// Asks until what it gives is true, and gives that. (Playwright's own way evaluates text, which the page forbids.)
async function until(page, ask) {
  const end = Date.now() + kWait;
  for (;;) {
    const value = await page.evaluate(ask);
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for ${ask}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const secondsOf = (text) => text.split(':').reduce((sum, part) => 60 * sum + Number(part), 0);  // '1:02.5'
const cards = (page) => page.locator('.card:visible');
const names = (page) => page.locator('.card:visible .name').allTextContents();
const settled = (page) => until(page, () => document.querySelectorAll('.card').length > 0 && !document.querySelector('.results.waiting'));
const playerTime = (page) => until(page, () => {
  const player = document.querySelector('.screen video, .screen audio');
  return player && !player.paused && player.currentTime > Number(player.dataset.from || 0) + 0.2 ? { time: player.currentTime, source: player.currentSrc } : null;
});
const imagesAreThere = (page) => until(page, () => [...document.querySelectorAll('.card img:not([hidden])')].slice(0, 4)
  .every((image) => image.complete && image.naturalWidth > 0) && Boolean(document.querySelector('.card img:not([hidden])')));

async function searching(browser, server) {
  const page = await newPage(browser);
  await page.goto(`${server.url}?for=audio`);
  await until(page, () => document.querySelector('#library').textContent.includes('moments'));
  check(await page.locator('h1').isVisible() && await page.locator('#filters').isHidden(), 'the page begins with a question');

  await drop(page, path.join(films, 'sounds', 'bird.wv'), 'audio/x-wavpack');
  await settled(page);
  check((await names(page))[0] === 'bird.wv', 'a sound that is dropped finds itself first');
  await imagesAreThere(page);
  check(true, 'cards have pictures');

  const mandel = page.locator('.card', { hasText: 'mandel.mp4' });
  await mandel.focus();
  await page.keyboard.press('Enter');
  const film = await playerTime(page);
  const begin = secondsOf((await mandel.locator('[aria-current=true]').textContent()).split(' ')[0]);
  check(film.source.includes('/media') && film.time >= begin, `the file itself is played at the moment (${film.time.toFixed(1)} s)`);
  await page.keyboard.press('Escape');
  check(await page.locator('.screen video').count() === 0, 'Escape stops it');
  const spans = (await mandel.locator('.moments button').allTextContents()).map((text) => text.split(' to ').map(secondsOf));
  const later = spans.findIndex(([start]) => start >= 2);
  check(later >= 0, 'there are moments that are not the beginning of their file');
  await page.evaluate(() => document.addEventListener('timeupdate', ({ target }) => {
    if (!target.paused) window.heardFrom ??= target.currentTime;
  }, true));
  await mandel.locator('.moments button').nth(later).click();
  const heard = await until(page, () => window.heardFrom);
  check(heard >= spans[later][0] && heard < spans[later][1], `a moment is played from its start on (${heard.toFixed(1)} s of ${spans[later].join(' to ')})`);
  await page.keyboard.press('Escape');

  for (const [name, tag] of [['waves.avi', 'video'], ['bird.wv', 'audio']]) {
    const card = page.locator('.card', { hasText: name });
    await card.locator('.play').click();
    const clip = await playerTime(page);
    check(clip.source.includes('/clip') && await card.locator(`.screen ${tag}`).count() === 1, `${name} is played as a clip`);
  }
  await page.keyboard.press('Escape');

  await page.locator('input[name=for][value=any]').check();
  await page.locator('#file').setInputFiles(path.join(films, 'poster.tif'));
  await page.locator('.card', { hasText: 'poster.tif' }).locator('.play').click();
  await until(page, () => document.querySelector('#picture-dialog[open] img')?.naturalWidth > 0);
  check((await page.locator('#picture-title').textContent()) === 'poster.tif', 'a still picture opens in its full size, also one that browsers do not show');
  await page.screenshot({ path: path.join(out, 'picture.png') });
  await page.keyboard.press('Escape');
  check(await page.locator('#picture-dialog').isHidden(), 'and is closed by a key');
  await page.goBack();
  await page.locator('.card', { hasText: 'waves.avi' }).waitFor();

  await page.locator('.card', { hasText: 'waves.avi' }).locator('.like-sound').click();
  await until(page, () => location.search.includes('by=audio'));
  await settled(page);
  check((await names(page))[0] === 'waves.avi' && (await page.locator('#query-name').textContent()).includes('waves.avi'), 'more like its sound');
  await page.locator('input[name=for][value=video]').check();
  await until(page, () => location.search.includes('for=video'));
  await settled(page);
  await page.locator('.card', { hasText: 'waves.avi' }).focus();
  await page.keyboard.press('p');
  await until(page, () => location.search.includes('by=video'));
  await settled(page);
  check((await names(page))[0] === 'waves.avi', 'more like its picture, by a key');
  await page.reload();
  await settled(page);
  check((await names(page))[0] === 'waves.avi' && (await page.locator('#query-kind').textContent()).includes('picture'), 'the address holds the query');
  await page.goBack();
  await until(page, () => location.search.includes('by=audio'));
  await settled(page);
  check((await page.locator('#query-kind').textContent()).includes('sound'), 'going back goes back');
  await page.locator('input[name=for][value=any]').check();
  await until(page, () => !location.search.includes('for='));
  await settled(page);

  const all = await cards(page).count();
  await page.locator('#min').fill('0.9');
  check(await cards(page).count() < all, 'the slider hides what scores less');
  await page.locator('#min').fill('1');
  await page.waitForSelector('#message:visible');
  check((await page.locator('#message h2').textContent()).includes('Nothing scores'), 'no match says so');
  await page.locator('#message button').click();
  check(await cards(page).count() === all, 'and offers all');
  await page.locator('#under').selectOption({ label: path.join(films, 'sounds') });
  await until(page, () => location.search.includes('under='));
  await settled(page);
  check((await names(page)).every((name) => ['bird.wv', 'hum.wav'].includes(name)), 'a folder limits the search');
  await page.locator('input[name=for][value=video]').check();
  await page.waitForSelector('#message:visible');
  check(await cards(page).count() === 0 && (await page.locator('#message').textContent()).includes('Nothing was found'), 'a search that finds nothing says so');
  await page.locator('#under').selectOption('');
  await until(page, () => !location.search.includes('under='));
  await settled(page);
  await page.locator('input[name=for][value=video]').check();
  await until(page, () => location.search.includes('for=video'));
  await settled(page);
  check(!(await names(page)).includes('hum.wav'), 'pictures alone are looked for');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  check(await page.evaluate(() => document.activeElement === document.querySelectorAll('.card')[1]), 'j goes from result to result');

  await page.locator('#file').setInputFiles({ name: 'words.txt', mimeType: 'text/plain', buffer: Buffer.from('no sound') });
  await page.waitForSelector('#message:visible');
  check((await page.locator('#message').textContent()).includes('cannot be searched by') && (await page.locator('#message').textContent()).includes('words.txt'), 'a wrong file is named');

  await page.locator('#record').click();
  await until(page, () => document.querySelector('#record-text').textContent.match(/Stop \(([2-9]|\d\d)/) !== null);
  await page.locator('#record').click();
  await settled(page);
  check((await page.locator('#query-name').textContent()).startsWith('recording.'), 'a recording is searched by');

  check((await namelessControls(page)).length === 0, `controls have names ${await namelessControls(page)}`);
  check(page.problems.length === 0, `nothing was refused or broke ${page.problems}`);
  await page.context().close();
}

// As from an address that is neither localhost nor https.
async function withoutMicrophone(browser, server) {
  const page = await newPage(browser);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'mediaDevices', { get: () => undefined }));
  await page.goto(server.url);
  await page.locator('#record').click();
  await page.waitForSelector('#record-note:visible');
  const hint = await page.locator('#record-note').textContent();
  check(hint.includes('localhost') && hint.includes('https'), 'where browsers give no microphone, what they want is told');
  check(page.problems.length === 0, `nothing broke ${page.problems}`);
  await page.context().close();
}

async function looks(browser, server) {
  for (const colorScheme of ['light', 'dark'])
    for (const [device, viewport] of [['wide', { width: 1120, height: 720 }], ['phone', { width: 390, height: 844 }]]) {
      const page = await newPage(browser, { colorScheme, viewport, reducedMotion: 'reduce' });
      await page.goto(server.url);
      await until(page, () => document.querySelector('#library').textContent.includes('moments'));
      check(await fitsWidth(page) && (await faintTexts(page)).length === 0, `${device} ${colorScheme} begins well ${await faintTexts(page)}`);
      await page.screenshot({ path: path.join(out, `begin_${device}_${colorScheme}.png`) });
      await page.locator('#file').setInputFiles(path.join(films, 'mandel.mp4'));
      await settled(page);
      await imagesAreThere(page);
      check(await fitsWidth(page), `${device} ${colorScheme} fits its width`);
      check((await faintTexts(page)).length === 0, `${device} ${colorScheme} can be read ${await faintTexts(page)}`);
      await page.screenshot({ path: path.join(out, `${device}_${colorScheme}.png`) });
      await page.context().close();
    }
  check(fs.statSync(path.join(out, 'wide_light.png')).size < 300000, 'the screenshot is small');
}

async function serversComeAndGo(browser, server) {
  const page = await newPage(browser);
  await page.goto(server.url);
  await page.locator('#file').setInputFiles(path.join(films, 'sounds', 'hum.wav'));
  await settled(page);
  await server.stop();
  await page.locator('.like-sound:visible').first().click();
  await page.waitForSelector('#gone:visible');
  check(await cards(page).count() > 0, 'a server that is gone is told, and what was found stays');
  const again = await serve(library, [], server.port);
  await page.waitForSelector('#gone', { state: 'hidden' });
  await settled(page);
  check(true, 'it goes on when the server is back');
  check(page.problems.length === 0, `nothing broke ${page.problems}`);
  await page.context().close();
  return again;
}

async function tokens(browser) {
  const server = await serve(library, ['--token-file', tokenFile]);
  const page = await newPage(browser);
  await page.goto(server.url);
  await page.waitForSelector('#token-dialog[open]');
  await page.locator('#token').fill('not-the-token-0123456789');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#token-error:visible');
  check(true, 'a wrong token is refused');
  await page.locator('#token').fill(token);
  await page.keyboard.press('Enter');
  await until(page, () => document.querySelector('#library').textContent.includes('moments'));
  await page.locator('#file').setInputFiles(path.join(films, 'mandel.mp4'));
  await settled(page);
  await imagesAreThere(page);
  check(!(await page.url()).includes(token) && !(await page.evaluate(() => document.cookie)), 'a token opens the library, and no script sees the session');
  await page.context().close();
  await server.stop();
}

async function emptyAndBehindAProxy(browser, server) {
  const none = await serve(emptyLibrary);
  const page = await newPage(browser);
  await page.goto(none.url);
  await page.waitForSelector('#message:visible');
  check((await page.locator('#message').textContent()).includes('library is empty'), 'an empty library says so');
  await none.stop();
  const front = await proxy(server.port, '/media/search/');
  await page.goto(front.url);
  await page.locator('#file').setInputFiles(path.join(films, 'mandel.mp4'));
  await settled(page);
  await imagesAreThere(page);
  await page.locator('.play').first().click();
  await playerTime(page);
  check(page.problems.length === 0, 'it works below a path of a proxy');
  await page.context().close();
  front.close();
}

let browser = null;
let failed = 0;
const limit = setTimeout(() => { console.error('failed: took too long'); servers.forEach((child) => child.kill('SIGKILL')); process.exit(1); }, 600000);
try {
  browser = await chromium.launch({
    executablePath: process.env.CAVMAE_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
  });
  let server = await serve(library);
  await searching(browser, server);
  await withoutMicrophone(browser, server);
  await looks(browser, server);
  server = await serversComeAndGo(browser, server);
  await emptyAndBehindAProxy(browser, server);
  await server.stop();
  await tokens(browser);
} catch (error) {
  console.error(error.stack);
  failed = 1;
} finally {
  clearTimeout(limit);
  if (browser) await browser.close();
  servers.forEach((child) => { if (child.exitCode === null) child.kill('SIGKILL'); });
}
process.exit(failed);
