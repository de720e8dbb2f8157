"""The page that defines every metric, written from the metrics themselves.

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

A metric is a named value: the name in a task file, on the command line, in `scores.json` and at the head
of a column is the same, and `clara_bench.metrics.get("recall@5")` returns the metric that prints as `recall@5`.

## What every metric shares

- **Normalised** means lower case, without ASCII punctuation, without the words a, an, the, blanks squeezed
  (SQuAD v1.1); a **token** is what is left between blanks. Curly quotes and dashes stay.
- **All references count**, aliases included, unless the name ends in `_first`.
- **The gold set is the denominator.** A question that was never answered, or whose answer failed (error,
  out of memory, timeout), is 0 in answer, retrieval and support metrics and is counted as `failed`. Costs are
  means over the questions that have an answer; the others are `unscored`.
- **Whether a metric applies is decided from the gold alone.** Answer metrics leave out unanswerable questions
  and those whose every reference normalises to nothing (such as `)` or `---`, with a warning); retrieval
  metrics need gold passages, support metrics gold sentences or passages of an answerable question, evidence
  metrics gold triples. A question left out is `unscored`; `n` is what the mean is over, and n + unscored is all
  questions. A metric of something that a whole run does not predict (support, evidence, answerability) is left out,
  and so is every retrieval metric of a system that does not search; where a search found nothing, it is 0.
- **An answer that says nothing is never right.** The official scripts compare what normalising leaves, and of a
  reference such as `A+` (an article and a sign) it leaves nothing: there an empty answer, `the` or `...` has EM 1, and
  under MuSiQue's rule F1 1. Here an answer of which nothing is left counts only where it is, but for case, a reference
  as written (`A+` for `A+`), and then is 1 in every answer metric. `em_official`, `f1_official` and
  `joint_*_official` are what the task's own script says. Apart from this and from what is written below at
  `evidence_*` and `joint_*`, the scores are the scripts', to the last digits.
- **Intervals** are 95 % percentile bootstraps over questions, 1,000 resamples from a seed, the same resamples
  for every metric; a ratio of sums is resampled as one. None where fewer than two questions are scored.
  Sums are exact, so the same records give the same digits on every machine.
- **Passages** are told apart by id. One that is listed twice counts once, where it stands first.
- **Questions asked both ways** (MuSiQue-Full) are told by their ids: the copy with support taken away ends in
  `#unanswerable`. Such a pair is one question to `group_*`, and the copy counts in no other answer or support metric.
"""

SCORER_HEAD = """\
## Answer scorers

`em`, `f1`, `token_precision`, `token_recall`, `support_*` and `joint_*` follow the task's `answer_scorer`.
`em_NAME` and `f1_NAME` are always that scorer's.

F1 of a prediction against a reference is 2PR / (P + R), P = shared / tokens predicted, R = shared / tokens of
the reference, shared counted with multiplicity, and 0 when nothing is shared. The scorers agree on that, and on em, and
differ in:

| scorer | f1 | source |
|---|---|---|
"""

TAIL = """\
## In Hugging Face evaluate

Each metric is a module of `evaluate`, its name the configuration's; it works offline. What predictions and
references look like for each family is told at the head of the file.

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
