"""Training rows as token ids: prompts with targets, documents, and loss weights."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from clara_bench import DataError
from reference.data.row import Row
from reference.model.clara import Clara
from reference.model.layout import SEPARATOR
from reference.model.prompts import Encoded, memory_block
from reference.objectives.memory_slots import grouped
from reference.settings.config import GATED, RETRIEVING, Selection, TrainConfig


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch in token ids, made without the model."""

    rows: list[Row]
    documents: list[list[int]]
    """Token ids of all rows' documents, in order; none where memories are looked up by text."""
    encoded: list[Encoded]
    """Prompts with their targets; in stages that choose documents, a SEPARATOR stands for each that will be chosen, and
    for every candidate where it reads them all."""
    weight: float
    """Of all targets together."""
    extra_weight: float
    """The number of documents in the MSE, or of questions in the retrieval loss."""
    as_text: Sequence[Encoded] = ()
    """The same prompts with the documents' tokens in them, for a teacher; none without one."""


def prepare(model: Clara, config: TrainConfig, selection: Selection, rows: Sequence[Row], step: int = 0) -> Batch:
    """Convert rows to token ids, with their loss weights, before anything is computed.

    Args:
        model: provides the tokenizer and the numbers of memory vectors; nothing is computed with it.
        config: of the stage.
        selection: how the stage chooses documents.
        rows: a micro-batch.
        step: varies the wording of paraphrase prompts.

    Raises:
        DataError: a row with several questions in a stage that chooses documents for one.
    """
    rows, stage, prompter = list(rows), config.stage, model.prompter
    if stage in RETRIEVING:
        _one_question_each(rows, stage)
        gated = selection.estimator in GATED
        documents, blocks = [], [[[SEPARATOR]] * (len(row.documents) if gated else selection.k) for row in rows]
    else:
        flat = prompter.documents([document for row in rows for document in row.documents])
        documents = [ids[: model.config.memory.document_tokens] for ids in flat]
        given = documents if stage == "text" else [memory_block(m) for m in model.slots_of(documents)]
        blocks = grouped(given, [len(row.documents) for row in rows])
    if stage == "supervised":
        return Batch(rows, [], [], 0.0, float(sum(bool(row.positives) for row in rows)))

    def encoded_with(blocks: Sequence[Sequence[Sequence[int]]]) -> list[Encoded]:
        return [
            prompter.encode(row, block, stage, config.question_weight, _draw(config, row, step))
            for row, block in zip(rows, blocks, strict=True)
        ]

    encoded = encoded_with(blocks)
    as_text = encoded_with(grouped(documents, [len(row.documents) for row in rows])) if config.teacher else ()
    # a row's first token has nothing to be predicted from
    weight = sum(sum(row.weights[1:]) for row in encoded)
    drawing = stage in RETRIEVING and selection.estimator in ("reinforce", "posterior")
    extra_weight = float(len(rows) if drawing else len(documents))
    return Batch(rows, documents, encoded, weight, extra_weight, as_text)


def _draw(config: TrainConfig, row: Row, step: int) -> int:
    """Picks the wording of a paraphrase prompt."""
    return zlib.crc32(f"{config.seed} {step} {row.id}".encode())


def _one_question_each(rows: Sequence[Row], stage: str) -> None:
    for row in rows:
        if len(row.turns) != 1 or row.kind != "qa":
            turns = f"{len(row.turns)} {row.kind} turns"
            raise DataError(f"row {row.id!r}: stage '{stage}' takes one question a row, not {turns}")
