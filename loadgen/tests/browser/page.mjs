// Tests a report page in a real browser: node page.mjs REPORT.html REPORT.json OUT
// OUT receives screenshots and print.pdf. Every line of the output says ok or FAIL.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [page, json, out] = process.argv.slice(2);
const report = JSON.parse(readFileSync(json, 'utf8'));
const url = pathToFileURL(page).href;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// What app.js waits for before it writes a link.
const LINK_MS = 400;

let failed = 0;
function check(what, holds, found = '') {
  if (!holds) failed += 1;
  console.log(holds ? `ok    ${what}` : `FAIL  ${what}: ${found}`);
}

const browser = await chromium.launch({
  executablePath: process.env.AUTHBENCH_CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});

// A page of its own, and what went wrong on it.
async function open(address = url, { width = 1280, colorScheme = 'light', script = true } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme, javaScriptEnabled: script,
    reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'],
  });
  const tab = await context.newPage();
  const wrong = [];
  tab.on('console', (message) => wrong.push(`console: ${message.text()}`));
  tab.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  tab.on('request', (request) => {
    if (request.url().split('#')[0] !== url) wrong.push(`request: ${request.url()}`);
  });
  await tab.goto(address);
  return { tab, wrong, close: () => context.close() };
}

// ---- Marks stand for the figures of report.json -----------------------------------------------

async function marks(tab) {
  const all = await tab.$$eval('.chart .mark', (nodes) => nodes.map((node) => ({
    chart: node.closest('.chart').dataset.chart, ...node.dataset,
  })));
  const named = new Map(report.experiments.map(({ name }) => [name, name]));
  let compared = 0;
  const wrong = [];
  for (const mark of all) {
    const [experiment, metric] = mark.chart.split(/-(.*)/);
    if (!named.has(experiment)) continue;
    compared += 1;
    const same = report.measurements.some((m) => m.experiment === experiment
      && m.metric === metric && m.arm === mark.arm && m.estimate.point === Number(mark.y)
      && m.estimate.n === Number(mark.n) && (mark.lo === undefined
      || (m.estimate.interval[0] === Number(mark.lo)
      && m.estimate.interval[1] === Number(mark.hi))));
    if (!same) wrong.push(JSON.stringify(mark));
  }
  check('marks are figures of report.json', compared > 20 && wrong.length === 0,
    `${compared} compared, ${wrong.slice(0, 3)}`);
  const probes = (report.probes || []).length;
  const drawn = all.filter((mark) => mark.chart === 'rate' && /probe/.test(mark.note || ''));
  const known = drawn.every((mark) => report.probes.some((probe) => probe.arm === mark.arm
    && probe.rate_rps === Number(mark.x) && probe.response_p99_us === Number(mark.y)));
  check('probes are those of report.json', known && (probes === 0 || drawn.length > 0));
}

// Within a chart a larger value stands no lower, and the same value at the same height.
async function places(tab) {
  const wrong = await tab.$$eval('.chart:not([data-chart="crossover"])', (charts) => {
    const bad = [];
    for (const chart of charts) {
      const found = [...chart.querySelectorAll('.mark')].map((mark) => {
        const box = mark.getBoundingClientRect();
        const at = [box.left + box.width / 2, box.top + box.height / 2];
        return { at, y: Number(mark.dataset.y), hidden: box.width === 0 };
      }).filter(({ hidden }) => !hidden);
      if (!found.length) continue;
      const isRows = chart.dataset.layout === 'rows';
      const axis = isRows ? 0 : 1;
      const sorted = [...found].sort((a, b) => a.y - b.y);
      const off = sorted.some((mark, i) => i
        && (isRows ? sorted[i - 1].at[axis] - mark.at[axis]
          : mark.at[axis] - sorted[i - 1].at[axis]) > 1.5);
      if (off) bad.push(chart.dataset.chart);
    }
    return bad;
  });
  check('marks are in the order of their values', wrong.length === 0, wrong.join());
}

// ---- Legend, keyboard, calculator, table, link ------------------------------------------------

async function legend(tab) {
  const keys = tab.locator('.legend .key');
  if (!await keys.count()) return check('legend', false, 'no key');
  const arm = await keys.nth(1).getAttribute('data-arm');
  await keys.nth(1).click();
  await tab.waitForTimeout(LINK_MS);
  const state = await tab.evaluate((name) => {
    const own = (selector) => [...document.querySelectorAll(selector)]
      .filter((node) => node.dataset.arm === name);
    const gone = (node) => getComputedStyle(node).display === 'none';
    return {
      keys: own('.key').every((key) => key.getAttribute('aria-pressed') === 'false'),
      series: own('.series').length > 0 && own('.series').every(gone),
      rows: own('details tr').every(gone),
    };
  }, arm);
  check('legend hides an arm everywhere', state.keys && state.series && state.rows,
    JSON.stringify(state));
  const hash = await tab.evaluate(() => location.hash);
  check('the link keeps the hidden arm', hash.includes(`off=${encodeURIComponent(arm)}`), hash);
  await tab.locator('.legend .all').first().click();
  await tab.waitForTimeout(LINK_MS);
  check('legend shows all again', await tab.locator('.off').count() === 0);
}

async function keyboard(tab) {
  const chart = tab.locator('.chart:has(.line)').first();
  check('one tab stop per chart', await tab.$$eval('.chart', (charts) => charts.every((one) =>
    !one.querySelector('.mark') || one.querySelectorAll('.mark[tabindex="0"]').length === 1)));
  await chart.locator('.mark[tabindex="0"]').first().focus();
  const place = () => tab.evaluate(() => [document.activeElement.dataset.arm,
    document.activeElement.dataset.x].join(' '));
  const seen = [await place()];
  for (const key of ['ArrowRight', 'End', 'Home']) {
    await tab.keyboard.press(key);
    seen.push(await place());
  }
  check('arrow keys move among figures', seen[0] !== seen[1] && seen[3] === seen[0],
    seen.join(' | '));
  check('a figure is shown', await tab.locator('.tip').isVisible());
  await tab.keyboard.press('Escape');
  check('Escape hides it', !await tab.locator('.tip').isVisible());
}

