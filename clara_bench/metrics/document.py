"""Generates the page that defines every metric.

python -m clara_bench.metrics.document > docs/metrics.md
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable

from clara_bench.metrics import without_cutoff
from clara_bench.metrics.answer import SCORERS
from clara_bench.metrics.metric import Metric
from clara_bench.metrics.retrieval import AT_K, at

HEAD = """\
# Metrics

<!-- Written by `python -m clara_bench.metrics.document`; edit the definitions in clara_bench/metrics instead. -->

A metric has one name in task files, on the command line, in `scores.json` and in column headers.
`clara_bench.metrics.get("recall@5")` returns the metric that prints as `recall@5`. A metric
[of your own](plugins.md#a-metric-of-your-own) and the [judge](plugins.md#a-judge) are named in the same places.

## Conventions

- **Normalised** means lower case, without ASCII punctuation, without the words a, an, the, and with
  single blanks (SQuAD v1.1). A **token** is a word of the normalised text. Curly quotes and dashes are kept.
- **All references count**, aliases included, unless the name ends in `_first`.
- **The gold set is the denominator.** A question without an answer, or with a failed one (error,
  out of memory, timeout), counts 0 in answer, retrieval and support metrics, and is counted as `failed`. Costs are
  means over the questions with an answer; the others are `unscored`.
- **Truncated** (a status, and the metric `truncated`): something was cut to fit while the question was processed. It
  can be the question or a passage, cut by an encoder, a cross-encoder, a compressor or the reader; a reasoning step or
  a summary; or the answer, which reached its maximum length. What a compressor drops by design is not truncation.
  Truncated answers are scored like any other; an empty one is `truncated`, not `empty`. Passages that a dense index
  holds in part are counted in the manifest (`cut_passages` in `index` of a session). Older runs keep their statuses:
  there, `hf` and `openai` report `ok` for answers of maximum length, and only cuts by the reader count.
- **Whether a metric applies is decided from the gold alone.** Answer metrics leave out unanswerable questions
  and those whose every reference normalises to nothing (such as `)` or `---`, with a warning); retrieval
  metrics need gold passages, support metrics gold sentences or passages of an answerable question, evidence
  metrics gold triples. A question left out is `unscored`; `n` is the number of scored questions, and n + unscored is
  that of all questions. If a run predicts no support, evidence or answerability at all, their metrics are left out; so
  is every retrieval metric of a system that does not search. A search without results counts 0.
- **An empty answer is never correct.** The official scripts compare normalised texts, and a reference such as `A+` (an
  article and a sign) normalises to nothing. There an empty answer, `the` or `...` has EM 1, and F1 1
  under MuSiQue's rule. Here an answer that normalises to nothing is correct only if it equals a reference as written,
  apart from case (`A+` for `A+`); it then scores 1 in every answer metric. `em_official`, `f1_official` and
  `joint_*_official` are the scores of the task's own script. Apart from this and from the notes at `evidence_*` and
  `joint_*`, all scores equal the scripts' to the last digit.
- **Intervals** are 95 % CIs over questions, over batches for seconds ([statistics](statistics.md)). There is none for
  fewer than two scored questions. The same records give the same digits on every machine.
- **Passages** are identified by id. A passage that is listed twice counts once, at its first rank.
- **Question pairs** (MuSiQue-Full) are identified by their ids: the copy with support removed ends in `#unanswerable`.
  A pair is one question in `group_*`, and the copy counts in no other answer or support metric.
"""

SCORER_HEAD = """\
## Answer scorers

`em`, `f1`, `token_precision`, `token_recall`, `support_*` and `joint_*` follow the task's `answer_scorer`.
`em_NAME` and `f1_NAME` always use the named scorer.

F1 of a prediction against a reference is 2PR / (P + R), P = shared / tokens predicted, R = shared / tokens of
the reference, shared counted with multiplicity, and 0 when nothing is shared. The scorers agree on this and on em. They
differ in:

| scorer | f1 | source |
|---|---|---|
"""

TAIL = """\
## In Hugging Face evaluate

Each metric is a module of `evaluate`, with the metric's name as configuration; it works offline. The head of the file
shows the format of predictions and references for each family.

```python
import evaluate

path = "clara_bench/metrics/evaluate_module.py"
f1 = evaluate.load(path, "f1_musique")
f1.compute(predictions=["Paris"], references=[["Paris", "City of Light"]])  # {"f1_musique": 1.0}
recall = evaluate.load(path, "recall@5")
recall.compute(predictions=[["p7", "p2"]], references=[["p2", "p9"]])  # {"recall@5": 0.5}
```
"""

TITLES = {"answer": "Answers", "retrieval": "Retrieval", "support": "Support and evidence", "cost": "Costs"}


def page() -> str:
    """The text of docs/metrics.md."""
    scorers = "".join(f"| `{s.name}` | {s.definition} | {s.citation} |\n" for s in SCORERS.values())
    tables = [_table(title, [m for m in _all() if m.family == family]) for family, title in TITLES.items()]
    return "\n".join([HEAD, SCORER_HEAD + scorers, *tables, TAIL])


def _all() -> list[Metric]:
    """Every metric, those with a cutoff under the name that has a k in it."""
    families = [dataclasses.replace(at(family, 1), name=f"{family}@k") for family in AT_K]
    return [*without_cutoff("squad"), *families]


def _table(title: str, metrics: Iterable[Metric]) -> str:
    head = "| name | definition | unit | better | source |\n|---|---|---|---|---|\n"
    return f"## {title}\n\n{head}{''.join(map(_row, metrics))}"


def _row(metric: Metric) -> str:
    better = "higher" if metric.higher_is_better else "lower"
    cells = (f"`{metric.name}`", metric.description.replace("|", "\\|"), metric.unit, better, metric.citation)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
