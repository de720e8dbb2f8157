// Leaderboard, where answers are lost, and provenance.

const COLUMNS = ['recall@5', 'context_positions', 'effective_ratio_micro', 'seconds', 'index_bytes'];
const TRAITS = ['backbone', 'reader', 'compressor', 'offline', 'query_dependent', 'weights', 'nominal_ratio'];

function leaderboardView(at) {
  const number_ = tableAt(at);
  const table = report.tables[number_];
  const byTask = at.get('tasks') === '1';
  const families = at.get('families')?.split(',') || FAMILIES;
  const present = FAMILIES.filter((one) => table.rows.some((row) => row.family === one));
  const filter = (at.get('find') || '').toLowerCase();
  const shows = (row) => families.includes(row.family) && row.name.toLowerCase().includes(filter);
  const search = h('input', { type: 'search', id: 'find', value: at.get('find') || '', placeholder: 'Filter systems', 'aria-label': 'Filter systems', oninput: (event) => {
    const text = event.target.value;
    change({ find: text }, true);
    const again = document.getElementById('find');
    again.focus();
    again.setSelectionRange(text.length, text.length);
  } });
  const settings = [...new Set(table.sections.map((one) => one.setting))];
  const controls = h('div', { class: 'controls' }, byTask ? null : tableChoice(at), h('label', { class: 'field' }, h('span', {}, 'Systems'), search),
    byTask ? null : choose('Setting', [['', 'all settings'], ...settings.map((one) => [one, one])], at.get('setting') || '', (setting) => change({ setting })),
    report.tables.length > 1 ? toggle('Tasks as columns', byTask, (on) => change({ tasks: on ? '1' : '' })) : null,
    h('fieldset', { class: 'checks' }, h('legend', { class: 'unseen' }, 'Families'), present.map((one) => toggle(h('span', {}, dot(one), one), families.includes(one), (on) => change({ families: (on ? [...families, one] : families.filter((other) => other !== one)).join(',') })))));
  return [h('h1', {}, 'Leaderboard'), h('p', { class: 'lead' }, 'Rows of one section saw the same questions and the same passages; only these may be ranked.'), controls,
    ...(byTask ? [tasksTable(at, shows)] : [columnChoice(table, at), ...sectionTables(table, number_, at, shows)]), legendOfTables(), whatTheyRead((byTask ? report.tables.flatMap((one) => one.rows) : table.rows).filter(shows))];
}

function shownColumns(table, at) {
  const has = (name) => table.rows.some((row) => known(row, name) !== null);
  const asked_ = at.get('columns');
  return asked_ === null ? [table.main_metric, ...COLUMNS.filter((one) => one !== table.main_metric && has(one))] : asked_.split(',').filter(Boolean);
}

function columnChoice(table, at) {
  const chosen = shownColumns(table, at);
  const names = [...report.metrics.map((one) => one.name).filter((name) => table.rows.some((row) => known(row, name) !== null)), ...TRAITS.filter((one) => table.rows.some((row) => row.traits[one] !== undefined))];
  return h('details', { class: 'data', open: at.get('pick') === '1', ontoggle: (event) => { if (event.target.open !== (address().at.get('pick') === '1')) history.replaceState(null, '', link('leaderboard', { ...Object.fromEntries(address().at), pick: event.target.open ? '1' : '' })); } },
    h('summary', {}, 'Columns'), h('div', { class: 'checks wide' }, names.map((name) => toggle(heading(name), chosen.includes(name), (on) => change({ columns: (on ? [...chosen, name] : chosen.filter((one) => one !== name)).join(',') || ',' })))));
}

function sectionTables(table, number_, at, shows) {
  const columns = shownColumns(table, at);
  const sort = at.get('sort') || table.main_metric;
  const down = at.get('order') ? at.get('order') === 'down' : metricNamed(sort).higher_is_better;
  const setting = at.get('setting');
  return inOrder(table).map((place) => {
    const one = table.sections[place];
    if (setting && one.setting !== setting) return null;
    const rows = table.rows.map((row, index) => ({ row, index })).filter(({ row }) => row.section === place && shows(row));
    return rows.length ? h('section', {}, h('h2', { class: 'small' }, one.passages), ranked(table, number_, sorted(rows, sort, down), columns, sort, down, one.passages)) : null;
  });
}

function sorted(rows, by, down) {
  const key = ({ row }) => (by === 'system' ? row.name : TRAITS.includes(by) ? row.traits[by] ?? null : known(row, by));
  return [...rows].sort((one, other) => {
    const [left, right] = [key(one), key(other)];
    if (left === null || right === null) return (left === null) - (right === null);
    const order = left < right ? -1 : left > right ? 1 : 0;
    return down ? -order : order;
  });
}

