// Charts: a specification of the report with data put in. The expression interpreter runs them, for the page forbids eval.

const tip = () => document.getElementById('tip');

function showTip(_, event, __, value) {
  const box = tip();
  if (value === null || value === undefined || value === '') { box.hidden = true; return; }
  box.replaceChildren(...String(value).split('\n').map((line, place) => h('div', { class: place ? '' : 'strong' }, line)));
  box.hidden = false;
  const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8);
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${event.clientY + 16 + box.offsetHeight > innerHeight ? event.clientY - box.offsetHeight - 10 : event.clientY + 16}px`;
}

const theme = () => document.documentElement.dataset.theme;

// The place of a chart: drawn when it is in the document and has a width; `put` fills a copy of the specification.
function chart(name, described, put) {
  const place = h('div', { class: 'chart', role: 'img', 'aria-label': described });
  requestAnimationFrame(async () => {
    if (!place.isConnected) return;
    const look = looks[theme()];
    const spec = structuredClone(look.charts[name]);
    spec.width = Math.max(280, Math.min(1080, place.clientWidth - 4));
    put(spec);
    const legend = spec.width < 520 && (spec.encoding?.color?.legend || (spec.layer && spec.encoding.color?.legend));
    if (legend) Object.assign(legend, { columns: 2, labelLimit: (spec.width - 130) / 2 }); // else a phone cuts it off
    if (spec.width < 520 && spec.legends) spec.legends[0].columns = 2;
    try {
      await vegaEmbed(place, spec, { ast: true, actions: false, renderer: 'svg', defaultStyle: false, tooltip: showTip, config: look.config });
      place.querySelector('svg')?.setAttribute('aria-hidden', 'true');
      place.setAttribute('role', 'img');
      place.setAttribute('aria-label', described);
    } catch (error) {
      place.replaceChildren(h('p', { class: 'note' }, `This chart could not be drawn: ${error.message}`));
    }
  });
  return place;
}

// A bar of the interval with a tick at the mean, beside a number.
function bar(value, most, family) {
  const at = (one) => 100 * Math.max(0, Math.min(1, one / most));
  if (value[0] === null || !most) return null;
  const ends = value[1] === null ? [value[0], value[0]] : [value[1], value[2]];
  return s('svg', { class: `bar f${FAMILIES.indexOf(family)}`, viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('line', { class: 'rail', x1: 0, x2: 100, y1: 5, y2: 5 }),
    s('rect', { x: at(ends[0]), width: Math.max(0.8, at(ends[1]) - at(ends[0])), y: 2, height: 6, rx: 1 }),
    s('line', { class: 'tick', x1: at(value[0]), x2: at(value[0]), y1: 0, y2: 10 }));
}

function withData(head, rows, figure, caption) {
  return h('figure', {}, figure, caption && h('figcaption', {}, caption),
    h('details', { class: 'data' }, h('summary', {}, 'The numbers of this chart'), simpleTable(head, rows, 'The numbers of this chart')));
}

// Frontier

function frontierView(at) {
  const table = report.tables[tableAt(at)];
  const chosen = section(table, at);
  const quality = at.get('y') || table.main_metric;
  const cost = at.get('x') || 'context_positions';
  const rows = table.rows.map((row, place) => ({ row, place })).filter(({ row }) => row.section === chosen && known(row, cost) !== null && known(row, quality) !== null);
  const log = at.get('scale') !== 'linear' && rows.every(({ row }) => known(row, cost) > 0);
  const points = front(rows, quality, cost);
  const qualities = report.metrics.filter((one) => one.unit === 'fraction' && one.family === 'answer' && table.rows.some((row) => known(row, one.name) !== null)).map((one) => [one.name, heading(one.name)]);
  const costs = [['context_positions', 'context tokens a question'], ['seconds', 'seconds a question'], ['index_bytes', 'index bytes a passage']].filter(([name]) => table.rows.some((row) => known(row, name) !== null));
  const said = costs.find(([name]) => name === cost)?.[1] || cost;
  const title = `${heading(quality)}${isFraction(quality) ? ', %' : ''} (95 % CI)`;
  return [
    h('h1', {}, 'Frontier'), h('p', { class: 'lead' }, 'How much quality each method buys for what it costs. Up and to the left is better. The dashed line joins the Pareto front: no other row is at least as good for less.'),
    h('div', { class: 'controls' }, tableChoice(at), sectionChoice(table, chosen),
      choose('Quality', qualities, quality, (y) => change({ y })), choose('Cost', costs, cost, (x) => change({ x })),
      toggle('Logarithmic cost', log, (on) => change({ scale: on ? '' : 'linear' }))),
    rows.length < 1 ? h('p', { class: 'note' }, 'No row of this section has both numbers.') : withData(
      ['system', 'family', said, title, 'on the front'],
      points.map((one) => [one.name, one.family, number(cost, one.raw), interval(quality, one.value), one.front ? 'yes' : '']),
      chart('frontier', `${heading(quality)} against ${said}: ${points.filter((one) => one.front).map((one) => `${one.name} ${number(quality, one.value[0])} at ${number(cost, one.raw)}`).join('; ')}`, (spec) => {
        spec.data[0].values = points;
        spec.legends[0].values = FAMILIES.filter((one) => points.some((point) => point.family === one));
        spec.axes[0].title = said;
        spec.axes[1].title = title;
        if (!log) { spec.scales[0].type = 'linear'; spec.axes[0].format = '~s'; }
        spec.height = spec.width < 520 ? 380 : 460;
      }), `${table.title}. ${table.sections[chosen].passages}.`),
    breakEven(table),
  ];
}

function known(row, name) { return row.metrics[name]?.[0] ?? null; }

function front(rows, quality, cost) {
  const sign = metricNamed(quality).higher_is_better ? 1 : -1;
  const better = (one, other) => sign * known(one.row, quality) >= sign * known(other.row, quality) && known(one.row, cost) <= known(other.row, cost)
    && (known(one.row, quality) !== known(other.row, quality) || known(one.row, cost) !== known(other.row, cost));
  return rows.map((one) => {
    const value = one.row.metrics[quality];
    const [y, low, high] = value.map((number_) => scaled(quality, number_));
    const on = !rows.some((other) => better(other, one));
    return { name: one.row.name, family: one.row.family, x: known(one.row, cost), y, low: low ?? y, high: high ?? y, front: on, rank: on ? 0 : 1, raw: known(one.row, cost), value,
      tip: `${one.row.name}\n${heading(quality)} ${interval(quality, value)}\n${number(cost, known(one.row, cost))} ${heading(cost)}` };
  }).sort((one, other) => one.x - other.x);
}

function breakEven(table) {
  if (!table.break_even.length) return null;
  const rows = table.break_even.map((one) => [`${one.compressed} instead of ${one.text}`, one.unit, one.saved > 0 ? one.saved.toPrecision(3) : 'nothing', one.questions === null ? (one.saved > 0 ? 'not known' : 'never') : one.questions.toFixed(one.questions < 10 ? 2 : 0)]);
  return h('section', {}, h('h2', {}, 'Break-even'), h('p', {}, 'How many questions a passage must serve before compressing it ahead costs less than reading its text each time.'),
    h('details', { class: 'data', open: rows.length <= 12 }, h('summary', {}, `${plural(rows.length, 'comparison')}`), simpleTable(['compressed ahead', 'counted in', 'saved a question', 'questions a passage'], rows, 'Break-even')));
}

// Retrieval

function retrievalView(at) {
  const table = report.tables[tableAt(at)];
  const chosen = section(table, at, (row) => known(row, 'recall@1') !== null);
  const hops = [...new Set(table.recall.map((one) => one.hops))].filter((one) => one !== null);
  const part_ = at.get('hops') ? Number(at.get('hops')) : null;
  const found = table.recall.filter((one) => one.hops === part_ && table.rows[one.row].section === chosen);
  const lines = new Map();
  for (const place of new Set(found.map((one) => one.row))) {
    const own = found.filter((one) => one.row === place);
    const key = own.map((one) => (one.value[0] ?? 0).toFixed(9)).join();
    if (lines.has(key)) lines.get(key).names.push(table.rows[place].name);
    else lines.set(key, { names: [table.rows[place].name], own });
  }
  const series = [...lines.values()].sort((one, other) => other.own.at(-1).value[0] - one.own.at(-1).value[0]).map(({ names, own }) => ({ own, name: names.length > 1 ? `${names[0]} and ${names.length - 1} more` : names[0], names }));
  const values = series.flatMap(({ own, name }) => own.filter((one) => one.value[0] !== null).map((one) => ({ name, depth: one.depth, recall: 100 * one.value[0], low: 100 * (one.value[1] ?? one.value[0]), high: 100 * (one.value[2] ?? one.value[0]), tip: `${name}\nrecall@${one.depth} ${interval('recall@1', one.value)}` })));
  const depths = [...new Set(found.map((one) => one.depth))];
  return [
    h('h1', {}, 'Retrieval'), h('p', { class: 'lead' }, 'The share of the supporting passages among the first k of a ranking. Rows with the same ranking are one line.'),
    h('div', { class: 'controls' }, tableChoice(at, { hops: '' }), sectionChoice(table, chosen, (row) => known(row, 'recall@1') !== null),
      hops.length ? choose('Hops', [['', 'all questions'], ...hops.map((one) => [one, `${one} hops`])], part_ ?? '', (value) => change({ hops: value })) : null),
    values.length ? withData(['ranking of', ...depths.map((one) => `recall@${one}`)], series.map(({ names, own }) => [names.join(', '), ...depths.map((depth) => number('recall@1', own.find((one) => one.depth === depth)?.value[0] ?? null))]),
      chart('recall', `Recall by depth of ${series.map((one) => one.name).join(', ')}`, (spec) => { spec.data.values = values; spec.encoding.color.sort = series.map((one) => one.name); }), `${table.title}. ${table.sections[chosen].passages}.${found.length ? ` ${plural(found[0].questions, 'question')}.` : ''}`)
      : h('p', { class: 'note' }, 'No row of this section searches: its passages are given.'),
  ];
}

// Sections: rows that saw the same passages

const weight = (table, place) => table.rows.filter((row) => row.section === place).length + (table.sections[place].control ? 0 : 4000) + ({ gold: 1000, closed: 0 }[table.sections[place].setting] ?? 2000);

// Those in which systems search first, controls last.
const inOrder = (table) => table.sections.map((_, place) => place).sort((one, other) => weight(table, other) - weight(table, one));
const searching = (table) => inOrder(table)[0];

function section(table, at, fits) {
  if (at.get('section') !== null && table.sections[Number(at.get('section'))]) return Number(at.get('section'));
  const first = searching(table);
  if (!fits || table.rows.some((row) => row.section === first && fits(row))) return first;
  return table.rows.find(fits)?.section ?? first;
}

const sectionChoice = (table, chosen, fits) => choose('Passages', inOrder(table).map((place) => [place, table.sections[place].passages]).filter(([place]) => !fits || table.rows.some((row) => row.section === place && fits(row))), chosen, (value) => change({ section: value }));

// Training curves

function curvesView(at) {
  const names = [...new Set(report.curves.map((one) => one.name))];
  if (!names.length) return [h('h1', {}, 'Training curves'), h('p', { class: 'note' }, 'No training logs were given. Add them with: clara-bench report RUNS --training FOLDER')];
  const chosen = names.includes(at.get('number')) ? at.get('number') : names.find((one) => one === 'loss') || names[0];
  const found = report.curves.filter((one) => one.name === chosen);
  return [
    h('h1', {}, 'Training curves'), h('p', { class: 'lead' }, 'What the logs of the trainings say, by step. Long logs are averaged over neighbouring steps.'),
    h('div', { class: 'controls' }, choose('Number', names.map((one) => [one, one]), chosen, (value) => change({ number: value }))),
    withData(['training', 'steps', 'first', 'last', 'lowest', 'highest'], found.map((one) => [one.training, one.steps.at(-1).toFixed(0), ...[one.values[0], one.values.at(-1), Math.min(...one.values), Math.max(...one.values)].map((value) => value.toPrecision(4))]),
      chart('curves', `${chosen} by step of ${found.map((one) => one.training).join(', ')}`, (spec) => {
        spec.data.values = found.flatMap((one) => one.steps.map((step, place) => ({ training: one.training, step, value: one.values[place] })));
        spec.encoding.y.title = chosen;
      })),
  ];
}
