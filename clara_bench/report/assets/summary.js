// What was run, what it says, and which method to use for which budget.

function summaryView() {
  const runs = report.tables.reduce((sum, table) => sum + table.rows.length, 0);
  const readers = [...new Set(report.tables.flatMap((table) => table.readers))];
  const stat = (value, said) => h('div', { class: 'stat' }, h('b', {}, value), h('span', {}, said));
  const lines = glance();
  const why = h('section', { class: 'prose' }, h('h2', {}, 'Why to believe it'), h('ul', {},
    h('li', {}, 'Every comparison is paired: two systems answer the same questions, and each question is compared with itself. “Significant” means p < 0.05 after Holm’s correction over all pairs of rows of that set of questions, so that picking the best row afterwards claims nothing too much.'),
    h('li', {}, 'Rows are ranked only against rows that saw the same passages. Questions that failed or were never answered count as wrong.'),
    h('li', {}, 'A budget is the number of context tokens that the reader attends to. A dearer row is recommended only where it is significantly better than the cheaper one.'),
    h('li', {}, 'A result holds for the reader and the questions named here. A very small reader, or synthetic questions, say little about others.')));
  return [
    h('section', { class: 'hero' }, h('h1', {}, report.title), report.headline ? h('p', { class: 'headline' }, report.headline) : null,
      h('div', { class: 'stats' }, stat(runs.toLocaleString('en'), runs === 1 ? 'row' : 'rows'), stat(new Set(report.tables.map((one) => one.task)).size, 'tasks'), stat(report.tables.reduce((sum, one) => sum + one.questions, 0).toLocaleString('en'), 'questions'), stat(readers.length, readers.length === 1 ? 'reader' : 'readers')),
      h('p', { class: 'soft' }, `Read by ${readers.join(', ')}.`)),
    report.left_out.length ? h('p', { class: 'note' }, `${plural(report.left_out.length, 'run')} could not be read and ${report.left_out.length === 1 ? 'is' : 'are'} left out: see `, h('a', { href: '#/provenance' }, 'provenance'), '.') : null,
    lines, lines && why,
    ...report.tables.map(card),
    lines ? null : why,
  ];
}

const enough = (budget) => budget.over === null || significant(budget.p_holm);

// One line for each set of questions: the systems that are recommended, cheapest first.
function glance() {
  const told = report.tables.map((table, place) => [table, place, table.choices[0]]).filter(([, , first]) => first && first.budgets.length);
  if (told.length < 2) return null;
  const step = (table) => (budget) => { const row = table.rows[budget.row]; return h('li', {}, dot(row.family), h('b', {}, row.name), ` from ${number('context_positions', budget.tokens)} tokens: ${heading(table.main_metric)} ${number(table.main_metric, row.metrics[table.main_metric][0])}`); };
  return h('section', { class: 'card' }, h('h2', {}, 'Which system for which budget'),
    h('p', {}, 'Take the last system of a line whose context tokens you can pay. Each is significantly better than the one before it.'),
    h('p', { class: 'soft families' }, [...new Set(report.tables.flatMap((table) => table.rows.map((row) => row.family)))].map((family) => h('span', {}, dot(family), family))),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Which system for which budget' }, h('table', { class: 'board glance' }, h('thead', {}, h('tr', {}, ['Questions, and who reads', 'Systems to use, cheapest first'].map((text) => h('th', { scope: 'col' }, text)))),
      h('tbody', {}, told.map(([table, place, first]) => h('tr', {}, h('th', { scope: 'row', class: 'named' }, h('a', { href: link('frontier', { table: place }) }, table.title), h('span', { class: 'soft beneath' }, `${table.readers.join(', ')} · ${table.sections[first.section].passages}`)),
        h('td', {}, h('ol', { class: 'uses' }, first.budgets.filter(enough).map(step(table))))))))));
}

function card(table, number_) {
  const [first, ...others] = table.choices;
  return h('section', { class: 'card' }, h('div', { class: 'cardhead' }, h('h2', {}, table.title), h('span', { class: 'soft' }, `read by ${table.readers.join(', ')}`)),
    first ? choice(table, number_, first) : h('p', { class: 'note' }, 'One row: there is nothing to compare.'),
    others.length ? h('details', { class: 'data' }, h('summary', {}, `Other passages: ${others.map((one) => table.sections[one.section].setting).join(', ')}`), others.map((one) => choice(table, number_, one))) : null,
    h('p', { class: 'links' }, h('a', { href: link('leaderboard', { table: number_ }) }, 'Leaderboard'), h('a', { href: link('frontier', { table: number_ }) }, 'Frontier'), h('a', { href: link('lost', { table: number_ }) }, 'Where answers are lost'), h('a', { href: link('questions', { table: number_ }) }, 'Questions')));
}

function choice(table, number_, one) {
  const name = table.main_metric;
  const said = one.sentence;
  const verdicts = { higher: ['better', 'good'], lower: ['worse', 'bad'], undecided: ['no significant difference', 'open'] };
  const most = Math.max(...table.rows.map((row) => row.metrics[name]?.[2] ?? 0));
  return h('div', { class: 'choice' }, h('h3', {}, table.sections[one.section].passages),
    said ? h('p', {}, badge(...verdicts[said.verdict]), ' ', h('a', { class: 'plain', href: link('compare', { table: number_, a: said.rows[1], b: said.rows[0] }) }, said.text)) : null,
    one.budgets.length ? h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'What to use for which budget' }, h('table', { class: 'board' }, h('caption', { class: 'captioned' }, 'What to use for which budget of context tokens'), h('thead', {}, h('tr', {}, ['System', 'From context tokens', heading(name), 'Gain, 95 % CI, p Holm', 'Use it?'].map((text, place) => h('th', { scope: 'col', class: ['', 'number', 'number', 'number gain', 'use'][place] }, text)))),
      h('tbody', {}, one.budgets.map((budget) => { const row = table.rows[budget.row]; return h('tr', { class: enough(budget) ? '' : 'faint' }, h('th', { scope: 'row' }, dot(row.family), row.name), h('td', { class: 'number' }, number('context_positions', budget.tokens)), h('td', { class: 'number' }, number(name, row.metrics[name][0]), bar(row.metrics[name], most, row.family)),
        h('td', { class: 'number gain' }, budget.over === null ? NONE : `${signed(name, budget.gain[0])} (${signed(name, budget.gain[1])} to ${signed(name, budget.gain[2])}), p ${pText(budget.p_holm)}`),
        h('td', { class: 'use' }, budget.over === null ? 'yes: the cheapest' : enough(budget) ? `yes: significantly better than ${table.rows[budget.over].name}` : `no: not significantly better than ${table.rows[budget.over].name}`)); })))) : null);
}
