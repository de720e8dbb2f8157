// All questions, and one of them with its passages, what each system read, and what it answered.

async function questionsView(at) {
  const number_ = tableAt(at);
  const table = report.tables[number_];
  const [questions, held_] = await Promise.all([asked(number_), outcomes(number_)]);
  const place = at.get('q') ? questions.ids.indexOf(at.get('q')) : -1;
  if (at.get('q') && place < 0) return [h('h1', {}, 'Question'), h('p', { class: 'note' }, `No question '${at.get('q')}' here.`), h('a', { href: link('questions', { table: number_ }) }, 'All questions')];
  return place < 0 ? listOf(at, number_, table, questions, held_) : oneOf(at, number_, table, questions, held_, place);
}

function listOf(at, number_, table, questions, held_) {
  const count = questions.ids.length;
  const find = (at.get('find') || '').toLowerCase();
  const kind = at.get('kind');
  const row = at.get('row') ? Number(at.get('row')) : null;
  const cause = at.get('cause');
  const causes = row === null ? null : held_.subarray((3 * row + 2) * count, (3 * row + 3) * count);
  const found = [];
  for (let place = 0; place < count; place++) {
    if (find && !questions.texts[place].toLowerCase().includes(find) && !questions.ids[place].toLowerCase().includes(find)) continue;
    if (kind && questions.kinds[questions.kind[place]] !== kind) continue;
    if (cause && causes && CAUSES[causes[place]] !== cause) continue;
    found.push(place);
  }
  const share = (place) => table.rows.reduce((sum, _, index) => sum + (emOf(held_, index, count)[place] === 1), 0);
  const search = h('input', { type: 'search', id: 'find', value: at.get('find') || '', placeholder: 'Words or an id', 'aria-label': 'Search questions', oninput: (event) => { later(() => { change({ find: event.target.value }, true); }); } });
  return [
    h('h1', {}, 'Questions'),
    h('div', { class: 'controls' }, tableChoice(at, { find: '', kind: '', row: '' }), h('label', { class: 'field' }, h('span', {}, 'Search'), search),
      questions.kinds.length > 1 ? choose('Kind', [['', 'all kinds'], ...questions.kinds.map((one) => [one, one])], kind || '', (value) => change({ kind: value })) : null,
      choose('Outcome of', [['', 'any system'], ...table.rows.map((one, index) => [index, rowTitle(table, one)])], row ?? '', (value) => change({ row: value })),
      row === null ? null : choose('Outcome', [['', 'any'], ...CAUSES.map((one) => [one, one])], cause || '', (value) => change({ cause: value }))),
    h('p', { class: 'note' }, `${plural(found.length, 'question')}.`, table.detailed < count ? ` ${table.detailed.toLocaleString('en')} of ${count.toLocaleString('en')} are here with passages and answers, a sample that is the same in every report; the others with their outcomes alone.` : ''),
    found.length ? virtual(found, (place) => h('a', { class: 'question', href: link('questions', { ...Object.fromEntries(at), table: number_, q: questions.ids[place] }) }, h('span', { class: 'kind' }, `${share(place)} of ${table.rows.length} right`), h('span', { class: 'ask' }, questions.texts[place]), h('span', { class: 'meta' }, questions.hops[place] ? `${questions.hops[place]} hops` : ''))) : h('p', { class: 'note' }, 'No such question.'),
  ];
}

let timer;
function later(done) {
  clearTimeout(timer);
  timer = setTimeout(() => { done(); const again = document.getElementById('find'); if (again) { again.focus(); again.setSelectionRange(again.value.length, again.value.length); } }, 180);
}

// The neighbours of a question in the list that it was opened from.
async function neighbours(at, number_, questions, held_, place) {
  const count = questions.ids.length;
  const [a, b, only] = [at.get('a'), at.get('b'), at.get('only')];
  const fits = (index) => {
    if (!a || !b || !only || only === 'all') return true;
    const kind = outcomeOf(emOf(held_, Number(a), count)[index], emOf(held_, Number(b), count)[index]);
    return kind === only || (only === 'different' && (kind === 'rescued' || kind === 'broken'));
  };
  let before = place - 1;
  while (before >= 0 && !fits(before)) before--;
  let after = place + 1;
  while (after < count && !fits(after)) after++;
  return [before >= 0 ? before : null, after < count ? after : null];
}

