"""No page calls a difference significant that is not, after Holm over the comparisons of its table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import claims
import pytest
import refresh

from clara_bench import metrics

ROOT = Path(__file__).parent.parent
RESULTS, REFERENCE, README = "docs/results.md", "docs/reference-results.md", "reference/README.md"
PAGES = ("README.md", RESULTS, "docs/compressors.md", REFERENCE, README)
CLAIMING = re.compile(r"signific|better than|worse than|\bbeats?\b|outperform|superior", re.IGNORECASE)
WIKI = "2wikimultihopqa"
ALL = ("nq", "hotpotqa", "musique", WIKI)
MULTIHOP = ALL[1:]


class Claim(NamedTuple):
    """A statement of a page, with the comparisons that it rests on."""

    page: str
    text: str
    """Part of the sentence; blanks and line ends are the same."""
    family: str
    rows: tuple[str, ...] = ()
    """Whose rows; () for all."""
    higher: tuple[str, ...] = ()
    """Tasks on which it is significantly higher in every row; `only` says that the others are undecided."""
    lower: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


MEAN = ("mean",)
FLOORS = ("closed-book", "the same over another question's passages", "untrained, pooled")
CUT, WORDS = ("gold-truncate-4x",), ("its words alone",)
HIGHER: dict[str, tuple[str, ...]] = {"higher": ALL}
UNDECIDED: dict[str, tuple[str, ...]] = {"undecided": ALL}
GOLD_WHOLE = tuple(row for row in claims.FAMILIES["whole"].rows if row.startswith("gold-"))
CLAIMS = [
    Claim(RESULTS, "EM is significantly higher on HotpotQA and MuSiQue, and not significantly different on NQ and",
          "memories", ("memories, 8x nominal",), higher=("hotpotqa", "musique"), undecided=("nq", WIKI)),
    Claim(RESULTS, "15.2 points of EM more than with BM25, significantly", "pipelines",
          ("clara-8x minus bm25-text",), higher=(WIKI,)),
    Claim(RESULTS, "On HotpotQA (+5.6) and NQ (+0.6) the difference to BM25 is not significant", "pipelines",
          ("clara-8x minus bm25-text",), undecided=("nq", "hotpotqa")),
    Claim(RESULTS, "A second training from other seeds shows the same", "retrained-text", ("clara-8x minus bm25-text",),
          higher=("musique", WIKI), undecided=("nq", "hotpotqa")),
    Claim(RESULTS, "is not significantly different from CLaRa on any single task", "pipelines",
          ("clara-8x minus trained-text",), undecided=ALL),
    Claim(REFERENCE, "text with its passages is not significantly different from CLaRa on any single task", "pipelines",
          ("clara-8x minus trained-text",), undecided=ALL),
    Claim(README, "on the same questions is not significantly different from CLaRa on any single task", "pipelines",
          ("clara-8x minus trained-text",), undecided=ALL),
    Claim(RESULTS, "Over the four tasks together CLaRa is 2.9 points better, significantly", "pipelines-means",
          ("clara-8x minus trained-text",), higher=MEAN),
    Claim(RESULTS, "passages give significantly more HotpotQA answers than those that memories find", "readers",
          ("read as memories: found by memories minus MiniLM, trained",), lower=("hotpotqa",)),
    Claim(RESULTS, "The trained MiniLM's passages give significantly more HotpotQA answers than those of memories",
          "readers",
          ("read as text: found by memories minus MiniLM, trained",
           "read as memories: found by memories minus MiniLM, trained"), lower=("hotpotqa",)),
    Claim(RESULTS, "significantly more than CLaRa, by 12 to 29 points", "pipelines",
          ("iterative-text minus clara-8x",), higher=MULTIHOP),
    Claim(RESULTS, "Neither difference is significant", "controls",
          ("text: five random minus BM25's five", "8x memories: five random minus their own five"),
          undecided=("musique",)),
    Claim(RESULTS, "give significantly more MuSiQue and 2WikiMultihopQA answers than BM25's, and fewer NQ answers",
          "readers", ("read as text: found by memories minus BM25", "read as memories: found by memories minus BM25"),
          higher=("musique", WIKI), lower=("nq",), undecided=("hotpotqa",)),
    Claim(RESULTS, "the same passages give significantly more HotpotQA answers than read as text, whichever found them",
          "readers", ("found by BM25: read as memories minus text", "found by memories: read as memories minus text",
                      "found by MiniLM, trained: read as memories minus text"), higher=("hotpotqa",)),
    Claim(RESULTS, "costs text 34 to 53 points and memories 29 to 44 on the three multi-hop tasks, significantly",
          "worlds-3", ("text: last gold passage minus all gold", "8x memories: last gold passage minus all gold"),
          lower=MULTIHOP, undecided=("nq",)),
    Claim(RESULTS, "With gold passages their EM is not significantly different from text's on any task", "worlds-3",
          ("gold: 8x memories minus text",), undecided=ALL),
    *(
        Claim(page, text, "worlds-3-means", ("read as memories: found by memories minus BM25",), higher=MEAN)
        for page, text in {
            RESULTS: "read by the same reader they give 3.2 points of EM more over the four tasks, significantly",
            "README.md": "its passages give 3.2 points more than BM25's over the four tasks, significantly",
            README: "give 3.2 points of EM more than BM25's over the four tasks, significantly",
        }.items()
    ),
    Claim(RESULTS, "its five give 3.2 points of EM more over the four tasks, significantly", "worlds-3-means",
          ("read as memories: found by memories minus BM25",), higher=MEAN),
    Claim(RESULTS, "on no single task is the difference significant", "worlds-3",
          ("read as memories: found by memories minus BM25",), undecided=ALL),
    Claim(RESULTS, "From MiniLM's five the difference is not significant", "worlds-3-means",
          ("read as memories: found by memories minus MiniLM",), undecided=MEAN),
    Claim(RESULTS, "it is significantly above BM25 with text on 2WikiMultihopQA alone", "worlds-3",
          ("clara-8x minus bm25-text",), higher=(WIKI,), undecided=ALL[:3]),
    Claim("README.md", "CLaRa is significantly above BM25 with text on 2Wiki alone", "worlds-3",
          ("clara-8x minus bm25-text",), higher=(WIKI,), undecided=ALL[:3]),
    Claim(README, "is significantly above BM25 with text on 2WikiMultihopQA alone", "worlds-3",
          ("clara-8x minus bm25-text",), higher=(WIKI,), undecided=ALL[:3]),
    Claim(RESULTS, "CLaRa is significantly above BM25 with text on 2WikiMultihopQA, by 8.8", "worlds-3",
          ("clara-8x minus bm25-text",), higher=(WIKI,), undecided=ALL[:3]),
    Claim(RESULTS, "MiniLM with text is not significantly different from CLaRa on any task", "worlds-3",
          ("clara-8x minus dense-text",), undecided=ALL),
    Claim(RESULTS, "With gold passages, memories are not significantly different from text on any task", "worlds-3",
          ("gold: 8x memories minus text",), undecided=ALL),
    Claim(RESULTS, "neither CLaRa nor text with BM25 is significantly above five random passages",
          "worlds-3", ("text: BM25's five minus five random", "8x memories: their own five minus five random"),
          undecided=("musique", WIKI)),
    Claim(README, "memories at an effective 4.2x are not significantly different from text on any task", "worlds-3",
          ("gold: 8x memories minus text",), undecided=ALL),
    Claim("README.md", "With gold passages, memories are not significantly different from text on any task", "worlds-3",
          ("gold: 8x memories minus text",), undecided=ALL),
    Claim("README.md", "On MuSiQue and 2Wiki neither is significantly above five random passages",
          "worlds-3", ("text: BM25's five minus five random", "8x memories: their own five minus five random"),
          undecided=("musique", WIKI)),
    Claim(RESULTS, "neither text with BM25 nor CLaRa is significantly above the same system over five random",
          "worlds-3", ("text: BM25's five minus five random", "8x memories: their own five minus five random"),
          undecided=("musique", WIKI)),
    Claim(RESULTS, "Three trainings show no significant difference between pretraining objectives", "latents-methods",
          undecided=MEAN),
    Claim(RESULTS, "No text compressor is significantly better than truncation", "truncation-means", higher=()),
    *(
        Claim(page, text, "real-clara", tuple(f"gold-clara-4x minus {row}" for row in rows), **verdicts)
        for page, text, rows, verdicts in (
            (RESULTS, "significantly above closed-book, another question's passages and", FLOORS, HIGHER),
            (RESULTS, "From cutting off they are not significantly different on any task", CUT, UNDECIDED),
            (RESULTS, "significantly above closed-book, above another question's passages", FLOORS, HIGHER),
            (RESULTS, "Without it the same reader is not significantly different on any task", WORDS, UNDECIDED),
            (RESULTS, "practice gives 9 and 12 points on MuSiQue and NQ, significantly", ("untrained, words",),
             {"higher": ("nq", "musique")}),
            (RESULTS, "by 17 points, significantly", ("gold-kv-streaming-llm-4x",), {"higher": ("nq",)}),
            (RESULTS, "from cutting off, CLaRa is not significantly different on any task", CUT, UNDECIDED),
            ("README.md", "CLaRa's memories at 4x are significantly above closed-book", FLOORS, HIGHER),
            ("README.md", "what its compressor adds to these is not significant on any task", WORDS, UNDECIDED),
        )
    ),
    Claim("README.md", "points of what all gold passages give, significantly on every task", "tuned",
          ("bm25-text minus gold-text",), lower=ALL),
    Claim("README.md", "So do RECOMP's sentences at 4x, 8 to 25 points", "tuned",
          ("gold-recomp-extractive-4x minus gold-text",), lower=ALL),
    Claim(RESULTS, "closed-book, significantly on every task", "tuned", ("gold-text minus closed-book",), higher=ALL),
    Claim(RESULTS, "with gold passages 32 to 59: significantly more on every task", "tuned",
          ("gold-text minus closed-book",), higher=ALL),
    Claim(RESULTS, "They are still significantly above closed-book on NQ, HotpotQA and MuSiQue", "tuned",
          ("bm25-text minus closed-book",), higher=ALL[:3]),
    Claim(RESULTS, "15 to 26 points of F1 on NQ, HotpotQA and 2WikiMultihopQA, significantly", "tuned",
          ("gold-truncate-4x minus gold-text",), lower=("nq", "hotpotqa", WIKI)),
    Claim(RESULTS, "cost 15 to 26 points on NQ, HotpotQA and 2WikiMultihopQA, significantly", "tuned",
          ("gold-truncate-4x minus gold-text",), lower=("nq", "hotpotqa", WIKI), undecided=("musique",)),
    Claim(RESULTS, "on MuSiQue the loss is not significant", "tuned", ("gold-truncate-4x minus gold-text",),
          undecided=("musique",)),
    Claim(RESULTS, "RECOMP's choice of sentences is not significantly better than cutting off on any task", "tuned",
          ("gold-recomp-extractive-4x minus gold-truncate-4x",), undecided=ALL),
    Claim(RESULTS, "lose significantly on all four tasks, and are not significantly better than cutting off on any",
          "tuned", ("gold-recomp-extractive-4x minus gold-text",), lower=ALL),
    Claim(RESULTS, "It loses 16 to 35 points, significantly on every task", "tuned",
          ("gold-kv-streaming-llm-4x minus gold-text",), lower=ALL),
    Claim(RESULTS, "It is not significantly better than keeping random positions on any task", "tuned",
          ("gold-kv-streaming-llm-4x minus gold-kv-random-4x",), undecided=ALL),
    Claim(RESULTS, "on NQ, HotpotQA and MuSiQue, significantly on MuSiQue alone", "tuned",
          ("gold-kv-streaming-llm-4x minus gold-truncate-4x",), lower=("musique",), undecided=("nq", "hotpotqa", WIKI)),
    Claim(RESULTS, "lose 16 to 35 points, and are not significantly better than random positions", "tuned",
          ("gold-kv-streaming-llm-4x minus gold-kv-random-4x",), undecided=ALL),
    Claim(RESULTS, "Their F1 is significantly higher than closed-book on NQ, HotpotQA and MuSiQue", "real",
          ("gold-text minus closed-book",), higher=ALL[:3]),
    Claim(RESULTS, "where many answers are one of two names in the question, the difference is not significant", "real",
          ("gold-text minus closed-book",), undecided=ALL[3:]),
    Claim(RESULTS, "This is significant for all three retrievers on NQ, for BM25 on HotpotQA", "real",
          ("hybrid-text minus gold-text",), lower=ALL[:1], undecided=ALL[1:]),
    Claim(RESULTS, "This is significant for all three retrievers on NQ, for BM25 on HotpotQA", "real",
          ("bm25-text minus gold-text",), lower=ALL[:2], undecided=ALL[2:]),
    Claim(RESULTS, "and for MiniLM on 2WikiMultihopQA", "real", ("dense-text minus gold-text",),
          lower=("nq", WIKI), undecided=("hotpotqa", "musique")),
    Claim(RESULTS, "the fusion finds significantly more than MiniLM on HotpotQA and 2WikiMultihopQA", "retrievers",
          ("hybrid-text minus dense-text",), higher=("hotpotqa", WIKI), undecided=("nq", "musique")),
    Claim(RESULTS, "significantly more than BM25 on NQ", "retrievers", ("hybrid-text minus bm25-text",),
          higher=ALL[:1]),
    Claim(RESULTS, "No difference between retrievers in F1 is significant", "real",
          ("bm25-text minus dense-text", "hybrid-text minus dense-text", "hybrid-text minus bm25-text"), undecided=ALL),
    Claim(RESULTS, "On the other tasks no loss is significant after correction", "whole", GOLD_WHOLE,
          undecided=MULTIHOP),
    Claim(RESULTS, "`recomp-abstractive` is not significantly below the full passages on any task", "whole",
          ("gold-recomp-abstractive", "recomp-abstractive"), undecided=ALL),
    Claim(RESULTS, "`random-drop` at both rates, `longllmlingua` at both and `llmlingua` at 4x are significantly below",
          "truncation-means", ("gold-random-drop-2x", "gold-random-drop-4x", "gold-longllmlingua-2x",
                               "gold-longllmlingua-4x", "gold-llmlingua-4x"), lower=MEAN),
    Claim(RESULTS, "`random-drop-4x` on NQ's gold passages is below it", "truncation", ("gold-random-drop-4x",),
          lower=ALL[:1], undecided=MULTIHOP),
    Claim(RESULTS, "are not significantly better than dropping words at random", "random-drop-means", undecided=MEAN),
    Claim(RESULTS, "one loss is significant**: `llmlingua-4x` on NQ", "whole", ("llmlingua-4x",), lower=ALL[:1]),
    Claim(REFERENCE, "answer significantly more HotpotQA and MuSiQue questions than text", "memories",
          ("memories, 8x nominal",), higher=("hotpotqa", "musique"), undecided=("nq", WIKI)),
    Claim(REFERENCE, "is not significantly better than reconstruction or mean pooling over three trainings",
          "latents-methods", undecided=MEAN),
    Claim(REFERENCE, "is not significantly better than reconstruction or pooling over three trainings",
          "latents-methods", undecided=MEAN),
    Claim(REFERENCE, "no difference to text is significantly negative, except that of NQ at 8.3x", "memories",
          ("memories, 16x nominal",), lower=ALL[:1], undecided=MULTIHOP),
    Claim(REFERENCE, "answers significantly more MuSiQue and 2WikiMultihopQA questions than with BM25 or MiniLM",
          "pipelines", ("clara-8x minus bm25-text", "clara-8x minus dense-text"), higher=("musique", WIKI)),
    Claim(REFERENCE, "and more HotpotQA questions than with MiniLM alone", "pipelines", ("clara-8x minus dense-text",),
          higher=("hotpotqa",)),
    Claim(REFERENCE, "answer significantly fewer questions than those of the first training", "retrained",
          ("gold-clara-8x",), lower=("musique",), undecided=("nq", "hotpotqa", WIKI)),
    Claim(REFERENCE, "are not significantly different from text of the same training on any task", "retrained-text",
          ("memories of gold passages minus text",), undecided=ALL),
    Claim(REFERENCE, "the pipeline is significantly better than text with BM25 on MuSiQue and 2WikiMultihopQA, and not",
          "retrained-text", ("clara-8x minus bm25-text",), higher=("musique", WIKI),
          undecided=("nq", "hotpotqa")),
    Claim(REFERENCE, "Ours of the first is not significant on any task", "ablations",
          ("straight-through (`find`) minus generator alone",), undecided=ALL),
    Claim(REFERENCE, "On MuSiQue and 2WikiMultihopQA no way to compare memories changes F1 significantly", "ablations",
          ("late interaction minus flattened", "late interaction minus pooled"),
          undecided=("musique", WIKI)),
    Claim(REFERENCE, "reconstruction loses 7 to 13 points to salient pretraining on NQ and MuSiQue, significantly",
          "latents-once", ("gold-autocompressor",), lower=("nq", "musique"), undecided=("hotpotqa", WIKI)),
    Claim(REFERENCE, "It is significantly below salient pretraining on NQ alone", "latents-once", ("gold-pisco",),
          lower=ALL[:1], undecided=MULTIHOP),
    Claim(REFERENCE, "only the differences of ICAE-like (NQ, HotpotQA) and xRAG-like (all four) are significant",
          "latents-once", ("xrag",), lower=ALL),
    Claim(REFERENCE, "only the differences of ICAE-like (NQ, HotpotQA) and xRAG-like (all four) are significant",
          "latents-once", ("icae",), lower=("nq", "hotpotqa"), undecided=("musique", WIKI)),
    Claim(REFERENCE, "only the differences of ICAE-like (NQ, HotpotQA) and xRAG-like (all four) are significant",
          "latents-once", ("cocom", "autocompressor", "pisco", "pooled"), undecided=ALL),
    Claim(REFERENCE, "Neither variant is significantly different on any task", "mixes", undecided=ALL),
    Claim(REFERENCE, "REINFORCE is significantly above straight-through in recall@1", "estimators-recall@1",
          ("REINFORCE",), higher=MEAN),
    Claim(REFERENCE, "not significantly different in recall@5 and F1", "estimators-recall@5", ("REINFORCE",),
          undecided=MEAN),
    Claim(REFERENCE, "not significantly different in recall@5 and F1", "estimators-f1", ("REINFORCE",), undecided=MEAN),
    Claim(REFERENCE, "end significantly below straight-through in F1", "estimators-f1", ("labels",), lower=MEAN),
    Claim(REFERENCE, "82.0, 56.4 and 69.7: significantly lower on HotpotQA alone", "ablations-recall",
          higher=("hotpotqa",), undecided=("nq", "musique", WIKI)),
    Claim(REFERENCE, "no difference in F1 is significant (table above)", "ablations",
          ("`find+labels` minus `find+choose`",), undecided=ALL),
    Claim(README, "answer significantly more HotpotQA and MuSiQue questions than text, with no significant difference",
          "memories", ("memories, 8x nominal",), higher=("hotpotqa", "musique"), undecided=("nq", WIKI)),
    Claim(README, "answers significantly more MuSiQue and 2WikiMultihopQA questions than text RAG with BM25 or MiniLM",
          "pipelines", ("clara-8x minus bm25-text", "clara-8x minus dense-text"), higher=("musique", WIKI)),
    Claim(README, "With BM25 the difference on HotpotQA and NQ is not significant", "pipelines",
          ("clara-8x minus bm25-text",), undecided=("nq", "hotpotqa")),
    Claim(README, "Trained again with other seeds, the same holds", "retrained-text", ("clara-8x minus bm25-text",),
          higher=("musique", WIKI), undecided=("nq", "hotpotqa")),
    Claim(README, "answers significantly more than CLaRa on the multi-hop tasks", "pipelines",
          ("iterative-text minus clara-8x",), higher=MULTIHOP),
    Claim(REFERENCE, "is significantly above an untrained one under the flattened cosine, by 18.4", "similarity",
          ("untrained: late minus flattened",), higher=("hotpotqa",)),
    Claim(REFERENCE, "recall@5 is significantly higher on every task, by 4 to 15", "similarity-recall",
          ("flattened: trained minus untrained",), higher=ALL),
    Claim(REFERENCE, "F1 is significantly higher on NQ alone, by 7.1 points", "similarity",
          ("flattened: trained minus untrained",), higher=("nq",), undecided=ALL[1:]),
    Claim(REFERENCE, "F1 is significantly higher than trained under the flattened cosine on NQ", "similarity",
          ("trained: late minus flattened",), higher=("nq", "hotpotqa", WIKI), undecided=("musique",)),
    Claim(REFERENCE, "Under late interaction it raises recall@5 significantly on every task", "similarity-recall",
          ("late: trained minus untrained",), higher=ALL),
    Claim(REFERENCE, "F1 is not significantly different on any task", "similarity", ("late: trained minus untrained",),
          undecided=ALL),
    Claim(REFERENCE, "EM is not significantly different on any task or over the four", "reading", undecided=ALL),
    Claim(REFERENCE, "EM is not significantly different on any task or over the four", "reading-means", undecided=MEAN),
    Claim(README, "was not significantly better than reconstruction or mean pooling over three trainings",
          "latents-methods", undecided=MEAN),
]  # fmt: skip
COUNTED = {
    (RESULTS, "Thirteen of 18 compressors lose significantly"): lambda: 13 == _lower("whole", "gold-", "nq"),
    (RESULTS, "one of 128 comparisons is significant"): lambda: claims.counts("truncation")[:2] == (128, 1),
    (RESULTS, "one loss is significant"): lambda: _lower("whole", "", "") - _lower("whole", "gold-", "") == 1,
    (RESULTS, "Nothing is significantly better than truncation"): lambda: _none_higher(
        "truncation", "truncation-means"
    ),
    (RESULTS, "no method is significantly above `truncate`"): lambda: _none_higher("truncation-means"),
    (REFERENCE, "changes one of twelve numbers significantly"): lambda: claims.counts("retrained")[:2] == (12, 1),
}
DEFINITIONS = (
    '"Significant" means p < 0.05 after Holm', "bold ones are significant", "Does salient pretraining beat",
    "A method that does not beat both at its own rate",
)  # fmt: skip
"""Sentences that claim no difference."""
TITLES = {
    "No compressor is significantly better than truncation": lambda: _none_higher("truncation", "truncation-means"),
    "Memories with a quarter of the tokens: no difference from text that stands": lambda: (
        len(claims.verdicts_of("worlds-3", "gold: 8x memories minus text")["undecided"]) == len(ALL)
    ),
    "Real questions: at a quarter of the tokens none keeps more than 70 % of F1 of text": lambda: (
        max(mean for label, mean in _means("tuned", "f1").items() if label.endswith("-4x"))
        < 0.7 * _means("tuned", "f1")["gold-text"]
    ),
    "do not differ beyond what another seed changes": lambda: claims.counts("latents-methods")[1] == 0,
    "Two searches lead; with one, 8x memories and the text of a trained retriever are level": lambda: (
        len(claims.verdicts_of("pipelines", "clara-8x minus trained-text")["undecided"]) == len(ALL)
        and not claims.verdicts_of("pipelines", "iterative-text minus clara-8x")["lower"]
    ),
}
"""What pictures say above their panels."""


def _lower(family: str, prefix: str, task: str) -> int:
    return sum(row.startswith(prefix) and row.endswith(task) for row in claims.verdicts_of(family)["lower"])


def _means(part: str, metric: str) -> dict[str, float]:
    """Of each system of a table, the mean over its tasks."""
    found = refresh.by_system(refresh.published(part), metrics.get(metric))
    return {
        label: fmean(row.metrics[metric].mean or 0.0 for row in rows.values()) for (_, label), rows in found.items()
    }


def _none_higher(*families: str) -> bool:
    return not any(claims.verdicts_of(family)["higher"] for family in families)


def prose(page: str) -> str:
    """A page's text without tables and generated blocks, in one line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"<!-- claims-.*?<!-- /claims-[\w@-]+ -->", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"^\|.*$", "", text, flags=re.MULTILINE))