async function calculator(tab) {
  const users = tab.locator('#system [name="users"]');
  if (!await users.count() || !report.prices) return;
  const before = await tab.locator('#verdict').textContent();
  const crossings = await tab.locator('#crossings').textContent();
  await users.fill('7');
  await tab.locator('#system [name="rate"]').fill('2');
  await tab.waitForTimeout(LINK_MS);
  const after = await tab.locator('#verdict').textContent();
  check('sliders change the answer', before !== after, before);
  const cost = () => tab.locator('#ranking .cost b').last().textContent();
  const billed = await cost();
  await tab.locator('#system [name="billed"]').uncheck();
  await tab.waitForTimeout(LINK_MS);
  check('bytes on the wire can be left off the bill', billed !== await cost()
    && await tab.locator('#traffic-says').textContent() === '', billed);
  await tab.locator('#system [name="billed"]').check();
  const price = tab.locator('#system [name="memory_gib_hour"]');
  await price.fill('0,5x');
  const marked = await price.getAttribute('aria-invalid');
  check('a price that is no number is marked', marked === 'true');
  await price.fill('0,5');
  await tab.waitForTimeout(LINK_MS);
  check('a price changes the crossover',
    crossings !== await tab.locator('#crossings').textContent(), crossings);
}

async function table(tab) {
  const column = (i) => tab.$$eval('#figures tbody tr',
    (rows, at) => rows.map((row) => row.children[at].textContent), i);
  await tab.locator('#filter').fill('p99');
  const head = tab.locator('#figures th[data-column="point"] button');
  await head.click();
  await head.click();
  await tab.waitForTimeout(LINK_MS);
  const metrics = await column(2);
  check('the filter filters', metrics.length > 3 && metrics.every((name) => name.includes('p99')),
    metrics.slice(0, 3).join());
  const values = (await column(7)).map((text) => Number(text.replace(/,/g, '')));
  check('the table sorts', values.every((value, i) => !i || values[i - 1] >= value),
    values.slice(0, 5).join());
  await tab.locator('#copy-csv').click();
  const csv = await tab.evaluate(() => navigator.clipboard.readText());
  check('the table is copied as CSV', csv.startsWith('experiment,arm,metric,'), csv.slice(0, 80));
}

async function link(tab) {
  const seen = () => JSON.stringify([document.querySelector('#verdict')?.textContent,
    document.querySelector('#shown')?.textContent,
    document.querySelectorAll('.off:not(.tip *)').length,
    [...document.querySelectorAll('[data-keep]')].map((node) =>
      (node.type === 'checkbox' ? node.checked : node.value))]);
  await tab.locator('.legend .key').nth(2).click();
  await tab.waitForTimeout(LINK_MS);
  const before = await tab.evaluate(seen);
  const again = await open(tab.url());
  check('a link restores the settings', before === await again.tab.evaluate(seen), tab.url());
  await again.tab.evaluate(() => { location.hash = '#=&&off=nobody&sort=x.y&u=abc&i=999&%'; });
  await again.tab.waitForTimeout(LINK_MS);
  check('a broken link does no harm', again.wrong.length === 0, again.wrong.join());
  await again.close();
}

// ---- Looks ------------------------------------------------------------------------------------

async function look(width, colorScheme) {
  const { tab, wrong, close } = await open(url, { width, colorScheme });
  const name = `${width} ${colorScheme}`;
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
  check(`${name}: no sideways scroll`, wide <= width, `${wide}`);
  await tab.evaluate(`${axe}; undefined`);
  const found = await tab.evaluate(() => axe.run(document, { resultTypes: ['violations'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)));
  check(`${name}: axe finds nothing`, found.length === 0, found.join('\n      '));
  await tab.screenshot({ path: `${out}/report-${width}-${colorScheme}.png`, fullPage: true });
  check(`${name}: quiet`, wrong.length === 0, wrong.join());
  await close();
}

async function withoutScript() {
  const { tab, close } = await open(url, { script: false });
  const text = await tab.locator('main').innerText();
  check('without script there are marks and an answer',
    await tab.locator('.mark').count() > 20 && text.length > 1000);
  await tab.screenshot({ path: `${out}/report-without-script.png`, fullPage: true });
  await close();
}

async function paper() {
  const { tab, close } = await open(url, { colorScheme: 'dark' });
  const pdf = await tab.pdf({ preferCSSPageSize: true });
  writeFileSync(`${out}/print.pdf`, pdf);
  const pages = pdf.toString('latin1').match(/\/Type ?\/Page\b(?!s)/g)?.length ?? 0;
  check(`printed on ${pages} pages`, pages >= 2 && pages <= PAGES_MAX, `more than ${PAGES_MAX}`);
  await close();
}

const PAGES_MAX = Number(process.env.AUTHBENCH_PAGES_MAX || 20);
const { tab, wrong, close } = await open();
for (const part of [marks, places, legend, keyboard, calculator, table, link]) {
  try {
    await part(tab);
  } catch (error) {
    check(part.name, false, error.message.split('\n')[0]);
  }
}
check('no console message, no error, no request', wrong.length === 0, wrong.join('; '));
await close();
for (const width of [1280, 400]) for (const scheme of ['light', 'dark']) await look(width, scheme);
await withoutScript();
await paper();
await browser.close();
console.log(failed ? `${failed} failed` : 'all passed');
process.exitCode = failed ? 1 : 0;
