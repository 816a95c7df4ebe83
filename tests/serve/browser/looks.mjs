// Whether a page can be read and used: contrast, names of controls, width.

// Texts whose colours are less than 4.5 to 1 apart from what lies behind them.
export const faintTexts = (page) => page.evaluate(() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll('h1,h2,h3,p,span,button,label,legend,summary,strong,output,select')) {
    if (!node.textContent.trim() || !node.offsetParent || node.closest('[hidden]')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${node.tagName} "${node.textContent.trim().slice(0, 30)}" ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return faint;
});
export const namelessControls = (page) => page.evaluate(() => [...document.querySelectorAll('button, input, select, img, audio, video')]
  .filter((node) => node.offsetParent && !node.closest('[aria-hidden]'))
  .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.alt || (node.labels && node.labels.length) || node.hasAttribute('alt') || node.closest('.query-view')))
  .map((node) => node.outerHTML.slice(0, 120)));
export const fitsWidth = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