async function oneOf(at, number_, table, questions, held_, place) {
  const count = questions.ids.length;
  const [before, after] = await neighbours(at, number_, questions, held_, place);
  const to = (index) => link('questions', { ...Object.fromEntries(at), q: questions.ids[index] });
  const back = at.get('a') && at.get('b') ? link('compare', { table: number_, a: at.get('a'), b: at.get('b'), only: at.get('only') }) : link('questions', { table: number_, find: at.get('find'), kind: at.get('kind'), row: at.get('row'), cause: at.get('cause') });
  const steps = h('p', { class: 'steps' }, h('a', { href: back }, '← Back to the list'), before === null ? null : h('a', { id: 'before', href: to(before) }, 'Previous (k)'), after === null ? null : h('a', { id: 'after', href: to(after) }, 'Next (j)'));
  const meta = h('p', { class: 'soft' }, [questions.ids[place], questions.kinds[questions.kind[place]], questions.hops[place] ? `${questions.hops[place]} hops` : ''].filter(Boolean).join(' · '));
  const top = [steps, h('h1', { class: 'asked' }, questions.texts[place]), meta];
  if (questions.chunk[place] === null) return [...top, h('p', { class: 'note' }, 'Passages and answers of this question are not in the report, only outcomes. Add more with: clara-bench report RUNS --questions N, or all with --parts.'), outcomesOf(table, held_, count, place)];
  const content = await chunk(number_, questions.chunk[place]);
  const one = content.questions[questions.ids[place]];
  const rows = table.rows.map((row, index) => ({ row, index, told: one.rows[index] }));
  const focus = at.get('read') ? Number(at.get('read')) : at.get('b') ? Number(at.get('b')) : Number(at.get('row')) || rows.find(({ row }) => row.section === searching(table))?.index || 0;
  const focused = rows[focus] || rows[0];
  return [...top, h('section', { class: 'card gold' }, h('h2', { class: 'small' }, 'Accepted answers'), h('p', { class: 'answers' }, one.gold.length ? one.gold.map((answer) => h('bdi', { class: 'answer' }, answer)) : NONE)),
    h('section', {}, h('h2', {}, 'What each system answered'), answersOf(at, table, rows, held_, count, place, focus)),
    h('section', {}, h('h2', {}, 'What one system read'), h('div', { class: 'controls' }, choose('System', table.rows.map((row, index) => [index, rowTitle(table, row)]), focused.index, (value) => change({ read: value }))), readBy(focused, one, content.passages)),
  ];
}

function outcomesOf(table, held_, count, place) {
  return simpleTable(['system', 'EM', 'cause'], table.rows.map((row, index) => [rowTitle(table, row), sign(emOf(held_, index, count)[place]), CAUSES[held_[(3 * index + 2) * count + place]] || NONE]), 'Outcomes');
}

function answersOf(at, table, rows, held_, count, place, focus) {
  const name = table.main_metric;
  const score = (index) => { const byte = held_[(3 * index + 1) * count + place]; return byte === 255 ? NONE : number(name, byte / 200); };
  const named = at.get('a') && at.get('b') ? [Number(at.get('a')), Number(at.get('b'))] : [];
  const order = inOrder(table);
  const ordered = [...rows].sort((one, other) => named.includes(other.index) - named.includes(one.index) || order.indexOf(one.row.section) - order.indexOf(other.row.section) || one.index - other.index);
  return h('div', { class: 'scroll tall', tabindex: '0', role: 'region', 'aria-label': 'Answers' }, h('table', { class: 'board' }, h('thead', {}, h('tr', {}, ['System', 'EM', heading(name), 'Answer', 'Cause', 'Context tokens'].map((said, column) => h('th', { scope: 'col', class: column === 2 || column === 5 ? 'number' : '' }, said)))),
    h('tbody', {}, ordered.map(({ row, index, told }) => h('tr', { class: index === focus ? 'chosen' : '' }, h('th', { scope: 'row' }, dot(row.family), h('a', { href: link('questions', { ...Object.fromEntries(at), read: index }) }, rowTitle(table, row))), h('td', {}, sign(emOf(held_, index, count)[place])), h('td', { class: 'number' }, score(index)),
      h('td', { class: 'said' }, told ? h('bdi', {}, told.answer || h('i', { class: 'soft' }, told.error || 'no words')) : h('i', { class: 'soft' }, 'not answered'), told && told.status !== 'ok' ? badge(told.status, 'open') : null), h('td', { class: 'soft' }, CAUSES[held_[(3 * index + 2) * count + place]] || NONE), h('td', { class: 'number' }, told ? number('context_positions', told.tokens || 0) : NONE))))));
}

