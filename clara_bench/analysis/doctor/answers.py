"""Checks of one run's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import fmean

from clara_bench import metrics
from clara_bench.analysis.doctor.findings import Answered, Finding
from clara_bench.analysis.doctor.questions import FEW
from clara_bench.text import normalise, words
from clara_bench.types import FAILURES, Example

CONSTANT = 0.5
"""The share of one answer above which a run's output is constant, unless as many gold answers are the same."""
NAMED = 5
"""Questions that must name a gold passage before it is looked at whether these are found."""
COVER = 0.2
"""How far cover may be above EM."""


def query_words(run: Answered) -> Iterator[Finding]:
    """Questions that name a gold passage by its title, which their retriever does not find."""
    named = [(e, r, ids) for e, r in run.pairs if r.answer.retrieved is not None and (ids := _named(run, e))]
    bad = [e for e, r, ids in named if not ids & {ranked.passage_id for ranked in r.answer.retrieved or ()}]
    if len(named) >= NAMED and 2 * len(bad) > len(named):
        yield run.asked.found(
            "query-words", bad, "questions name a gold passage by its title and do not find it",
            "Queries are likely cut into words unlike passages. Check the retriever's analyzer, stemmer and case",
            len(named),
        )  # fmt: skip


def _named(run: Answered, example: Example) -> set[str]:
    """The gold passages offered whose title stands in the question."""
    text, offered = words(example.question.text), example.question.candidates
    gold = [id for id in example.gold.supporting if offered is None or id in offered]
    titles = {id: words(run.asked.passages[id].title) for id in gold if id in run.asked.passages}
    return {id for id, title in titles.items() if title.strip() and title in text}


def dropped_queries(run: Answered) -> Iterator[Finding]:
    """Questions for which nothing was found though passages were offered."""
    bad = [e for e, r in run.pairs if r.answer.retrieved == () and e.question.candidates != ()]
    if bad:
        yield run.asked.found(
            "dropped-queries", bad, "questions found no passage",
            "They were answered without evidence. Choose another retriever, or its options analyzer and token_pattern",
        )  # fmt: skip


def truncated_prompts(run: Answered) -> Iterator[Finding]:
    """Questions whose evidence, prompt or answer was cut."""
    bad = [e for e, r in run.pairs if r.answer.status == "truncated"]
    if bad:
        yield run.asked.found(
            "truncated-prompts", bad, "questions had their evidence, prompt or answer cut",
            "Use a smaller k, a compressor, more room for the prompt (max_prompt_tokens) or for the answer "
            "(max_new_tokens)",
        )  # fmt: skip


def empty_contexts(run: Answered) -> Iterator[Finding]:
    """Questions whose reader was given nothing of the passages found."""
    used = [(e, r) for e, r in run.pairs if r.answer.status not in FAILURES and r.answer.retrieved]
    bad = [e for e, r in used if not r.answer.usage.context_positions]
    if bad and len(bad) < len(used):
        yield run.asked.found(
            "empty-contexts", bad, "questions were read without evidence though passages were found",
            "A compressor removed everything. Lower its threshold or rate", len(used),
        )  # fmt: skip


def constant_output(run: Answered) -> Iterator[Finding]:
    """One answer to most questions."""
    said = [(e, normalise(r.answer.text)) for e, r in run.pairs if r.answer.status not in FAILURES]
    gold = Counter(normalise(e.gold.answers[0]) for e, _ in said if e.gold.answers)
    if len(said) < FEW or not gold or run.control:  # without its evidence a reader may well say one thing
        return
    [(answer, times)] = Counter(text for _, text in said).most_common(1)
    if times > CONSTANT * len(said) and times > 2 * max(gold.values()):
        yield run.asked.found(
            "constant-output", [e for e, text in said if text == answer],
            f"questions got the same answer, '{answer[:40]}'",
            "The reader does not read. Check its prompt and its weights with clara-bench inspect", len(said),
        )  # fmt: skip


def unasked_evidence(run: Answered) -> Iterator[Finding]:
    """Evidence where there must be none, and gold passages under a control that must not have them."""
    none = run.run.manifest["setting"] == "closed" or run.control == "empty"
    bad = [e for e, r in run.pairs if none and (r.answer.usage.context_positions or r.answer.retrieved)]
    if bad:
        yield run.asked.found(
            "gold-leak", bad, "questions were read with evidence though no passage was offered",
            "The system has passages of its own. Take them away, or use another setting",
        )  # fmt: skip
    foreign = [e for e in run.asked.examples if run.control == "shuffled" and _offered_gold(e)]
    if foreign:
        yield run.asked.found(
            "gold-leak", foreign, "questions have their own gold passages among another question's",
            "The control shows nothing for them. Run it again",
        )  # fmt: skip


def _offered_gold(example: Example) -> bool:
    return bool(example.gold.supporting & set(example.question.candidates or ()))


def cover_above_em(run: Answered) -> Iterator[Finding]:
    """Answers that hold the reference and much more."""
    scorer = run.run.manifest["task"]["answer_scorer"]
    exact, cover = (_mean(run, name, scorer) for name in ("em", "cover_substring"))
    if exact is not None and cover is not None and len(run.pairs) >= FEW and cover - exact > COVER:
        yield Finding(
            "cover-above-em", run.asked.where, f"cover_substring is {cover:.1%} and EM {exact:.1%}",
            "The reader writes sentences. Ask for a short answer in the prompt, or report both",
        )  # fmt: skip


def _mean(run: Answered, name: str, scorer: str) -> float | None:
    metric = metrics.get(name, scorer)
    values = [metric.score(e.gold, r) for e, r in run.pairs]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


CHECKS = (
    query_words, dropped_queries, truncated_prompts, empty_contexts, constant_output, unasked_evidence, cover_above_em,
)  # fmt: skip
