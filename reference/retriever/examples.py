"""Contrastive examples from the rows of stages that choose documents: a question, a gold passage, hard negatives."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from clara_bench import ConfigError
from clara_bench.text import composed
from reference.data.row import Row
from reference.data.sources import open_source
from reference.settings.config import RETRIEVING, Config
from reference.settings.tables import Choices, read_table

DEV_SEED = 1_000_003
"""Of the world whose questions are asked during training; its names occur in no world of training."""


class Share(NamedTuple):
    """The part of a stage's rows that is trained on: the first, in their order."""

    stage: str
    rows: int


def shares(config: Config, stages: Sequence[str], budget: float) -> list[Share]:
    """The rows of each stage that a share of its steps reads, in whole batches; at least one.

    Raises:
        ConfigError: a stage that is not in the config or chooses no documents, or stages of different batches.
    """
    for name in stages:
        if name not in config.stages or config.stages[name].stage not in RETRIEVING:
            known = [one for one, settings in config.stages.items() if settings.stage in RETRIEVING]
            raise ConfigError(
                f"stage '{name}' has no rows of questions and candidates. "
                f"Expected one that chooses documents: {', '.join(known)}"
            )
    batches = {config.stages[name].batch for name in stages}
    if len(batches) != 1:
        raise ConfigError(f"the stages have batches of {sorted(batches)}. Expected stages with one and the same batch")
    return [
        Share(name, max(1, round(budget * config.stages[name].steps)) * config.stages[name].batch) for name in stages
    ]


def examples(config: Config, taken: Sequence[Share], negatives: int, seed: int) -> Iterator[dict[str, str]]:
    """An example a row: the question, one of its gold passages, and candidates that are not gold.

    Which gold passage and which candidates depends on the seed and the row's position alone. Rows without gold
    passages are left out, and so are rows that have too few other candidates.
    """
    for share in taken:
        source = open_source(config.stages[share.stage].stage, config.data.get(share.stage, {}))
        for position in range(share.rows if source.size is None else min(share.rows, source.size)):
            row = source[position]
            others = [number for number in range(len(row.documents)) if number not in row.positives]
            if row.positives and len(others) >= negatives:
                yield _example(row, others, negatives, random.Random(f"{seed} {share.stage} {position}"))


def _example(row: Row, others: Sequence[int], negatives: int, dice: random.Random) -> dict[str, str]:
    hard = dice.sample(others, negatives)
    return {
        "question": composed(row.turns[0].question),
        "gold": passage(row.documents[dice.choice(row.positives)]),
        **{f"negative_{place}": passage(row.documents[number]) for place, number in enumerate(hard, 1)},
    }


def dev_samples(config: Config, stage: str, questions: int) -> list[dict[str, Any]]:
    """Questions of a dev world with their gold passages and other candidates, as `RerankingEvaluator` takes them.

    Raises:
        ConfigError: the stage's rows are from a file, which has no dev world.
    """
    kind = config.stages[stage].stage
    table = read_table(kind, config.data.get(stage, {}), f"data.{stage}")
    if not isinstance(table, Choices):
        raise ConfigError(f"data.{stage} is a file: it has no dev world. Expected options of worlds, or no evaluation")
    options = msgspec.to_builtins(msgspec.structs.replace(table, split="dev", seed=DEV_SEED, worlds=1))
    source = open_source(kind, {key: value for key, value in options.items() if value is not None})
    return [_sample(source[position]) for position in range(questions)]


def _sample(row: Row) -> dict[str, Any]:
    texts = [passage(document) for document in row.documents]
    return {
        "query": composed(row.turns[0].question),
        "positive": [texts[place] for place in row.positives],
        "negative": [text for place, text in enumerate(texts) if place not in row.positives],
    }


def passage(document: str) -> str:
    """A row's document as the harness's retrievers index it: its title, a blank, its text."""
    return composed(document.replace("\n", " ", 1))