function readBy({ row, told }, one, passages) {
  if (!told) return h('p', { class: 'note' }, 'This system has not answered the question.');
  const cut = told.k || told.ranked?.length || 0;
  const latent = row.family === 'latent compressor';
  const head = h('p', { class: 'soft' }, latent ? `The reader was given ${plural(told.tokens || 0, 'vector')} in place of ${plural(told.text_tokens || 0, 'token')} of text.` : told.text_tokens ? `The reader was given ${plural(told.tokens || 0, 'token')}${told.text_tokens !== told.tokens ? ` of ${told.text_tokens.toLocaleString('en')}` : ''}.` : 'The reader was given no passages.');
  const ranked = (told.ranked || []).map((id, place) => passage(id, place, one.supporting.includes(id), place < cut, passages[id], told.read?.length === Math.min(cut, told.ranked.length) ? told.read[place] : null, row));
  const missed = one.supporting.filter((id) => !(told.ranked || []).includes(id));
  const whole = told.read?.length && told.read.length !== Math.min(cut, (told.ranked || []).length) ? h('section', {}, h('h3', {}, 'Text that the reader was given'), told.read.map((text) => h('p', { class: 'passage text' }, text))) : null;
  return h('div', { class: 'passages' }, head, told.thinking ? h('details', { class: 'data' }, h('summary', {}, 'What the model thought before'), h('p', { class: 'text' }, told.thinking)) : null, whole, ranked, told.more ? h('p', { class: 'note' }, `${told.more} more passages of the ranking are left out.`) : null,
    missed.length && row.family !== 'no passages' ? h('section', {}, h('h3', {}, 'Supporting passages that are not among these'), missed.map((id) => passage(id, null, true, false, passages[id], null, row))) : null);
}

function passage(id, place, gold, read, found, given, row) {
  const marks = [gold ? badge('gold', 'good') : null, read ? badge('read', 'open') : null];
  const kept = given !== null && given !== undefined && found ? deletions(`${found[0]}\n${found[1]}`, given) : null;
  const text = kept || (given !== null && given !== undefined && row.family === 'text compressor' ? given : found ? found[1] : null);
  return h('article', { class: `passage${gold ? ' isgold' : ''}${read || place === null ? '' : ' unread'}` }, h('header', {}, place === null ? null : h('span', { class: 'rank' }, place + 1), h('b', {}, h('bdi', {}, found ? found[0] : id)), marks, h('span', { class: 'soft id' }, found ? id : '')),
    text ? h('p', { class: 'text' }, text) : h('p', { class: 'note' }, 'Its text is not in the report.'));
}

// The words of a passage, those that a compressor deleted struck out; null if what was given is no part of it.
function deletions(text, given) {
  const words = text.split(/(\s+)/);
  const kept = given.split(/\s+/).filter(Boolean);
  let next = 0;
  const parts = words.map((word) => { if (!word.trim()) return { word, kept: null }; const same = word === kept[next]; if (same) next++; return { word, kept: same }; });
  if (next < kept.length || next === parts.filter((one) => one.kept !== null).length) return null;
  const runs = [];
  for (const part_ of parts) {
    const is = part_.kept ?? runs.at(-1)?.kept ?? true;
    if (runs.at(-1)?.kept === is) runs.at(-1).text += part_.word;
    else runs.push({ kept: is, text: part_.word });
  }
  return runs.map((one) => (one.kept ? one.text : h('del', {}, one.text)));
}
