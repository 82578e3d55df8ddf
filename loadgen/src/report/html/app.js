// The report page, enhanced: hover, keyboard, legend, calculator, crossover, table and links.
// The page is complete without this file. It makes no request and changes no measured figure.
//
// What it expects of the page. A part that is missing switches off only what depends on it.
//
// <script type="application/json" id="data">: an object; `<` is written \u003c. Null: not measured.
//   arms         [{name, role, family, form, shape, open}], the order that legends have.
//                role: "baseline" | "reference" | "arm" | "twin"; family: "floor" | "session" |
//                "token" | "hybrid"; form: text; shape: X of <symbol id="shape-X">; open: hollow?
//   metrics      [{name, label, unit, better}]; better: "lower" | "higher" | "neither"
//   experiments  [name]
//   figures      [[experiment, metric, arm, level, users, connections, rate, point, lo, hi, n,
//                valid, primary]]; the first three are indexes into the lists above, the last two
//                0 or 1; figures are in the metric's unit
//   prices       {cpu_hour, memory_gib_hour, traffic_gb, currency} or null: per CPU hour, GiB-hour
//                and GB on the wire; currency: text before an amount, maybe empty
//   system       null, or what the calculator knows:
//     users_measured   most logins over which memory was measured, or null
//     cpu_at           text: where CPU time and bytes were measured ("64 concurrent users")
//     limit            text: the limit that capacity was searched for ("with p99 within 10 ms")
//     arms             [{arm, cpu, memory, wire, capacity, needs}], without baseline and twin
//       arm        index
//       cpu        [{items, total, added, lo, hi}]: us per request, the store's included; added to
//                  the baseline, and the interval of added
//       memory     [{items, server, store, lo, hi}]: bytes per login; the interval of their sum
//       wire       [{items, bytes, added}]: bytes per request; added to the baseline
//       capacity   {point, lo, hi}, requests per second on one core, or null
//       needs      {logout, any_server, restart}: each {holds, says}; holds: true, false or null;
//                  says: the words of the matrix cell ("in 1.3 ms", "only until it expires")
//
// [data-arm=NAME]: belongs to an arm; hiding the arm adds class "off". What that looks like is the
//   style sheet's: a series and a table row vanish, a row of the matrix fades.
// .legend button.key[data-arm][aria-pressed]: a key; pressed means shown.
// figure.chart[data-chart][data-x-name][data-x-unit][data-y-name][data-unit] svg
//   g.series[data-arm][data-family] .mark[data-arm][data-x][data-y][data-lo][data-hi][data-n]
//   [data-note][tabindex=-1]: x, y, lo and hi are numbers in data-x-unit and data-unit; data-x may
//   be text; data-note is text to show with the figure ("over its limit").
// figure.chart[data-chart=crossover][data-unit=money]: its svg is drawn anew for every change.
// [data-keep=KEY]: a form control whose value the link keeps under KEY.
// #system (no form), with controls by name: users and rate (range: log10 of users, and of requests
//   per user and hour; each with an <output for=ID>), items (select), logout, any_server, restart
//   (checkbox), billed (checkbox: whether bytes on the wire cost anything), cpu_hour,
//   memory_gib_hour, traffic_gb, busy (text; busy in percent), per (select: month or hour).
//   #verdict, #traffic-says, #ranking (ol), #assumptions (ul) receive the answer.
// table#crossings and p#crossover-says receive the crossovers.
// table#figures with empty thead and tbody; #filter (text), #experiment (select, "" for all),
//   #primary (checkbox), #copy-csv, #copy-markdown, #more (buttons), #shown (output).
// button#theme. nav a[href^="#"]: the sections. .needs-script: hidden until this file runs.
//
// The link: #SECTION&KEY=VALUE&...; keys are those of data-keep, off=ARM (repeated), theme=dark or
// light, sort=COLUMN.asc or COLUMN.desc. What has its default is left out.
(() => {
  'use strict';

  const HOURS_PER_MONTH = 730;
  const GIB = 2 ** 30;
  const GB = 1e9;
  const US_PER_HOUR = 3.6e9;
  const ROWS_AT_ONCE = 100;
  const NEAR_PX = 40;

  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const missing = (value) => value === null || value === undefined;
  const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

  // ---- Building nodes -------------------------------------------------------------------------

  function build(node, attributes, children) {
    const given = Object.entries(attributes).filter(([, value]) => !missing(value));
    given.forEach(([name, value]) => node.setAttribute(name, value));
    node.append(...children);
    return node;
  }

  const html = (tag, attributes, ...children) =>
    build(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) =>
    build(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

  function armLabel({ name, family, shape, open }) {
    const glyph = svg('svg', {
      class: open ? 'glyph open' : 'glyph', viewBox: '-7 -7 14 14', 'aria-hidden': 'true',
      'data-arm': name, 'data-family': family,
    }, svg('use', { href: `#shape-${shape}`, x: -7, y: -7, width: 14, height: 14 }));
    return html('span', { class: 'arm-name' }, glyph, name);
  }

  // ---- Writing figures, as the tables of the page write them ----------------------------------

  const grouped = (value) => Math.round(value).toLocaleString('en');
  function digits(value) {
    const size = Math.abs(value);
    if (!Number.isFinite(value)) return '–';
    if (size >= 1000) return grouped(Number(value.toPrecision(3)));
    const text = value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
    return Number(text) === 0 ? '0' : text;
  }

  // Three significant digits however small: a hundredth of a cent is not nothing.
  function significant(value) {
    const size = Math.abs(value);
    if (!(size > 0 && size < 1)) return digits(value);
    return value.toFixed(Math.min(12, 2 - Math.floor(Math.log10(size))));
  }

  // The steps of a unit, the largest first: from which size on, divided by what, called what.
  const TIMES = [[1e6, 1e6, 's'], [1e3, 1e3, 'ms'], [0, 1, 'µs']];
  const SIZES = [[2 ** 40, 2 ** 40, 'TiB'], [GIB, GIB, 'GiB'], [2 ** 20, 2 ** 20, 'MiB'],
    [10240, 1024, 'KiB'], [0, 1, 'bytes']];
  const scaled = (steps) => (value) => {
    const [, by, unit] = steps.find(([least]) => Math.abs(value) >= least) || [0, 1, ''];
    return `${digits(value / by)} ${unit}`;
  };
  const bytes = scaled(SIZES);
  const money = (value) =>
    (value < 0 ? '−' : '') + (prices.currency || '') + significant(Math.abs(value));
  const UNITS = {
    us: scaled(TIMES), bytes, money, coefficient: significant,
    'requests/s': (value) => `${digits(value)} /s`, share: (value) => `${digits(value * 100)} %`,
  };
  const figure = (value, unit) =>
    (UNITS[unit] ? UNITS[unit](value) : `${digits(value)} ${unit}`.trim());

  // Empty where both ends read the same.
  function range(lo, hi, unit) {
    const [from, to] = [figure(lo, unit), figure(hi, unit)];
    if (from === to) return '';
    const [number, same] = from.split(' ');
    return same && to.endsWith(` ${same}`) ? `${number} to ${to}` : `${from} to ${to}`;
  }

  function howMany(value) {
    const rounded = Number(value.toPrecision(3));
    if (rounded >= 1e6) return `${rounded / 1e6} million`;
    return rounded >= 1000 ? grouped(rounded) : String(rounded);
  }

  // ---- Data, and the settings that the link keeps ---------------------------------------------

  const data = JSON.parse($('#data') ? $('#data').textContent : '{}');
  const arms = data.arms || [];
  const prices = data.prices || {};
  const system = data.system || {};
  const priced = (system.arms || []).filter((one) => arms[one.arm]);
  const off = new Set();
  const state = { section: '', theme: '', sort: null };
  const defaults = new Map();
  const shown = (name) => !off.has(name);
  const kept = $$('[data-keep]');
  const isBox = (control) => control.type === 'checkbox';
  const valueOf = (control) => (isBox(control) ? String(Number(control.checked)) : control.value);

  function setValue(control, value) {
    if (isBox(control)) control.checked = value === '1';
    else control.value = value;
    // An option of another campaign.
    if (control.selectedIndex === -1) control.value = defaults.get(control.dataset.keep);
  }

  function hash() {
    const words = new URLSearchParams();
    for (const control of kept) {
      const key = control.dataset.keep;
      if (valueOf(control) !== defaults.get(key)) words.set(key, valueOf(control));
    }
    for (const name of off) words.append('off', name);
    if (state.theme) words.set('theme', state.theme);
    if (state.sort) words.set('sort', `${state.sort.column}.${state.sort.way}`);
    return [state.section, words.toString()].filter(Boolean).join('&');
  }

  // Browsers refuse more than some hundred changes of the address at a time: a slider makes more.
  function keep() {
    clearTimeout(state.keeping);
    state.keeping = setTimeout(() => {
      const words = hash();
      history.replaceState(null, '', location.pathname + location.search + (words && `#${words}`));
    }, 250);
  }

  function restore(words) {
    const split = words.split('&');
    state.section = split[0].includes('=') ? '' : split.shift();
    const read = new URLSearchParams(split.join('&'));
    for (const control of kept) {
      const key = control.dataset.keep;
      setValue(control, read.has(key) ? read.get(key) : defaults.get(key));
    }
    off.clear();
    const names = arms.map((arm) => arm.name);
    read.getAll('off').filter((name) => names.includes(name)).forEach((name) => off.add(name));
    state.theme = ['dark', 'light'].includes(read.get('theme')) ? read.get('theme') : '';
    const [column, way] = (read.get('sort') || '').split('.');
    const isSort = COLUMNS.some(([key]) => key === column) && ['asc', 'desc'].includes(way);
    state.sort = isSort ? { column, way } : null;
    document.documentElement.dataset.theme = state.theme;
    showAll();
    const section = state.section && document.getElementById(state.section);
    if (section) section.scrollIntoView({ behavior: 'instant' });
  }

  function showAll() {
    showSystem();
    showTable();
    showArms();
  }

  // A link within the page moves the reader and leaves the settings; any other brings its own.
  function followHash() {
    const words = location.hash.slice(1);
    if (!words || /[&=]/.test(words)) return restore(words);
    state.section = words;
    return keep();
  }

  // ---- Legend ---------------------------------------------------------------------------------

  const voice = html('p', { class: 'unseen', 'aria-live': 'polite' });
  const say = (text) => voice.replaceChildren(text);

  function showArms() {
    $$('[data-arm]:not(.mark):not(.key)')
      .forEach((node) => node.classList.toggle('off', off.has(node.dataset.arm)));
    for (const key of $$('.key')) key.setAttribute('aria-pressed', shown(key.dataset.arm));
    for (const all of $$('.legend .all')) all.hidden = off.size === 0;
    hideTip();
    for (const chart of $$('.chart')) setStop(chart);
  }

  function pressKey(name, alone) {
    if (alone) arms.forEach((arm) => off.add(arm.name));
    if (!off.delete(name)) off.add(name);
    say(`${alone ? 'Only ' : ''}${name} is ${off.has(name) ? 'hidden' : 'shown'}`);
  }

  function startLegends() {
    for (const legend of $$('.legend')) {
      legend.append(html('button', { type: 'button', class: 'all' }, 'Show all'));
      legend.addEventListener('click', ({ target, shiftKey }) => {
        const key = target.closest('.key');
        if (key) pressKey(key.dataset.arm, shiftKey);
        if (target.matches('.all')) {
          off.clear();
          $('.key', legend).focus();
          say('All arms are shown');
        }
        showAll();
        keep();
      });
    }
  }

  // ---- Marks: hover, keyboard, one tooltip ----------------------------------------------------

  const tip = html('div', { class: 'tip', 'aria-hidden': 'true', hidden: '' });
  let lit = null;

  const chartOf = (mark) => mark.closest('.chart');
  // A wide chart is there twice, of which one is shown.
  const marksOf = (chart) => $$('.mark', chart)
    .filter((mark) => !mark.closest('.off') && mark.getClientRects().length);
  const numberIn = (text) => (text ? Number(text) : NaN);
  const armOf = (name) => arms.find((arm) => arm.name === name) || { name, shape: 'circle' };

  function place(mark) {
    const box = mark.getBoundingClientRect();
    return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  }

  function where(mark) {
    const { xName = '', xUnit = '' } = chartOf(mark).dataset;
    const value = numberIn(mark.dataset.x);
    if (Number.isNaN(value)) return mark.dataset.x || '';
    const number = xUnit ? figure(value, xUnit) : value.toLocaleString('en');
    return `${number} ${xName}`.trim();
  }

  const unitOf = (mark) => chartOf(mark).dataset.unit || '';
  const reading = (mark) => figure(numberIn(mark.dataset.y), unitOf(mark));

  function doubt(mark) {
    const { lo, hi, n, note } = mark.dataset;
    const interval = lo && hi && range(Number(lo), Number(hi), unitOf(mark));
    const words = [interval && `(${interval})`, n && `n ${n}`, note];
    return words.filter(Boolean).join(', ');
  }

  const tipRow = (mark) => html('tr', { class: mark === lit ? 'current' : null },
    html('td', {}, armLabel(armOf(mark.dataset.arm))), html('td', {}, reading(mark)),
    html('td', {}, doubt(mark)));
  const topDown = (marks) => marks.map((mark) => [place(mark).y, mark])
    .sort((a, b) => a[0] - b[0]).map(([, mark]) => mark);

  function showTip(mark) {
    if (lit === mark && !tip.hidden) return;
    hideTip();
    lit = mark;
    for (const node of [mark, mark.closest('.series')]) node.classList.add('lit');
    const title = [chartOf(mark).dataset.yName, where(mark)].filter(Boolean).join(', ');
    const same = marksOf(chartOf(mark)).filter((one) => one.dataset.x === mark.dataset.x);
    const rows = html('tbody', {}, ...topDown(same).map(tipRow));
    tip.replaceChildren(html('strong', {}, title), html('table', {}, rows));
    tip.hidden = false;
    moveTip(place(mark));
  }

  // Right of the mark, or left; where neither side has room above or below, so that it stays seen.
  function moveTip({ x, y }) {
    const { width, height } = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth - 8 - width;
    const left = x + 16 <= room ? x + 16 : Math.max(8, Math.min(x - 16 - width, room));
    const covers = left < x && left + width > x;
    const above = y - height - 16;
    const top = !covers ? y - height / 2 : above > 8 ? above : y + 16;
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
  }

  function hideTip() {
    $$('.chart .lit').forEach((node) => node.classList.remove('lit'));
    lit = null;
    tip.hidden = true;
  }

  function nearest(chart, x, y) {
    const far = (mark) => Math.hypot(place(mark).x - x, place(mark).y - y);
    return marksOf(chart).map((mark) => [far(mark), mark])
      .reduce((best, one) => (one[0] < best[0] ? one : best), [NEAR_PX, null])[1];
  }

  function hover({ target, clientX, clientY }) {
    const drawn = target.closest && target.closest('.chart svg:not(.glyph)');
    const mark = drawn && nearest(chartOf(drawn), clientX, clientY);
    if (mark) showTip(mark);
    else if (!document.activeElement.closest('.mark')) hideTip();
  }

  // One mark of a chart is in the tab order; the arrow keys lead to the others.
  function setStop(chart, mark) {
    const marks = marksOf(chart);
    const stops = $$('.mark[tabindex="0"]', chart);
    const stop = mark || stops.find((one) => marks.includes(one)) || marks[0];
    stops.forEach((one) => one.setAttribute('tabindex', '-1'));
    if (stop) stop.setAttribute('tabindex', '0');
  }

  const nameMarks = (chart) => $$('.mark', chart)
    .forEach((mark) => build(mark, { role: 'img', 'aria-label': mark.dataset.arm }, []));
  const across = ({ dataset: { x } }) => numberIn(x) || 0;
  function inSeries(mark) {
    const series = mark.closest('.series');
    return marksOf(chartOf(mark)).filter((one) => one.closest('.series') === series)
      .sort((a, b) => across(a) - across(b));
  }

  // The mark of each series that is closest to this one, from the top of the chart down.
  function column(mark) {
    const far = (one) => Math.abs(across(one) - across(mark));
    const closest = new Map();
    for (const one of marksOf(chartOf(mark))) {
      const found = closest.get(one.closest('.series'));
      if (!found || far(one) < far(found)) closest.set(one.closest('.series'), one);
    }
    closest.set(mark.closest('.series'), mark);
    return topDown([...closest.values()]);
  }

  const STEPS = {
    ArrowLeft: [inSeries, -1], ArrowRight: [inSeries, 1], Home: [inSeries, -Infinity],
    ArrowUp: [column, -1], ArrowDown: [column, 1], End: [inSeries, Infinity],
  };

  function walk(event) {
    if (event.key === 'Escape') hideTip();
    const mark = event.target.closest && event.target.closest('.mark');
    if (!mark || !STEPS[event.key]) return;
    event.preventDefault();
    const [line, by] = STEPS[event.key];
    const list = line(mark);
    const next = list[Math.max(0, Math.min(list.indexOf(mark) + by, list.length - 1))];
    setStop(chartOf(mark), next);
    next.focus();
  }

  function focused(event) {
    const mark = event.target.closest('.mark');
    if (!mark) return hideTip();
    showTip(mark);
    return say(`${where(mark)}: ${reading(mark)} ${doubt(mark)}`.trim());
  }

  function startCharts() {
    $$('.chart').forEach(nameMarks);
    const follow = () => lit && moveTip(place(lit));
    const acts = { pointermove: hover, click: hover, keydown: walk, focusin: focused };
    for (const [event, act] of Object.entries(acts)) document.addEventListener(event, act);
    document.addEventListener('scroll', follow, { passive: true, capture: true });
  }

  // ---- Your system: what each arm adds to the bill --------------------------------------------

  const NEEDS = {
    logout: ['a logout does not end it', 'whether a logout ends it'],
    any_server: ['not every server can answer', 'whether any server can answer'],
    restart: ['logins do not survive a restart', 'whether logins survive a restart'],
  };

  const field = (name) => $(`#system [name="${name}"]`);
  const setting = (name, otherwise) => (field(name) ? field(name).value : otherwise);

  // A price that is no number counts as the campaign's, and its field says so.
  function price(name, otherwise) {
    const text = setting(name, String(otherwise)).trim().replace(',', '.');
    const isRight = text !== '' && Number(text) >= 0;
    if (field(name)) field(name).setAttribute('aria-invalid', !isRight);
    return isRight ? Number(text) : otherwise;
  }

  function readWish() {
    const per = setting('per', 'month');
    const [users, rate] = [10 ** setting('users', 6), 10 ** setting('rate', 1)];
    return {
      users, rate, per,
      perSecond: users * rate / 3600,
      items: Number(setting('items', 0)),
      must: Object.keys(NEEDS).filter((need) => field(need) && field(need).checked),
      hours: per === 'hour' ? 1 : HOURS_PER_MONTH,
      cpu: price('cpu_hour', prices.cpu_hour || 0) / ((price('busy', 100) || 100) / 100),
      memory: price('memory_gib_hour', prices.memory_gib_hour || 0),
      traffic: field('billed') && !field('billed').checked ? 0
        : price('traffic_gb', prices.traffic_gb || 0),
    };
  }

  // The entry for so many items, or the one nearest to it.
  const entry = (list, items) => [...(list || [])]
    .sort((a, b) => Math.abs(a.items - items) - Math.abs(b.items - items))[0];
  const bounds = (point, { lo, hi }) =>
    [point, isNumber(lo) ? lo : point, isNumber(hi) ? hi : point];

  // What an arm costs per hour and login, and per request: [point, lo, hi]. Undefined without CPU
  // time; what else was not measured costs nothing, and is said.
  function unitCosts(one, wish) {
    const [cpu, memory, wire] = [one.cpu, one.memory, one.wire]
      .map((list) => entry(list, wish.items));
    if (!cpu) return undefined;
    const stored = memory ? (memory.server || 0) + (memory.store || 0) : 0;
    const carried = wire ? wire.added / GB * wish.traffic : 0;
    const used = bounds(cpu.added, cpu).map((us) => us / US_PER_HOUR * wish.cpu);
    return {
      memory, wire, stored, carried, us: cpu.added, used: used[0],
      login: bounds(stored, memory || {}).map((size) => size / GIB * wish.memory),
      request: used.map((cost) => cost + carried),
    };
  }

  function reasons({ needs = {} }, wish) {
    return wish.must.flatMap((need) => {
      const { holds, says } = needs[need] || {};
      const [fails, unknown] = NEEDS[need];
      if (holds === true) return [];
      if (holds !== false) return `${unknown} was not measured validly`;
      return says ? `${fails} (${says})` : fails;
    });
  }

  function bill(one, wish) {
    const unit = unitCosts(one, wish);
    const why = reasons(one, wish).concat(unit ? [] : 'its CPU time was not measured validly');
    if (!unit) return { ...one, arm: arms[one.arm], why, cost: [Infinity] };
    const each = (request) => wish.users * wish.rate * wish.hours * request;
    const login = (kept) => wish.users * wish.hours * kept;
    const cost = unit.login.map((kept, i) => login(kept) + each(unit.request[i]));
    const [cpu, memory, traffic] = [each(unit.used), login(unit.login[0]), each(unit.carried)];
    return { ...one, arm: arms[one.arm], unit, why, cost, parts: { cpu, memory, traffic } };
  }

  const bills = (wish) => priced.filter((one) => shown(arms[one.arm].name))
    .map((one) => bill(one, wish))
    .sort((a, b) => !!a.why.length - !!b.why.length || a.cost[0] - b.cost[0] || 0);

  const exceeds = ({ capacity }, wish) => capacity && wish.perSecond > capacity.point;
  function usage(one, wish) {
    const { us, stored, memory, wire } = one.unit;
    const words = [
      us > 0 ? `${significant(wish.perSecond * us / 1e6)} cores` : 'no measurable CPU time',
      memory ? bytes(wish.users * stored) : 'memory not measured',
      wire ? `${significant(wish.perSecond * wire.added * 8 / 1e6)} Mbit/s` : 'bytes not measured',
    ];
    if (exceeds(one, wish)) {
      const { point } = one.capacity;
      const least = grouped(Math.ceil(wish.perSecond / point));
      words.push(`extrapolated: one core held ${digits(point)} /s, so ${least} at least`);
    }
    return words.join(' · ');
  }

  function stack(parts, most) {
    const bar = html('div', { class: 'stack', 'aria-hidden': 'true' });
    for (const [part, cost] of Object.entries(parts)) {
      const piece = html('span', { class: part });
      piece.style.width = `${most > 0 ? Math.max(0, cost / most * 100) : 0}%`;
      bar.append(piece);
    }
    return bar;
  }

  function ranked(one, wish, most) {
    const what = (text) => html('p', { class: 'what' }, text);
    const attributes = { 'data-arm': one.arm.name, class: one.why.length ? 'out' : null };
    const row = html('li', attributes, armLabel(one.arm));
    if (one.why.length) return build(row, {}, [what(`Out: ${one.why.join('; ')}.`)]);
    const [point, lo, hi] = one.cost;
    const cost = html('span', { class: 'cost' },
      html('b', {}, money(point)), ' ', html('small', {}, range(lo, hi, 'money')));
    return build(row, {}, [stack(one.parts, most), cost, what(usage(one, wish))]);
  }

  const isFree = (wish) => wish.cpu + wish.memory + wish.traffic === 0;
  function verdict([best, next], wish) {
    const load = `At ${digits(wish.perSecond)} requests per second`;
    if (!priced.length) return 'This campaign measured nothing that can be priced.';
    if (!best) return `${load}, no arm that is shown can be ranked.`;
    if (isFree(wish)) return 'Enter a price to rank the arms.';
    const cost = `${money(best.cost[0])} per ${wish.per} for authentication.`;
    const but = lacks(best, wish);
    if (!next) return `${load}, only ${best.arm.name} does all of that: ${cost}${but}`;
    const times = next.cost[0] / best.cost[0];
    const compared = next.cost[1] <= best.cost[2] ? 'cannot be told apart from it'
      : times > 0 && times <= 20 ? `costs ${digits(times)} times as much`
        : `costs ${money(next.cost[0])}`;
    return `${load}, ${best.arm.name} costs least: ${cost}${but} ${next.arm.name} ${compared}.`;
  }

  // What an arm fails of what one can ask for and did not.
  function lacks({ needs = {} }, wish) {
    const fails = Object.keys(NEEDS)
      .filter((need) => !wish.must.includes(need) && (needs[need] || {}).holds === false)
      .map((need) => NEEDS[need][0]);
    return fails.length ? ` But ${fails.join(', and ')}.` : '';
  }

  // How much of the bill is bytes on the wire, where that is most of it for some arm.
  function trafficSays(fit) {
    const share = ({ cost, parts }) => parts.traffic / cost[0];
    const [most] = fit.filter((one) => one.cost[0] > 0 && share(one) > 0.5)
      .sort((a, b) => b.parts.traffic - a.parts.traffic);
    if (!most) return '';
    const rest = ({ cost, parts }) => cost[0] - parts.traffic;
    const [least] = [...fit].sort((a, b) => rest(a) - rest(b));
    const part = share(most) > 0.9 ? 'nearly all' : `${digits(share(most) * 100)} %`;
    return `Of the ${money(most.cost[0])} of ${most.arm.name}, ${part} is bytes on the wire, \
${money(most.parts.traffic)}. Without them it costs ${money(rest(most))}, and ${least.arm.name} \
costs least: ${money(rest(least))}.`;
  }

  function assumptions(fit, wish) {
    const { users_measured: users, cpu_at: at, limit } = system;
    const lacks = priced.some((one) => !entry(one.memory, 0));
    const otherItems = fit.some(({ unit }) => unit.memory && unit.memory.items !== wish.items);
    const held = limit ? ` ${limit}` : '';
    return [
      isNumber(users) && wish.users > users && `Memory per login was measured up to \
${grouped(users)} logins; this extrapolates it ${howMany(wish.users / users)}-fold.`,
      lacks && 'Where memory per login was not measured, it costs nothing here.',
      otherItems && 'Memory per login was not measured with so many items: the nearest counts.',
      fit.some((one) => exceeds(one, wish)) && `Rates above what one core held${held} are \
extrapolated: the cost per request is taken to stay the same.`,
      at && `CPU time and bytes per request were measured with ${at}.`,
      wish.per === 'month' && `A month has ${HOURS_PER_MONTH} hours.`,
    ].filter(Boolean);
  }

  function showOutput(slider, text) {
    slider.setAttribute('aria-valuetext', text);
    fill(`output[for="${slider.id}"]`, [text]);
  }

  function showSystem() {
    const wish = readWish();
    const all = bills(wish);
    const fit = all.filter((one) => !one.why.length);
    const most = Math.max(0, ...fit.map((one) => one.cost[0]));
    for (const name of ['users', 'rate']) {
      if (field(name)) showOutput(field(name), howMany(wish[name]));
    }
    tell('#verdict', verdict(fit, wish));
    fill('#traffic-says', [trafficSays(fit)]);
    fill('#ranking', all.map((one) => ranked(one, wish, most)));
    fill('#assumptions', assumptions(fit, wish).map((text) => html('li', {}, text)));
    const both = all.filter(({ unit }) => unit && unit.memory);
    showCrossover(both.sort((a, b) => arms.indexOf(a.arm) - arms.indexOf(b.arm)), wish);
  }

  const fill = (selector, nodes) => $(selector) && $(selector).replaceChildren(...nodes);

  // A live region is only touched where it has news, or it would be read again.
  function tell(selector, text) {
    if ($(selector) && $(selector).textContent !== text) fill(selector, [text]);
  }

  // ---- The crossover: memory is paid per login, CPU time and bytes per request ----------------

  const RATES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

  // The difference b - a of two figures with intervals, taken as independent. Arms vary together
  // within a block, so the interval is rather too wide than too narrow.
  function difference(a, b) {
    const point = b[0] - a[0];
    const below = Math.hypot(b[0] - b[1], a[2] - a[0]);
    return [point, point - below, point + Math.hypot(b[2] - b[0], a[0] - a[1])];
  }

  // Costs meet at saved / extra where both have the same sign; elsewhere one side is cheaper.
  function meeting(session, token) {
    const saved = difference(token.unit.login, session.unit.login);
    const extra = difference(session.unit.request, token.unit.request);
    const settled = extra[1] > 0 || extra[2] < 0;
    if (saved[0] * extra[0] <= 0) {
      const cheaper = saved[0] >= 0 && extra[0] <= 0 ? token : session;
      return { session, token, cheaper: settled && cheaper };
    }
    const ends = [1, 2].flatMap((i) => [saved[i] / extra[1], saved[i] / extra[2]]);
    const interval = settled ? [Math.max(0, Math.min(...ends)), Math.max(...ends)] : null;
    const below = saved[0] > 0 ? token : session;
    return { session, token, rate: saved[0] / extra[0], interval, below };
  }

  function doubtOf({ interval }) {
    const [lo, hi] = (interval || []).map(significant);
    if (!interval) return ' (no interval)';
    return lo === hi ? '' : ` (${lo} to ${hi})`;
  }

  function crossing(pair) {
    const { rate, below, cheaper } = pair;
    if (!rate) return cheaper ? `${cheaper.arm.name} costs less at any rate` : 'not settled';
    return `${significant(rate)}${doubtOf(pair)}; below it ${below.arm.name} costs less`;
  }

  function showCrossover(all, wish) {
    const of = (...families) => all.filter((one) => families.includes(one.arm.family));
    const pairs = of('session').map((session) =>
      of('token', 'hybrid').map((token) => meeting(session, token)));
    tell('#crossover-says', crossoverSays(pairs.flat(), wish));
    fill('#crossings', pairs.flat().length ? crossingTable(pairs) : []);
    const drawn = $('.chart[data-chart="crossover"] svg');
    if (drawn) drawCrossover(drawn, all, pairs.flat(), wish);
  }

  function crossoverSays(pairs, wish) {
    if (!pairs.length) {
      return 'A crossover needs a session arm and a token arm that are shown, and whose CPU time \
per request and memory per login were measured.';
    }
    if (isFree(wish)) return 'Enter a price to find the crossover.';
    const pair = pairs.find((one) => one.session.arm.role === 'reference') || pairs[0];
    const [token, session] = [pair.token.arm.name, pair.session.arm.name];
    if (pair.rate) {
      return `${token} and ${session} cost the same at ${significant(pair.rate)}${doubtOf(pair)} \
requests per user and hour; below that ${pair.below.arm.name} is cheaper.`;
    }
    if (!pair.cheaper) return `${token} and ${session} are not told apart by cost.`;
    const dearer = pair.cheaper === pair.token ? session : token;
    return `${pair.cheaper.arm.name} costs less than ${dearer} at any rate.`;
  }

  function crossingTable(pairs) {
    const head = pairs[0].map(({ token }) => html('th', { scope: 'col' }, armLabel(token.arm)));
    const rows = pairs.map((row) => html('tr', {},
      html('th', { scope: 'row' }, armLabel(row[0].session.arm)),
      ...row.map((pair) => html('td', {}, crossing(pair)))));
    return [
      html('caption', {}, 'Requests per user and hour at which both cost the same'),
      html('thead', {}, html('tr', {}, html('td', {}), ...head)),
      html('tbody', {}, ...rows),
    ];
  }

  const decade = (power) => (prices.currency || '')
    + (10 ** power).toLocaleString('en', { maximumFractionDigits: 12 });
  const logScale = (from, to, start, end) => (value) =>
    start + Math.log(value / from) / Math.log(to / from) * (end - start);
  function drawCrossover(drawn, all, pairs, wish) {
    const lines = all.map((one) => ({ ...one, at: (rate) => one.unit.login.map((login, i) =>
      wish.users * wish.hours * (login + rate * one.unit.request[i])) }));
    const plan = planCrossover(drawn, lines);
    const chart = chartOf(drawn);
    chart.dataset.yName = `Cost per ${wish.per} of ${howMany(wish.users)} users`;
    build(drawn, { viewBox: `0 0 ${plan.width} ${plan.height}` }, []);
    drawn.replaceChildren(...axes(plan, wish), yours(plan, wish),
      ...lines.map((line) => costLine(line, plan)), ...rings(pairs, lines, plan),
      ...(plan.wide ? endLabels(lines, plan) : []));
    nameMarks(chart);
    setStop(chart);
  }

  // Six decades at most: what costs a millionth of the dearest is nothing.
  function planCrossover(drawn, lines) {
    const costs = lines.flatMap((line) => RATES.map((rate) => line.at(rate)[0]))
      .filter((cost) => cost > 0);
    const top = costs.length ? Math.ceil(Math.log10(Math.max(...costs))) : 0;
    const least = costs.length ? Math.floor(Math.log10(Math.min(...costs))) : -2;
    const bottom = Math.min(top - 1, Math.max(least, top - 6));
    const width = Math.max(320, Math.min(1100, drawn.parentNode.clientWidth));
    const wide = width >= 560;
    const [height, left, right] = [wide ? 360 : 300, 62, width - (wide ? 178 : 16)];
    const floor = height - 44;
    return {
      width, wide, height, left, right, floor, bottom, top,
      x: logScale(RATES[0], 1000, left, right), y: logScale(10 ** bottom, 10 ** top, floor, 14),
    };
  }

  function axes({ width, height, left, right, floor, bottom, top, wide, x, y }, wish) {
    const nodes = [];
    for (let power = bottom; power <= top; power += 1) {
      const at = y(10 ** power);
      nodes.push(svg('line', { class: 'grid', x1: left, x2: right, y1: at, y2: at }),
        svg('text', { x: left - 6, y: at + 4, 'text-anchor': 'end' }, decade(power)));
    }
    const middle = { 'text-anchor': 'middle' };
    for (const rate of [0.01, 0.1, 1, 10, 100, 1000]) {
      nodes.push(svg('text', { ...middle, x: x(rate), y: floor + 17 }, howMany(rate)));
    }
    const cost = wide ? `; cost per ${wish.per} of ${howMany(wish.users)} users` : '';
    const title = `requests per user and hour${cost}`;
    nodes.push(svg('line', { class: 'axis', x1: left, x2: right, y1: floor, y2: floor }),
      svg('text', { ...middle, x: wide ? (left + right) / 2 : width / 2, y: height - 8 }, title));
    return nodes;
  }

  function yours({ x, floor }, { rate }) {
    const at = x(Math.max(RATES[0], Math.min(rate, 1000)));
    const beside = rate > 100 ? { x: at - 5, 'text-anchor': 'end' } : { x: at + 5 };
    return svg('g', { class: 'yours' }, svg('line', { x1: at, x2: at, y1: 14, y2: floor }),
      svg('text', { ...beside, y: floor - 7 }, 'yours'));
  }

  function costLine({ arm, at }, { x, y, bottom }) {
    const points = RATES.map((rate) => ({ rate, cost: at(rate), across: x(rate) }))
      .filter(({ cost }) => cost[0] >= 10 ** bottom);
    const path = points.map(({ cost, across }) => `${across.toFixed(1)} ${y(cost[0]).toFixed(1)}`);
    const marks = points.map(({ rate, cost: [point, lo, hi], across }) => svg('use', {
      class: arm.open ? 'mark open' : 'mark', href: `#shape-${arm.shape}`,
      x: across - 7, y: y(point) - 7, width: 14, height: 14, tabindex: -1,
      'data-arm': arm.name, 'data-x': rate, 'data-y': point, 'data-lo': lo, 'data-hi': hi,
    }));
    return svg('g', { class: 'series', 'data-arm': arm.name, 'data-family': arm.family },
      svg('path', { class: 'line', d: path.length ? `M${path.join('L')}` : null }), ...marks);
  }

  function rings(pairs, lines, { x, y, bottom }) {
    return pairs.filter(({ rate }) => rate >= RATES[0] && rate <= 1000).map((pair) => {
      const [cost] = lines.find((line) => line.arm === pair.session.arm).at(pair.rate);
      if (cost < 10 ** bottom) return '';
      return svg('circle', { class: 'ring', cx: x(pair.rate), cy: y(cost), r: 8 });
    });
  }

  function endLabels(lines, { right, floor, y, bottom }) {
    let last = -Infinity;
    return lines.map((line) => [line.at(1000)[0], line.arm.name])
      .filter(([cost]) => cost >= 10 ** bottom).sort((a, b) => b[0] - a[0])
      .map(([cost, name], i, { length }) => {
        last = Math.min(Math.max(y(cost), last + 13), floor - 13 * (length - 1 - i));
        return svg('text', { class: 'end', x: right + 12, y: last + 4 }, name);
      });
  }

  // ---- The table of all figures ---------------------------------------------------------------

  // Key, title, and whether it holds numbers.
  const COLUMNS = [
    ['experiment', 'Experiment'], ['arm', 'Arm'], ['metric', 'Metric'], ['level', 'Level', true],
    ['users', 'Users', true], ['connections', 'Connections', true], ['rate', 'Rate', true],
    ['point', 'Figure', true], ['lo', 'From', true], ['hi', 'To', true], ['unit', 'Unit'],
    ['n', 'n', true], ['valid', 'Valid'], ['primary', 'Primary'],
  ];

  const rows = (data.figures || []).map((row) => {
    const [experiment, metric, arm, level, users, connections, rate, point, lo, hi, n] = row;
    const { name, label, unit } = (data.metrics || [])[metric] || {};
    const read = {
      experiment: (data.experiments || [])[experiment], arm: (arms[arm] || { name: '' }).name,
      metric: name, level, users, connections, rate, point, lo, hi, unit, n,
      valid: row[11] ? 'yes' : 'no', primary: row[12] ? 'yes' : 'no',
    };
    const words = [read.experiment, read.arm, name, label, unit, level, users].join(' ');
    return { ...read, words: words.toLowerCase() };
  });

  function wanted() {
    const [filter, experiment, primary] = ['#filter', '#experiment', '#primary'].map((id) => $(id));
    const words = filter ? filter.value.toLowerCase().split(/\s+/) : [];
    const found = rows.filter((row) => shown(row.arm)
      && (!experiment || !experiment.value || row.experiment === experiment.value)
      && (!primary || !primary.checked || row.primary === 'yes')
      && words.every((word) => row.words.includes(word)));
    return state.sort ? found.sort(inOrder(state.sort)) : found;
  }

  // What is missing comes last, whichever way the rows are sorted.
  const inOrder = ({ column: key, way }) => ({ [key]: a }, { [key]: b }) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return ((a > b) - (a < b)) * (way === 'asc' ? 1 : -1);
  };

  function cellText(value) {
    if (!isNumber(value)) return missing(value) ? '' : value;
    return Number.isInteger(value) ? grouped(value) : significant(value);
  }

  const tableRow = (row) => html('tr', { class: row.valid === 'no' ? 'invalid' : null },
    ...COLUMNS.map(([key, , isNumeric]) => html('td', { class: isNumeric ? 'number' : null },
      key === 'arm' ? armLabel(armOf(row.arm)) : cellText(row[key]))));

  function showTable(count = ROWS_AT_ONCE) {
    const table = $('#figures');
    if (!table) return;
    const found = wanted();
    const first = found.slice(0, count);
    table.tBodies[0].replaceChildren(...first.map(tableRow));
    fill('#shown', [`${grouped(first.length)} of ${grouped(found.length)} figures`]);
    if ($('#more')) $('#more').hidden = first.length === found.length;
    for (const head of $$('thead th', table)) {
      const isSorted = state.sort && head.dataset.column === state.sort.column;
      head.setAttribute('aria-sort', isSorted ? `${state.sort.way}ending` : 'none');
    }
  }

  // Ascending, descending, as measured.
  function sortBy(key) {
    const again = state.sort && state.sort.column === key;
    const way = again ? 'desc' : 'asc';
    state.sort = again && state.sort.way === 'desc' ? null : { column: key, way };
    showTable();
    keep();
  }

  function quoted(value) {
    if (missing(value)) return '';
    // A spreadsheet would take a name that begins so for a formula.
    const text = !isNumber(value) && /^[=+\-@]/.test(value) ? `'${value}` : String(value);
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  const asCsv = (list) => [COLUMNS.map(([key]) => key),
    ...list.map((row) => COLUMNS.map(([key]) => quoted(row[key])))].join('\n');
  function asMarkdown(list) {
    const line = (cells) => `| ${cells.join(' | ')} |`;
    return [line(COLUMNS.map(([, title]) => title)),
      line(COLUMNS.map(([, , isNumeric]) => (isNumeric ? '---:' : '---'))),
      ...list.map((row) => line(COLUMNS.map(([key]) =>
        cellText(row[key]).replace(/\|/g, '\\|'))))].join('\n');
  }

  async function copy(text, button) {
    const label = button.textContent;
    let outcome = 'Copied';
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      outcome = 'The browser refuses to copy';
    }
    button.textContent = outcome;
    say(outcome);
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  function on(selector, event, act) {
    const node = $(selector);
    if (node) node.addEventListener(event, () => act(node));
  }

  function startTable() {
    const heads = COLUMNS.map(([key, title, isNumeric]) => {
      const button = html('button', { type: 'button' }, title);
      button.addEventListener('click', () => sortBy(key));
      const kind = isNumeric ? 'number' : null;
      return html('th', { scope: 'col', class: kind, 'data-column': key }, button);
    });
    fill('#figures thead', [html('tr', {}, ...heads)]);
    for (const id of ['#filter', '#experiment', '#primary']) on(id, 'input', () => showTable());
    on('#more', 'click', () => showTable(Infinity));
    on('#copy-csv', 'click', (button) => copy(asCsv(wanted()), button));
    on('#copy-markdown', 'click', (button) => copy(asMarkdown(wanted()), button));
  }

  // ---- Theme, navigation, start ---------------------------------------------------------------

  function switchTheme() {
    const given = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    state.theme = (state.theme || given) === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = state.theme;
    keep();
    say(`The page is ${state.theme}`);
  }

  function startNavigation() {
    const inView = new Set();
    const links = new Map($$('nav a[href^="#"]')
      .map((link) => [document.getElementById(link.hash.slice(1)), link])
      .filter(([section]) => section));
    const observer = new IntersectionObserver((entries) => {
      entries.forEach((seen) => inView[seen.isIntersecting ? 'add' : 'delete'](seen.target));
      const current = [...links.keys()].find((section) => inView.has(section));
      links.forEach((link, section) => link.setAttribute('aria-current', section === current));
    }, { rootMargin: '-25% 0px -74% 0px' });
    links.forEach((link, section) => observer.observe(section));
  }

  function startControls() {
    for (const control of kept) {
      defaults.set(control.dataset.keep, valueOf(control));
      control.addEventListener('input', () => {
        if (control.closest('#system')) showSystem();
        keep();
      });
    }
  }

  function start() {
    document.documentElement.classList.add('scripted');
    document.body.append(tip, voice);
    startControls();
    startLegends();
    startCharts();
    startTable();
    startNavigation();
    on('#theme', 'click', switchTheme);
    restore(location.hash.slice(1));
    addEventListener('hashchange', followHash);
    addEventListener('resize', () => {
      showSystem();
      for (const chart of $$('.chart')) setStop(chart);
    });
  }

  start();
})();