function ranked(table, number_, rows, columns, sort, down, caption) {
  const most = Object.fromEntries(columns.map((name) => [name, Math.max(...table.rows.map((row) => row.metrics[name]?.[2] ?? known(row, name) ?? 0))]));
  const head = (name, said) => {
    const on = sort === name;
    const better = name === 'system' ? false : metricNamed(name).higher_is_better;
    return h('th', { scope: 'col', class: name === 'system' ? '' : 'number', 'aria-sort': on ? (down ? 'descending' : 'ascending') : null },
      h('button', { class: 'sort', title: metricNamed(name).description || null, onclick: () => change({ sort: name, order: on ? (down ? 'up' : 'down') : better ? 'down' : 'up' }) }, said, h('span', { 'aria-hidden': 'true' }, on ? (down ? ' ↓' : ' ↑') : '')));
  };
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, h('table', { class: 'board fixed' }, h('thead', {}, h('tr', {}, head('system', 'System'), columns.map((name) => head(name, heading(name))))),
    h('tbody', {}, rows.map(({ row, index }) => h('tr', {}, h('th', { scope: 'row' }, dot(row.family), h('a', { href: link('provenance', { table: number_, row: index }), title: row.what }, row.name), row.answered < table.questions ? h('span', { class: 'note' }, ` ${row.answered} of ${table.questions} answered`) : null),
      columns.map((name) => cellOf(row, name, most[name])))))));
}

function cellOf(row, name, most) {
  if (TRAITS.includes(name)) return h('td', { class: 'number soft' }, row.traits[name] === undefined ? NONE : row.traits[name] === true ? 'yes' : row.traits[name] === false ? 'no' : String(row.traits[name]));
  const value = row.metrics[name] || [null, null, null];
  const marks = [row.tied.includes(name) ? '≈' : '', row.pareto.includes(name) ? '◆' : ''].join('');
  const said = [interval(name, value), row.best.includes(name) ? 'best' : row.tied.includes(name) ? 'tied with the best' : '', row.pareto.includes(name) ? 'on the Pareto front' : ''].filter(Boolean).join(', ');
  return h('td', { class: 'number', title: said }, h('span', { class: row.best.includes(name) ? 'strong' : '' }, marks && h('span', { class: 'mark', 'aria-label': said }, marks), number(name, value[0])), isFraction(name) && metricNamed(name).family !== 'cost' ? bar(value, most, row.family) : null);
}

function tasksTable(at, shows) {
  const found = new Map();
  report.tables.forEach((table, place) => table.rows.forEach((row, index) => {
    if (!shows(row)) return;
    const section_ = table.sections[row.section];
    const key = [section_.setting, section_.control, row.label, row.traits.backbone].join('\u0000');
    if (!found.has(key)) found.set(key, { setting: section_.control ? `${section_.setting}, ${section_.control}` : section_.setting, row, cells: [] });
    found.get(key).cells[place] ||= { row, index };
  }));
  const sort = at.get('column') === null ? 'mean' : at.get('column');
  const value = (one, place) => (one.cells[place] ? known(one.cells[place].row, report.tables[place].main_metric) : null);
  const mean = (one) => { const values = report.tables.map((_, place) => value(one, place)).filter((number_) => number_ !== null); return values.length === report.tables.length ? values.reduce((sum, number_) => sum + number_, 0) / values.length : null; };
  const complete = [...found.values()].some((one) => mean(one) !== null);
  const key = (one) => (sort === 'mean' ? (complete ? mean(one) : value(one, 0)) : value(one, Number(sort))) ?? -1;
  const rows = [...found.values()].sort((one, other) => key(other) - key(one));
  const head = (name, said, title) => h('th', { scope: 'col', class: 'number', 'aria-sort': sort === name ? 'descending' : null }, h('button', { class: 'sort', title, onclick: () => change({ column: name }) }, said, h('span', { 'aria-hidden': 'true' }, sort === name ? ' ↓' : '')));
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Tasks as columns' }, h('table', { class: 'board' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'System'), h('th', { scope: 'col' }, 'Setting'),
    report.tables.map((table, place) => head(String(place), [`${table.task}, ${heading(table.main_metric)}`, h('small', {}, `${table.origin}, ${table.questions}`)], table.title)), complete ? head('mean', 'mean', 'Over all columns') : null)),
  h('tbody', {}, rows.map((one) => h('tr', {}, h('th', { scope: 'row' }, dot(one.row.family), h('span', { title: one.row.what }, one.row.label)), h('td', {}, one.setting),
    report.tables.map((table, place) => (one.cells[place] ? cellOf(one.cells[place].row, table.main_metric, Math.max(...table.rows.map((row) => row.metrics[table.main_metric]?.[2] ?? 0))) : h('td', { class: 'number soft' }, NONE))), complete ? h('td', { class: 'number' }, number(report.tables[0].main_metric, mean(one))) : null)))));
}