def claiming(page: str) -> Iterator[str]:
    """The sentences of a page that speak of a difference."""
    return (said for said in re.split(r"(?<=[.:])\s(?=[A-Z*`-])", prose(page)) if CLAIMING.search(said))


@pytest.mark.parametrize("page", PAGES)
def test_every_sentence_that_claims_a_difference_is_held_against_a_family_of_comparisons(page: str) -> None:
    known = [one.text for one in CLAIMS if one.page == page]
    known += [text for place, text in COUNTED if place == page]
    loose = [said for said in claiming(page) if not any(text in said for text in (*known, *DEFINITIONS))]
    assert loose == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda one: f"{one.family}-{one.text[:40]}")
def test_every_claim_stands_on_its_page_and_is_what_holm_leaves_of_it(claim: Claim) -> None:
    assert claim.text in prose(claim.page)
    found: Any = claims.tested(claim.family)
    for row in claim.rows or claims.FAMILIES[claim.family].rows:
        for verdict in ("higher", "lower", "undecided"):
            for task in getattr(claim, verdict):
                assert found[row, task].verdict.verdict == verdict, (row, task)


@pytest.mark.parametrize(("page", "text"), COUNTED)
def test_every_count_of_significant_differences_is_right(page: str, text: str) -> None:
    assert text in prose(page)
    assert COUNTED[page, text]()


