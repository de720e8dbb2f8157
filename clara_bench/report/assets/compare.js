// Any two rows side by side, and the questions in which they differ.

// The difference of the second minus the first, from the pairs that the report holds for each earlier and later row.
function pairOf(table, first, second) {
  const [low, high] = first < second ? [first, second] : [second, first];
  const count = table.rows.length;
  const at = low * count - (low * (low + 1)) / 2 + (high - low - 1);
  const own = table.pairs;
  const ends = [own.mean[at], own.low[at], own.high[at]];
  const value = first < second ? ends : [ends[0], ends[2], ends[1]].map((one) => (one === null ? null : -one));
  return { value, p: own.p_holm[at] };
}

const OUTCOMES = [['different', 'Only different'], ['rescued', 'Rescued'], ['broken', 'Broken'], ['wrong', 'Both wrong'], ['right', 'Both right'], ['all', 'All']];

function outcomeOf(first, second) {
  if (first === 255 || second === 255) return 'unscored';
  return first ? (second ? 'right' : 'broken') : second ? 'rescued' : 'wrong';
}

const emOf = (held_, row, count) => held_.subarray(3 * row * count, 3 * row * count + count);

async function compareView(at) {
  const number_ = tableAt(at);
  const table = report.tables[number_];
  if (table.rows.length < 2) return [h('h1', {}, 'Compare'), h('div', { class: 'controls' }, tableChoice(at)), h('p', { class: 'note' }, 'This set of questions has one row.')];
  const [questions, held_] = await Promise.all([asked(number_), outcomes(number_)]);
  const start = table.choices[0]?.sentence?.rows || [0, 1];
  const pick = (key, other) => (at.get(key) !== null && table.rows[Number(at.get(key))] && at.get(key) !== '' ? Number(at.get(key)) : other);
  const first = pick('a', start[1]);
  const second = pick('b', start[0]);
  const count = questions.ids.length;
  const [one, other] = [emOf(held_, first, count), emOf(held_, second, count)];
  const kinds = Array.from({ length: count }, (_, place) => outcomeOf(one[place], other[place]));
  const tally = (kind) => kinds.filter((each) => each === kind).length;
  const counts = { rescued: tally('rescued'), broken: tally('broken'), wrong: tally('wrong'), right: tally('right') };
  counts.different = counts.rescued + counts.broken;
  counts.all = count;
  const only = OUTCOMES.some(([kind]) => kind === at.get('only')) ? at.get('only') : 'different';
  const fits = (kind) => only === 'all' || kind === only || (only === 'different' && (kind === 'rescued' || kind === 'broken'));
  const found = kinds.map((kind, place) => ({ kind, place })).filter(({ kind }) => fits(kind));
  const choices = table.rows.map((row, place) => [place, rowTitle(table, row)]);
  return [
    h('h1', {}, 'Compare'),
    h('div', { class: 'controls' }, tableChoice(at), choose('Baseline (A)', choices, first, (a) => change({ a })), choose('Compared (B)', choices, second, (b) => change({ b })), h('button', { class: 'quiet', onclick: () => change({ a: second, b: first }) }, 'Swap')),
    first === second ? h('p', { class: 'note' }, 'Choose two different rows.') : difference(table, first, second, counts),
    h('div', { class: 'segments', role: 'group', 'aria-label': 'Which questions' }, OUTCOMES.map(([kind, said]) => h('button', { 'aria-pressed': String(kind === only), onclick: () => change({ only: kind }) }, `${said} `, h('span', { class: 'soft' }, counts[kind].toLocaleString('en'))))),
    found.length ? virtual(found, ({ kind, place }) => questionLine(table, number_, questions, place, [first, second], kind, { a: first, b: second, only })) : h('p', { class: 'note' }, 'No such question.'),
    h('p', { class: 'note' }, 'Right and wrong are by EM. Rescued: wrong in A, right in B. Broken: right in A, wrong in B.'),
  ];
}