function whatTheyRead(rows) {
  const found = new Map(rows.map((row) => [row.label, row.what]));
  return h('details', { class: 'data' }, h('summary', {}, 'What the systems read'), h('dl', { class: 'facts' }, [...found].map(([label, what]) => [h('dt', {}, label), h('dd', {}, what)])));
}

function legendOfTables() {
  return h('p', { class: 'note' }, h('b', {}, 'Bold'), ': best of its section. ', h('b', {}, '≈'), `: ${report.notes.tie}. `, h('b', {}, '◆'), `: Pareto, ${report.notes.pareto}. Bars: the 95 % CI, the tick its mean. Fractions in %. †: failed questions, scored 0. ${report.tables.some((table) => table.rows.some((row) => row.seeds > 1)) ? report.notes.seeds : ''}`);
}

// Where answers are lost

function lostView(at) {
  const number_ = tableAt(at);
  const table = report.tables[number_];
  const chosen = section(table, at);
  const inside = table.rows.map((row, place) => ({ row, place })).filter(({ row }) => row.section === chosen);
  const row = inside.some((one) => String(one.place) === at.get('row')) ? Number(at.get('row')) : inside[0].place;
  const values = inside.flatMap(({ row: one, place }, order) => bars(table.lost[place].causes['all questions'].all, one.name, order));
  return [
    h('h1', {}, 'Where answers are lost'), h('p', { class: 'lead' }, 'Each wrong answer has one cause: the first step at which it was lost. Causes follow from what the runs say; they are no experiment.'),
    h('div', { class: 'controls' }, tableChoice(at), sectionChoice(table, chosen)),
    causesFigure(inside.map(({ row: one, place }) => [one.name, table.lost[place].causes['all questions'].all]), values, `${table.title}. ${table.sections[chosen].passages}.`),
    h('dl', { class: 'meanings' }, Object.entries(report.causes).filter(([cause]) => values.some((one) => one.cause === cause)).map(([cause, said]) => [h('dt', {}, cause), h('dd', {}, said)])),
    h('section', {}, h('h2', {}, 'One system, step by step'), h('div', { class: 'controls' }, choose('System', inside.map((one) => [one.place, one.row.name]), row, (value) => change({ row: value }))), ladderOf(table, row), ...groupsOf(table, row)),
  ];
}

const CAUSES = ['right', 'not retrieved', 'lost in compression', 'misread', 'formatting', 'failed', 'undecided'];

function bars(counts, group, order) {
  const whole = Object.values(counts).reduce((sum, one) => sum + one, 0);
  return CAUSES.filter((cause) => counts[cause]).map((cause) => ({ group, order, cause, rank: CAUSES.indexOf(cause), count: counts[cause], tip: `${group}\n${cause}: ${counts[cause]} of ${whole} (${percent(counts[cause], whole)})` }));
}

function causesFigure(groups, values, caption) {
  const there = CAUSES.filter((cause) => values.some((one) => one.cause === cause));
  return withData(['', 'questions', ...there], groups.map(([name, counts]) => { const whole = Object.values(counts).reduce((sum, one) => sum + one, 0); return [name, whole, ...there.map((cause) => percent(counts[cause] || 0, whole))]; }),
    chart('causes', `Share of questions by cause: ${groups.map(([name, counts]) => `${name} ${Object.entries(counts).map(([cause, count]) => `${cause} ${count}`).join(', ')}`).join('; ')}`, (spec) => { spec.data.values = values; spec.encoding.y.sort = groups.map(([name]) => name); spec.height = 90 + 23 * groups.length; spec.encoding.color.scale.range = spec.encoding.color.scale.domain.map((cause, place) => [cause, spec.encoding.color.scale.range[place]]).filter(([cause]) => there.includes(cause)).map(([, colour]) => colour); spec.encoding.color.scale.domain = there; }), caption);
}

