"""Every metric as a module of Hugging Face `evaluate`; the configuration's name is the metric's.

    module = evaluate.load("PATH/clara_bench/metrics/evaluate_module.py", "f1_hotpotqa")
    module.compute(predictions=["the Eiffel Tower"], references=[["Eiffel Tower", "la tour Eiffel"]])
    # {"f1_hotpotqa": 1.0}

What a prediction and a reference are depends on the metric, as `module.features` says:

    metric              prediction                          reference
    answer metrics      the answer                          every accepted answer
    recall@k, mrr, ...  ids of the passages, best first     ids of the gold passages
    answer_recall@k     texts of the passages, best first   every accepted answer
    support_*           {title, sentence} rows              {title, sentence} rows
    evidence_*          [subject, relation, object] rows    steps, each all spellings of its row
    joint_*             {answer, support, evidences}        {answers, support, evidences}
    group_*             {answer, support, answerable,       {answers, support}, support as ids
                         contrast}, support as ids,
                         contrast as answerable, said of
                         the same question without support
    costs               {answer, and the fields of Usage}   (none)

Metrics that differ between data sets take `scorer="hotpotqa"` (or musique, 2wiki) in `evaluate.load`.
The file is copied and the copy imported, so it names clara_bench in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import datasets
import evaluate

from clara_bench.metrics import Metric, get
from clara_bench.metrics.cost import PHASES
from clara_bench.metrics.statistics import summarise
from clara_bench.text import contains_answer
from clara_bench.types import Answer, Fact, Gold, Ranked, Record, Triple, Usage

TEXT = datasets.Value("string")
TRUTH = datasets.Value("bool")
TEXTS = datasets.Sequence(TEXT)
FACTS = [{"title": TEXT, "sentence": datasets.Value("int64")}]
TRIPLES = datasets.Sequence(TEXTS)
STEPS = datasets.Sequence(TRIPLES)
COUNTS = ("context_positions", "context_text_tokens", "prompt_tokens", "generated_tokens")
USAGE = {
    "answer": TEXT,
    **{name: datasets.Value("int64") for name in COUNTS},
    "seconds": {phase: datasets.Value("float64") for phase in PHASES},
}


class Form(NamedTuple):
    """The features of predictions and references of some metrics, and their conversion to records."""

    prediction: Any
    reference: Any
    """None where there is nothing to compare with."""
    gold: Callable[[Any], Gold]
    answer: Callable[[Any], Answer]
    answer_ranks: Callable[[Any, Any], tuple[int, ...] | None] = lambda prediction, reference: None
    contrast: Callable[[Any], Answer] | None = None
    """What was said to the same question with support taken away, where the metric looks at both."""


def facts_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Supporting sentences from rows of title and sentence."""
    return tuple(Fact(row["title"], row["sentence"]) for row in rows)


def triples_of(rows: Sequence[Sequence[str]]) -> tuple[Triple, ...]:
    """Evidence from rows of three texts."""
    return tuple(Triple(*row) for row in rows)


def ranking_of(ids: Sequence[str]) -> tuple[Ranked, ...]:
    """A ranking from ids, best first."""
    return tuple(Ranked(passage_id, -float(rank)) for rank, passage_id in enumerate(ids))


def ranks_of(texts: Sequence[str], answers: Sequence[str]) -> tuple[int, ...]:
    """Ranks, from 1, of the texts that contain an answer."""
    return tuple(rank for rank, text in enumerate(texts, 1) if contains_answer(text, answers))


def usage_of(row: Mapping[str, Any]) -> Usage:
    """A Usage from its fields; phases that are not given stay out."""
    seconds = {phase: value for phase, value in row["seconds"].items() if value is not None}
    return Usage(**{name: row[name] for name in COUNTS}, seconds=seconds)


FORMS: Mapping[str, Form] = {
    "answer": Form(TEXT, TEXTS, lambda answers: Gold(tuple(answers)), Answer),
    "retrieval": Form(
        TEXTS,
        TEXTS,
        lambda ids: Gold((), supporting=frozenset(ids)),
        lambda ids: Answer("", retrieved=ranking_of(ids)),
    ),
    "answer_recall": Form(
        TEXTS, TEXTS, lambda answers: Gold(tuple(answers)), lambda texts: Answer(""), answer_ranks=ranks_of
    ),
    "support": Form(
        FACTS,
        FACTS,
        lambda rows: Gold((), facts=facts_of(rows)),
        lambda rows: Answer("", support=facts_of(rows)),
    ),
    "evidence": Form(
        TRIPLES,
        STEPS,
        lambda steps: Gold((), evidences=tuple(map(triples_of, steps))),
        lambda rows: Answer("", evidences=triples_of(rows)),
    ),
    "joint": Form(
        {"answer": TEXT, "support": FACTS, "evidences": TRIPLES},
        {"answers": TEXTS, "support": FACTS, "evidences": STEPS},
        lambda row: Gold(
            tuple(row["answers"]),
            facts=facts_of(row["support"]),
            evidences=tuple(map(triples_of, row["evidences"] or ())),
        ),
        lambda row: Answer(
            row["answer"], support=facts_of(row["support"]), evidences=triples_of(row["evidences"] or ())
        ),
    ),
    "group": Form(
        {"answer": TEXT, "support": TEXTS, "answerable": TRUTH, "contrast": TRUTH},
        {"answers": TEXTS, "support": TEXTS},
        lambda row: Gold(tuple(row["answers"]), supporting=frozenset(row["support"])),
        lambda row: Answer(
            row["answer"], support=tuple(Fact(id, 0) for id in row["support"]), answerable=row["answerable"]
        ),
        contrast=lambda row: Answer("", answerable=row["contrast"]),
    ),
    "cost": Form(USAGE, None, lambda nothing: Gold(()), lambda row: Answer(row["answer"], usage=usage_of(row))),
}


def form_of(metric: Metric) -> Form:
    """The form of the metric's family, or its own where the family has several."""
    if metric.family == "support":
        return FORMS[metric.name.partition("_")[0]]
    return FORMS.get(metric.name.partition("@")[0], FORMS[metric.family])


class ClaraBench(evaluate.Metric):  # type: ignore[misc]
    """One metric of clara-bench over predictions and references."""

    def __init__(self, config_name: str | None = None, scorer: str = "squad", **options: Any) -> None:
        """Look the metric up by the configuration's name.

        Raises:
            UnknownName: no such metric or scorer.
        """
        self.metric = get(config_name or "f1", scorer)
        self.form = form_of(self.metric)
        super().__init__(config_name=self.metric.name, **options)

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": self.form.prediction}
        if self.form.reference is not None:
            features["references"] = self.form.reference
        return evaluate.MetricInfo(
            description=self.metric.description,
            citation=self.metric.citation,
            inputs_description=__doc__ or "",
            features=datasets.Features(features),
        )

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any] | None = None) -> dict[str, float | None]:
        given = list(references) if references is not None else [None] * len(predictions)
        records = [
            Record(str(index), self.form.answer(prediction), self.form.answer_ranks(prediction, reference))
            for index, (prediction, reference) in enumerate(zip(predictions, given, strict=True))
        ]
        golds, contrasts = list(map(self.form.gold, given)), {}
        if self.form.contrast is not None:
            contrasts = {index: index + len(records) for index in range(len(records))}
            golds += [Gold((), answerable=False)] * len(records)
            records += [Record(f"{index}-", self.form.contrast(row)) for index, row in enumerate(predictions)]
        summaries = summarise([self.metric], golds, records, with_intervals=False, contrasts=contrasts)
        return {self.metric.name: summaries[self.metric.name].mean}
