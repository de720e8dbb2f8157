// The views, the keyboard, and the first drawing.

const VIEWS = [
  ['summary', 'Summary', summaryView], ['leaderboard', 'Leaderboard', leaderboardView], ['frontier', 'Frontier', frontierView], ['retrieval', 'Retrieval', retrievalView],
  ['lost', 'Where answers are lost', lostView], ['compare', 'Compare', compareView], ['questions', 'Questions', questionsView], ['provenance', 'Provenance', provenanceView], ['curves', 'Training', curvesView],
];

let drawn = 0;
let last = '';

async function draw() {
  const turn = ++drawn;
  const { view, at } = address();
  const [name, said, make] = VIEWS.find(([one]) => one === view) || VIEWS[0];
  const main = document.getElementById('main');
  let content;
  try {
    content = await make(at);
  } catch (error) {
    content = [h('h1', {}, said), h('p', { class: 'note' }, `This view could not be drawn: ${error.message}`)];
    console.error(error);
  }
  if (turn !== drawn) return;
  tip().hidden = true;
  const scroll = main.querySelector('.virtual')?.scrollTop;
  fill(main, {}, []).replaceChildren(...[content].flat(9).filter(Boolean));
  main.dataset.view = name;
  document.title = `${said} · ${report.title}`;
  for (const tab of document.querySelectorAll('#tabs a')) {
    if (tab.dataset.view === name) { tab.setAttribute('aria-current', 'page'); tab.scrollIntoView({ block: 'nearest', inline: 'nearest' }); } else tab.removeAttribute('aria-current');
  }
  if (last !== name + at.get('q')) { scrollTo(0, 0); document.getElementById('said').textContent = said; } else if (scroll) { const list = main.querySelector('.virtual'); if (list) list.scrollTop = scroll; }
  last = name + at.get('q');
}

function setTheme(name, keep) {
  document.documentElement.dataset.theme = name;
  if (keep) try { localStorage.setItem('clara-bench-theme', name); } catch { /* storage may be off */ }
}

function firstTheme() {
  try { const kept = localStorage.getItem('clara-bench-theme'); if (kept) return kept; } catch { /* storage may be off */ }
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(input|select|textarea)$/i.test(event.target.tagName) && event.key !== 'Escape') return;
  const digit = Number(event.key);
  if (digit >= 1 && digit <= VIEWS.length) location.hash = link(VIEWS[digit - 1][0], { table: address().at.get('table') });
  else if (event.key === '/') { document.getElementById('find')?.focus(); event.preventDefault(); }
  else if (event.key === 'j') document.getElementById('after')?.click();
  else if (event.key === 'k') document.getElementById('before')?.click();
  else if (event.key === 'Escape') document.activeElement?.blur();
}

// Behind `clara-bench view` a server tells when a run has gone on; the page then loads itself again, at the same place.
function follow(version) {
  setInterval(async () => {
    try { if ((await (await fetch('version')).text()) !== version) location.reload(); } catch { /* the server has ended */ }
  }, 3000);
}

async function start() {
  setTheme(firstTheme());
  const told = json(await unpack(document.getElementById('report').textContent));
  ({ report, looks } = told);
  const views = VIEWS.filter(([name]) => name !== 'curves' || report.curves.length);
  document.getElementById('tabs').append(...views.map(([name, said], place) => h('a', { href: `#/${name}`, 'data-view': name, title: `${said} (${place + 1})`, onclick: (event) => { event.preventDefault(); location.hash = link(name, { table: address().at.get('table') }); } }, said)));
  document.getElementById('tools').append(h('button', { class: 'quiet', 'aria-label': 'Light or dark', title: 'Light or dark', onclick: () => { setTheme(theme() === 'dark' ? 'light' : 'dark', true); draw(); } }, '◐'), h('button', { class: 'quiet', onclick: () => print() }, 'Print'));
  document.getElementById('foot').append(`Made by clara-bench ${report.version} from records. Keys: 1 to ${views.length} views, / filter, j and k next and previous question.`);
  addEventListener('hashchange', draw);
  addEventListener('keydown', keys);
  addEventListener('scroll', () => { tip().hidden = true; }, { passive: true });
  let width = innerWidth;
  addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; later(draw); } });
  if (told.live) follow(told.live);
  await draw();
  document.documentElement.dataset.ready = 'yes';
}

start();