function ladderOf(table, place) {
  const lost = table.lost[place];
  const there = lost.rungs.filter((one) => one.value !== null);
  const missing = lost.rungs.filter((one) => one.value === null).map((one) => one.name);
  const name = table.main_metric;
  const step = (one) => (one.step[0] === null ? '' : `${signed(name, one.step[0])} (95 % CI ${signed(name, one.step[1])} to ${signed(name, one.step[2])}), ${significant(one.p_holm) ? 'significant' : 'not significant'}`);
  return [withData(['evidence', heading(name), 'step', 'p Holm', 'run'], there.map((one) => [one.name, number(name, one.value), step(one) || NONE, pText(one.p_holm), one.label]),
    chart('ladder', `${heading(name)} by evidence: ${there.map((one) => `${one.name} ${number(name, one.value)}`).join(', ')}`, (spec) => {
      spec.data.values = there.map((one, order) => ({ rung: one.name, order, value: scaled(name, one.value), label: `${number(name, one.value)}${one.step[0] === null ? '' : `  (${signed(name, one.step[0])}${significant(one.p_holm) ? ' *' : ''})`}`, tip: `${one.name}: ${one.label}\n${heading(name)} ${number(name, one.value)}\n${step(one)}` }));
      spec.encoding.y.sort = there.map((one) => one.name);
      spec.height = 60 + 32 * there.length;
      spec.layer[0].encoding.x.title = `${heading(name)}, %`;
      const most = Math.max(...spec.data.values.map((one) => one.value));
      spec.layer[0].encoding.x.scale.domain = [0, most * (spec.width < 520 ? 1.9 : 1.25) || 1];
    }), 'In brackets the step from the evidence above; * significant after Holm over all steps of this report.'),
  missing.length ? h('p', { class: 'note' }, `Not run: ${missing.join(', ')}.`) : null];
}

function groupsOf(table, place) {
  return Object.entries(table.lost[place].causes).filter(([name]) => name !== 'all questions').map(([name, groups]) => h('section', {}, h('h3', {}, name.replace('by', 'By')),
    causesFigure(Object.entries(groups), Object.entries(groups).flatMap(([said, counts], order) => bars(counts, said, order)))));
}

// Provenance

function provenanceView(at) {
  const number_ = tableAt(at);
  const table = report.tables[number_];
  const place = Math.min(Number(at.get('row')) || 0, table.rows.length - 1);
  const row = table.rows[place];
  const manifest = row.manifest;
  const session = manifest.sessions.at(-1);
  const command = `clara-bench run --manifest ${/^[\w./@+=:-]+$/.test(row.path) ? row.path : `'${row.path.replaceAll("'", "'\\''")}'`}/manifest.json`;
  const facts = [
    ['Run', row.path], ['System', `${manifest.system.label} (${manifest.system.name})`], ['Reads', row.what], ['Setting', table.sections[row.section].passages], ['Task', `${manifest.task.name}, version ${manifest.task.version}, scorer ${manifest.task.answer_scorer}`],
    ['Questions', `${manifest.questions.count} of ${manifest.questions.of}, set ${manifest.questions.hash.slice(0, 12)}`], ['Data', `${table.origin}, ${manifest.data.hash.slice(0, 12)}`], ['Passages', `${manifest.candidates.passages}, set ${manifest.candidates.hash.slice(0, 12)}`],
    ...Object.entries(row.traits).map(([key, value]) => [key.replaceAll('_', ' '), String(value)]), ['clara-bench', session ? `${session.clara_bench}${session.git ? `, commit ${session.git.commit.slice(0, 12)}${session.git.dirty ? ' with changes' : ''}` : ''}` : NONE],
    ['Hardware', session ? [session.hardware.processor, plural(session.hardware.cores, 'core'), ...session.hardware.accelerators].filter(Boolean).join(', ') : NONE], ['Python', session?.python || NONE], ['Sessions', `${manifest.sessions.length}`],
  ];
  return [
    h('h1', {}, 'Provenance'), h('p', { class: 'lead' }, 'Everything needed to make a row again.'),
    h('div', { class: 'controls' }, tableChoice(at), choose('System', table.rows.map((one, index) => [index, rowTitle(table, one)]), place, (value) => change({ row: value }))),
    h('section', { class: 'card' }, h('h2', { class: 'small' }, 'The command that makes this row again'), h('pre', { class: 'command', tabindex: '0' }, command), row.seeds > 1 ? h('p', { class: 'note' }, `The row is the mean of ${row.seeds} runs that differ in a seed; this is the first.`) : null),
    h('dl', { class: 'facts' }, facts.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
    h('section', {}, h('h2', { class: 'small' }, 'Packages'), h('p', { class: 'soft' }, session ? Object.entries(session.packages).map(([name, version]) => `${name} ${version}`).join(' · ') || NONE : NONE)),
    h('details', { class: 'data' }, h('summary', {}, 'The manifest'), h('pre', { class: 'json', tabindex: '0' }, JSON.stringify(manifest, null, 2)), download('manifest.json', JSON.stringify(manifest, null, 2))),
    report.left_out.length ? h('section', {}, h('h2', { class: 'small' }, 'Left out of this report'), h('ul', {}, report.left_out.map((one) => h('li', {}, one)))) : null,
  ];
}
