"""Training rows with a text reader's answers as targets: sequence-level distillation (PISCO).

The teacher reads each row's passages as text and answers every question; its words, reasoning and answer as it wrote
them, are what a reader of memories is then trained to say (Louis et al., arXiv 2501.16075, section 3). Beside the rows
lies a journal, a line for each chunk of rows as soon as it is done; what is in a chunk is answered together, so that a
run that was stopped ends with the same file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clara_bench import ConfigError
from clara_bench.io.progress import progress
from reference.data.row import Row, Turn
from reference.data.row_files import write_instruct
from reference.data.sources import open_source
from reference.data.stream import Source
from reference.model.prompts import CHAIN
from reference.settings.config import Config
from reference.synthesis.parts import WHOLE, Part, journal_of, merge
from reference.synthesis.progress import Numbered, begun, note
from reference.systems.answering import text_prompt
from reference.systems.serving import Weights
from reference.training.checks import data_options
from reference.weights.initialization import stage_settings

CHUNK = 64
"""Rows that are answered together."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all lines of a journal have in common."""

    teacher: str
    """Fingerprint of its weights."""
    data: dict[str, Any]
    max_new_tokens: int
    schema: int = 1


class Chunk(Numbered, frozen=True):
    """Rows that were answered together."""

    said: list[list[str | None]]
    """Answers to every question of every row; None if the teacher's output was cut."""


class Taught(NamedTuple):
    """What was written."""

    rows: int
    turns: int
    dropped: int
    """Questions without an answer of the teacher, or whose output was cut."""


def teach(
    config: Config,
    name: str,
    checkpoint: str,
    out: Path,
    rows: int,
    max_new_tokens: int = 64,
    device: str = "auto",
    part: Part = WHOLE,
    merged: int = 0,
) -> Taught:
    """Write the first rows of a stage with a teacher's answers as targets, or resume an interrupted file.

    Args:
        config: names the rows.
        name: of a stage whose rows are passages and questions.
        checkpoint: folder, or name of one that ships; its generator teaches.
        out: JSONL in the form that `path` of the data of `instruct` reads.
        rows: how many.
        max_new_tokens: longest answer with the reasoning before it.
        device: a torch device, or auto.
        part: of the chunks of rows, which goes into a file of its own beside `out`.
        merged: how many parts, all written, become the file; 0 to write it here.

    Raises:
        ConfigError: no such stage or checkpoint, fewer rows, or the journal was begun with other settings.
        DataError: the rows cannot be read, the journal is damaged, or a part is missing or unfinished.
    """
    stage, options = stage_settings(config, name).stage, data_options(config, name)
    if stage not in ("text", "instruct"):
        raise ConfigError(f"stage '{name}' is of kind '{stage}', expected 'text' or 'instruct': passages and questions")
    source = open_source(stage, options)
    if rows < 1 or (source.size is not None and rows > source.size):
        raise ConfigError(f"{rows} rows are asked for, expected 1 to {source.size or 'any number'}")
    weights = Weights(checkpoint, ("generator",), device)
    header = Header(weights.describe()["fingerprint"], options, max_new_tokens)
    wanted = {start // CHUNK: range(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)}
    wanted = {number: at for number, at in wanted.items() if part.holds(number)}
    if merged:
        merge(out, merged, header, Chunk, _settled, ((number, (number, len(at))) for number, at in wanted.items()))
    out = part.file(out)
    said = _said(journal_of(out), header, weights, source, wanted)
    places = [place for at in wanted.values() for place in at]
    kept = [row for place, told in zip(places, said, strict=True) if (row := _taught(source[place], told)).turns]
    turns = write_instruct(kept, out)
    return Taught(len(kept), turns, sum(map(len, said)) - turns)


def _settled(chunk: Chunk) -> tuple[int, int]:
    return chunk.number, len(chunk.said)


def _said(
    path: Path, header: Header, weights: Weights, source: Source, wanted: Mapping[int, range]
) -> list[list[str | None]]:
    """The teacher's answers to chunks of rows, from the journal if it has them."""
    known = {chunk.number: chunk.said for chunk in begun(path, header, Chunk)}
    done = {number: known[number] for number, at in wanted.items() if len(known.get(number, ())) == len(at)}
    with path.open("ab") as journal, progress("answering", sum(map(len, wanted.values())), "rows") as advance:
        advance(sum(map(len, done.values())))
        for number in [number for number in wanted if number not in done]:
            done[number] = _answers(weights, [source[at] for at in wanted[number]], header.max_new_tokens)
            note(journal, Chunk(number, done[number]))
            advance(len(done[number]))
    return [said for number in wanted for said in done[number]]


def _answers(weights: Weights, rows: list[Row], most: int) -> list[list[str | None]]:
    model = weights.model
    documents = [model.prompter.documents(row.documents) for row in rows]
    prompts = [
        text_prompt(weights, turn.question, passages, most).prompt
        for row, passages in zip(rows, documents, strict=True)
        for turn in row.turns
    ]
    given = iter(model.answer(prompts, max_new_tokens=most))
    return [[None if said.truncated else said.text for _, said in zip(row.turns, given)] for row in rows]  # noqa: B905


def _taught(row: Row, said: list[str | None]) -> Row:
    return Row(row.id, row.documents, tuple(_turns(row, said)), positives=row.positives)


def _turns(row: Row, said: list[str | None]) -> Iterator[Turn]:
    for turn, text in zip(row.turns, said, strict=True):
        chain, _, answer = (text or "").rpartition(CHAIN)
        if answer.strip():
            yield Turn(turn.question, answer, chain)
