"""Metrics of the answer's text: exact match, F1 and three variants of cover match.

"F1" is a property of the data set: the official scorers agree on the normalisation and differ in
yes/no answers, empty answers and several references. Each is a `Scorer`; a task names its own.

We differ from all of them in one case. Their normalisation removes all of an accepted answer such as
"A+", so that it equals an empty answer. Here an answer that normalises to nothing is correct only if it
is an accepted answer as written; `em_official` and `f1_official` are the scores of the script itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from clara_bench.metrics.case import FULL_OVERLAP, NO_OVERLAP, Case, Normal, Overlap, Truth, normal, overlap
from clara_bench.metrics.metric import Metric, Part

VERDICTS = frozenset({"yes", "no", "noanswer"})
"""Answers of which HotpotQA and 2WikiMultihopQA want all or nothing."""

SPELT_OUT: Mapping[str, Normal] = {"True": normal("yes"), "False": normal("no")}
"""What CLaRa's script reads these two texts as, before it normalises."""


def squad_rule(answer: Normal, reference: Normal, shared: Overlap) -> Overlap:
    """The unchanged overlap."""
    return shared


def hotpotqa_rule(answer: Normal, reference: Normal, shared: Overlap) -> Overlap:
    """Nothing is shared when either side is a verdict and the other differs."""
    disagree = answer.text != reference.text and (answer.text in VERDICTS or reference.text in VERDICTS)
    return NO_OVERLAP if disagree else shared


def musique_rule(answer: Normal, reference: Normal, shared: Overlap) -> Overlap:
    """Two texts without tokens agree."""
    return FULL_OVERLAP if not answer.tokens and not reference.tokens else shared


@dataclass(frozen=True, slots=True)
class Scorer:
    """What sets one data set's official scorer apart."""

    name: str
    rule: Callable[[Normal, Normal, Overlap], Overlap]
    definition: str
    citation: str
    maximises_apart: bool = False
    """F1, precision and recall may each come from another reference (2WikiMultihopQA v1.1)."""
    lowers_titles: bool = False
    """Titles of supporting sentences are compared in lower case."""
    joins_evidence: bool = False
    """Joint metrics ask for the evidence triples too."""


SCORERS: Mapping[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        Scorer(
            "squad",
            squad_rule,
            "the largest over the references",
            "SQuAD v1.1 script (Rajpurkar et al. 2016)",
        ),
        Scorer(
            "hotpotqa",
            hotpotqa_rule,
            "0 if either side is yes, no or noanswer and the other differs; the largest over the references",
            "hotpot_evaluate_v1.py (Yang et al. 2018)",
        ),
        Scorer(
            "musique",
            musique_rule,
            "1 if neither side has tokens; the largest over the answer and its aliases",
            "MuSiQue evaluate_v1.0.py (Trivedi et al. 2022)",
        ),
        Scorer(
            "2wiki",
            hotpotqa_rule,
            "yes/no as in HotpotQA; F1, precision and recall each the largest over the aliases, apart",
            "2wikimultihop_evaluate_v1.1.py (Ho et al. 2020)",
            maximises_apart=True,
            lowers_titles=True,
            joins_evidence=True,
        ),
    )
}


def best_overlap(scorer: Scorer, case: Case) -> Overlap:
    """The official overlap, but of an answer that says nothing."""
    if case.answer.tokens:
        return official_overlap(scorer, case)
    return FULL_OVERLAP if is_as_written(case) else NO_OVERLAP


def official_overlap(scorer: Scorer, case: Case) -> Overlap:
    """The overlap with the reference that wins F1, or the three maxima apart where the scorer has it so."""
    found = [
        scorer.rule(case.answer, reference, shared)
        for reference, shared in zip(case.truth.references, case.overlaps, strict=True)
    ]
    return Overlap(*map(max, zip(*found, strict=True))) if scorer.maximises_apart else max(found)


def is_as_written(case: Case) -> bool:
    """Whether the answer is some reference but for case, whatever normalising leaves of it; an empty one never is."""
    said = case.record.answer.text.strip().lower()
    return bool(said) and said in case.truth.as_written


def exact_match(case: Case) -> float:
    """1 if the answer is some reference, both normalised, or as written where that leaves nothing of the answer."""
    return official_match(case) if case.answer.tokens else float(is_as_written(case))


def official_match(case: Case) -> float:
    """1 if the answer is some reference, both normalised."""
    return float(any(case.answer.text == reference.text for reference in case.truth.references))


def cover_substring(case: Case) -> float:
    """1 if the normalised answer holds some reference that is not empty, letters within words included."""
    return float(any(bool(r.text) and r.text in case.answer.text for r in case.truth.references))


def cover_sequence(case: Case) -> float:
    """1 if the answer holds some reference as a contiguous sequence of words."""
    return float(any(reference in case.answer_words for reference in case.truth.reference_words))


def cover_bag(case: Case) -> float:
    """1 if each token of some reference that has any is somewhere in the answer."""
    held = frozenset(case.answer.tokens)
    return float(any(bool(r.tokens) and held.issuperset(r.tokens) for r in case.truth.references))


