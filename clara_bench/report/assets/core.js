// Elements, numbers, packed data and the address. Everything that data or a model wrote becomes text, never markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, held] of Object.entries(value)) element.style.setProperty(key, held);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(9)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const json = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

// What is unpacked, or loaded from parts/, when it is first asked for.
const held = new Map();
const waiting = new Map();
window.claraPart = (name, text) => { waiting.get(name)?.(text); };

function packedText(name) {
  const here = document.getElementById(name);
  if (here) return Promise.resolve(here.textContent);
  return new Promise((resolve, reject) => {
    waiting.set(name, resolve);
    document.body.append(h('script', { src: `parts/${name}.js`, onerror: () => reject(new Error(`parts/${name}.js is not there`)) }));
  });
}

function part(name, read) {
  if (!held.has(name)) held.set(name, packedText(name).then(unpack).then(read));
  return held.get(name);
}

const asked = (table) => part(`asked-${table}`, json);
const outcomes = (table) => part(`outcomes-${table}`, (bytes) => bytes);
const chunk = (table, place) => part(`chunk-${table}-${place}`, json);

let report, looks;
const metricNamed = (name) => report.metrics.find((one) => one.name === name) || { name, head: name, unit: '', higher_is_better: true, family: '' };
const heading = (name) => ({ em: 'EM', f1: 'F1' }[name] || metricNamed(name).head);

// Numbers

const NONE = '–';
const isFraction = (name) => metricNamed(name).unit === 'fraction';
const scaled = (name, value) => (value === null || value === undefined ? null : isFraction(name) ? 100 * value : value);

function decimals(size) {
  if (size >= 100 || size === 0) return 0;
  return size < 0.1 ? 4 : size < 10 ? 2 : 1;
}

function number(name, value) {
  const shown = scaled(name, value);
  if (shown === null) return NONE;
  const digits = isFraction(name) ? 1 : metricNamed(name).unit === 'tokens' && shown >= 10 ? 0 : decimals(Math.abs(shown));
  return shown.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const minus = (text) => text.replace('-', '−');
const signed = (name, value) => (value === null ? NONE : `${value > 0 ? '+' : ''}${minus(number(name, value))}`);
const pText = (p) => (p === null || p === undefined ? NONE : p < 0.001 ? '< .001' : p.toFixed(3));
const percent = (part_, whole) => (whole ? `${(100 * part_ / whole).toFixed(1)} %` : NONE);
const plural = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
const significant = (p) => p !== null && p !== undefined && p < 0.05;

function interval(name, value) {
  if (!value || value[0] === null) return NONE;
  return value[1] === null ? number(name, value[0]) : `${number(name, value[0])} (95 % CI ${minus(number(name, value[1]))} to ${minus(number(name, value[2]))})`;
}

// The address: #/view?key=value

function address() {
  const [, view, query] = /^#?\/?([^?]*)\??(.*)$/s.exec(location.hash) || [];
  return { view: view || 'summary', at: new URLSearchParams(query) };
}

function link(view, values) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== null && value !== undefined && value !== '') query.set(key, value);
  const text = query.toString();
  return `#/${view}${text ? `?${text}` : ''}`;
}

// The same view with other values; a replaced address is no step back.
function change(values, replace) {
  const { view, at } = address();
  const next = link(view, { ...Object.fromEntries(at), ...values });
  if (!replace) { location.hash = next; return; }
  history.replaceState(null, '', next);
  draw();
}

const tableAt = (at) => Math.min(Math.max(0, Number(at.get('table')) || 0), report.tables.length - 1);
const rowTitle = (table, row) => `${row.name} · ${table.sections[row.section].setting}${table.sections[row.section].control ? `, ${table.sections[row.section].control}` : ''}`;

// Small pieces

function choose(label, values, chosen, onchange) {
  const select = h('select', { onchange: (event) => onchange(event.target.value) }, values.map(([value, said]) => h('option', { value, selected: String(value) === String(chosen) }, said)));
  return h('label', { class: 'field' }, h('span', {}, label), select);
}

const tableChoice = (at, more) => choose('Questions', report.tables.map((one, place) => [place, one.title]), tableAt(at), (table) => change({ table, row: '', a: '', b: '', section: '', q: '', ...more }));

function toggle(label, on, onchange) {
  return h('label', { class: 'check' }, h('input', { type: 'checkbox', checked: on, onchange: (event) => onchange(event.target.checked) }), label);
}

const badge = (text, kind) => h('span', { class: `badge ${kind}` }, text);
const dot = (family) => h('span', { class: `dot f${FAMILIES.indexOf(family)}`, 'aria-hidden': 'true' });
const FAMILIES = ['full text', 'text compressor', 'latent compressor', 'no passages'];

function simpleTable(head, rows, caption) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption || 'Table' }, h('table', {}, caption && h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, head.map((one, place) => h('th', { scope: 'col', class: place ? 'number' : '' }, one)))),
    h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, place) => (place ? h('td', { class: 'number' }, cell) : h('th', { scope: 'row' }, cell))))))));
}

function download(name, text) {
  return h('button', { class: 'quiet', onclick: () => {
    const place = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    h('a', { href: place, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(place), 1000);
  } }, 'Save as JSON');
}