function difference(table, first, second, counts) {
  const name = table.pairs.metric;
  const { value, p } = pairOf(table, first, second);
  const [a, b] = [table.rows[first], table.rows[second]];
  const better = significant(p) ? (value[0] > 0) === metricNamed(name).higher_is_better : null;
  const side = (row, letter) => h('div', { class: 'side' }, h('span', { class: 'soft' }, letter), h('b', {}, dot(row.family), row.name), h('span', { class: 'big' }, number(name, row.metrics[name]?.[0] ?? null)), h('span', { class: 'soft' }, `${heading(name)}${isFraction(name) ? ', %' : ''} · ${number('context_positions', known(row, 'context_positions'))} context tokens`));
  const width = Math.max(0.01, ...value.filter((one) => one !== null).map(Math.abs)) * 1.15;
  const at = (one) => 50 + (50 * one) / width;
  return h('section', { class: 'card versus' }, side(a, 'A'), side(b, 'B'), h('div', { class: 'side' }, h('span', { class: 'soft' }, 'B minus A'), h('b', {}, badge(better === null ? 'no significant difference' : better ? 'B is better' : 'B is worse', better === null ? 'open' : better ? 'good' : 'bad')),
    h('span', { class: 'big' }, signed(name, value[0])), value[1] === null ? null : s('svg', { class: 'span', viewBox: '0 0 100 12', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, s('line', { class: 'zero', x1: 50, x2: 50, y1: 0, y2: 12 }), s('rect', { x: at(value[1]), width: Math.max(0.5, at(value[2]) - at(value[1])), y: 4, height: 4 }), s('line', { class: 'tick', x1: at(value[0]), x2: at(value[0]), y1: 1, y2: 11 })),
    h('span', { class: 'soft' }, `95 % CI ${signed(name, value[1])} to ${signed(name, value[2])} · p ${pText(p)} after Holm over ${table.pairs.family} pairs · ${counts.rescued} rescued, ${counts.broken} broken`)));
}

// A list of any length: only the lines in sight are in the document.
const LINE = 44;

function virtual(items, draw_) {
  const inner = h('div', { class: 'inner', style: { height: `${items.length * LINE}px` } });
  const outer = h('div', { class: 'virtual', tabindex: '0', role: 'list', 'aria-label': plural(items.length, 'question') }, inner);
  const show = () => {
    const from = Math.max(0, Math.floor(outer.scrollTop / LINE) - 6);
    const to = Math.min(items.length, Math.ceil((outer.scrollTop + (outer.clientHeight || 700)) / LINE) + 6);
    inner.replaceChildren(...items.slice(from, to).map((item, place) => h('div', { role: 'listitem', 'aria-setsize': items.length, 'aria-posinset': from + place + 1, class: 'line', style: { top: `${(from + place) * LINE}px` } }, draw_(item))));
  };
  outer.addEventListener('scroll', show, { passive: true });
  requestAnimationFrame(show);
  show();
  return outer;
}

const sign = (em) => h('span', { class: `sign ${em === 255 ? 'none' : em ? 'yes' : 'no'}`, title: em === 255 ? 'not scored' : em ? 'right' : 'wrong' }, em === 255 ? NONE : em ? '✓' : '✗', h('span', { class: 'unseen' }, em === 255 ? 'not scored' : em ? 'right' : 'wrong'));

function questionLine(table, number_, questions, place, rows, kind, more) {
  return h('a', { class: 'question', href: link('questions', { table: number_, q: questions.ids[place], ...more }) },
    kind ? h('span', { class: `kind ${kind}` }, kind === 'right' ? 'both right' : kind === 'wrong' ? 'both wrong' : kind) : null,
    h('span', { class: 'ask' }, questions.texts[place]), h('span', { class: 'meta' }, questions.hops[place] ? `${questions.hops[place]} hops` : '', questions.chunk[place] === null ? ' · outcome only' : ''));
}