def _first(case: Case) -> tuple[Normal, Normal]:
    """The answer and the first reference, exactly "True" read as yes and exactly "False" as no."""
    answer, reference = case.record.answer.text, case.truth.gold.answers[0]
    return SPELT_OUT.get(answer, case.answer), SPELT_OUT.get(reference, case.truth.references[0])


def exact_match_first(case: Case) -> float:
    """1 if the answer is the first reference."""
    answer, reference = _first(case)
    return float(answer.text == reference.text)


def f1_first(case: Case) -> float:
    """F1 against the first reference, with HotpotQA's rule."""
    answer, reference = _first(case)
    return hotpotqa_rule(answer, reference, overlap(answer.tokens, reference.tokens)).f1


def cover_bag_first(case: Case) -> float:
    """1 if each token of the first reference is somewhere in the answer; a reference without tokens always is."""
    answer, reference = _first(case)
    return float(frozenset(answer.tokens).issuperset(reference.tokens))


def _or_as_written(measure: Callable[[Case], float], case: Case) -> float:
    return measure(case) if case.answer.tokens else float(is_as_written(case))


def _or_first_as_written(measure: Callable[[Case], float], case: Case) -> float:
    if case.answer.tokens:
        return measure(case)
    said = case.record.answer.text.strip().lower()
    return float(bool(said) and said == case.truth.as_written[0])


def _f1(scorer: Scorer, case: Case) -> float:
    return best_overlap(scorer, case).f1


def _official_f1(scorer: Scorer, case: Case) -> float:
    return official_overlap(scorer, case).f1


def _precision(scorer: Scorer, case: Case) -> float:
    return best_overlap(scorer, case).precision


def _recall(scorer: Scorer, case: Case) -> float:
    return best_overlap(scorer, case).recall


def _scorable(truth: Truth) -> bool:
    return truth.scorable


def answer_metric(name: str, description: str, citation: str, measure: Callable[[Case], float]) -> Metric:
    """A fraction that applies to answerable questions."""
    needs: frozenset[Part] = frozenset({"answer"})
    return Metric(name, description, citation, "fraction", True, "answer", _scorable, measure, needs=needs)


_EM = "1 if the answer equals some reference, both normalised, else 0"
_F1 = "Harmonic mean of token precision and recall, tokens counted with multiplicity"
_CLARA = "evaluation/evaluate.py of CLaRa (arXiv 2511.18659)"
_MAPPED = "the first reference alone counts, and exactly True or False is read as yes or no"


def metrics(scorer: Scorer) -> Iterable[Metric]:
    """Every metric of the answer, em and f1 meaning the given scorer's."""
    yield answer_metric("em", f"{_EM}.", scorer.citation, exact_match)
    yield answer_metric("f1", f"{_F1}; {scorer.definition}.", scorer.citation, partial(_f1, scorer))
    yield answer_metric(
        "token_precision",
        "Shared tokens / tokens of the answer, for the reference that won F1 (2wiki: the largest over the references).",
        scorer.citation,
        partial(_precision, scorer),
    )
    yield answer_metric(
        "token_recall",
        "Shared tokens / tokens of the reference, for the one that won F1 (2wiki: the largest over the references).",
        scorer.citation,
        partial(_recall, scorer),
    )
    for other in SCORERS.values():
        yield answer_metric(f"em_{other.name}", f"{_EM}.", other.citation, exact_match)
        yield answer_metric(f"f1_{other.name}", f"{_F1}; {other.definition}.", other.citation, partial(_f1, other))
    text = "{name} as the script has it: an answer of which normalising leaves nothing equals such a reference."
    yield answer_metric("em_official", text.format(name="em"), scorer.citation, official_match)
    yield answer_metric("f1_official", text.format(name="f1"), scorer.citation, partial(_official_f1, scorer))
    yield from _cover_metrics()
    yield from _first_reference_metrics()


def _cover_metrics() -> Iterable[Metric]:
    yield answer_metric(
        "cover_substring",
        "1 if some reference is a substring of the answer, both normalised: `no` is in `know`. Rewards long answers.",
        "accuracy in FlashRAG, match in BERGEN",
        partial(_or_as_written, cover_substring),
    )
    yield answer_metric(
        "cover_sequence",
        "1 if the words of some reference stand in the answer, adjacent and in order. Rewards long answers.",
        "has_answer of DPR (Karpukhin et al. 2020)",
        partial(_or_as_written, cover_sequence),
    )
    yield answer_metric(
        "cover_bag",
        "1 if every token of some reference is in the answer, in any order and number. Rewards long answers.",
        f"{_CLARA}, there for one reference",
        partial(_or_as_written, cover_bag),
    )


def _first_reference_metrics() -> Iterable[Metric]:
    for name, measure, text in (
        ("em_first", exact_match_first, f"em as the CLaRa paper counts it: {_MAPPED}."),
        ("f1_first", f1_first, f"f1_hotpotqa as the CLaRa paper counts it: {_MAPPED}."),
        (
            "cover_bag_first",
            cover_bag_first,
            f"cover_bag as the CLaRa paper counts it: {_MAPPED}, and a reference without tokens is always found.",
        ),
    ):
        yield answer_metric(name, text, _CLARA, partial(_or_first_as_written, measure))