def test_tables_of_families_are_those_of_the_published_runs() -> None:
    for name, family in claims.FAMILIES.items():
        text = family.page.read_text(encoding="utf-8")
        assert not family.shown or f"<!-- claims-{name} -->" in text, name
        assert claims.filled(text, name) == text, name


def test_the_144_comparisons_with_whole_passages_and_128_with_truncation_are_counted_as_the_pages_say() -> None:
    assert claims.counts("whole") == (144, 14, 30)
    assert claims.counts("truncation") == (128, 1, 5)


@pytest.mark.parametrize("title", TITLES)
def test_what_a_picture_says_above_its_panels_holds_after_correction(title: str) -> None:
    sources = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.py"))
    drawn = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.svg"))
    assert title in sources
    assert title in drawn
    assert TITLES[title]()


def test_the_break_even_on_the_page_is_that_of_the_runs_that_began_with_an_empty_cache() -> None:
    text = claims.ANALYSIS.read_text(encoding="utf-8")
    assert claims.with_costs(text) == text
    found = [claims.costs(run) for run in claims.find_runs(ROOT / "reference" / "costs")]
    [memories] = [one for one in found if one.run.manifest["system"]["label"] == "clara-8x"]
    [text_run] = [one for one in found if one.run.manifest["system"]["label"] == "bm25-text"]
    assert not memories.offline.cached
    seconds, operations = claims.cost_tables.break_even(text_run, memories)
    assert seconds.questions == pytest.approx(0.21, abs=0.005)
    assert operations.questions == pytest.approx(0.27, abs=0.005)
