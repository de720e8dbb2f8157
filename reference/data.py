"""Training rows: what one holds, and the paper's JSONL forms of it.

A file holds the rows of one stage, one a line (clara's dataset card and loader):

    pretrain    data_type "qa" or "paraphrase", question: [..], answers: [..] (as many), docs: [one]
    instruct    question, answer, docs: [..]
    joint       the same, docs being the candidates, and pos_index: [positions of the supporting ones]

Lines may carry two keys of ours: `id`, and `chain` (see `Turn.chain`; a list in pretraining files). Instruction files
may say `pos_index` too.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from clara_bench import DataError

Kind = Literal["qa", "paraphrase"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer to learn."""

    question: str
    """"" for a paraphrase."""
    answer: str
    chain: str = ""
    """The reasoning before the answer, such as the name of the person in between; "" for none."""


@dataclass(frozen=True, slots=True)
class Row:
    """Documents, and questions over all of them."""

    id: str
    documents: tuple[str, ...]
    """Each is "Title\\ntext", or as the file has it."""
    turns: tuple[Turn, ...]
    kind: Kind = "qa"
    """`paraphrase`: the one answer is the one document in other words."""
    positives: tuple[int, ...] = ()
    """Which documents the answer needs, as far as is known."""

    @property
    def length(self) -> int:
        """Characters, documents and turns together: what batches of alike rows are made by."""
        turns = sum(len(turn.question) + len(turn.chain) + len(turn.answer) for turn in self.turns)
        return turns + sum(map(len, self.documents))


class _Pretrain(msgspec.Struct, omit_defaults=True):
    data_type: Kind | None = None  # missing means qa
    question: list[str] = []
    answers: list[str] = []
    docs: list[str] = []
    chain: list[str] = []
    id: str = ""


class _Single(msgspec.Struct, omit_defaults=True):
    question: str
    docs: list[str] = []
    answer: str | None = None
    pos_index: list[int] = []
    chain: str = ""
    id: str = ""
    # read where `docs` or `answer` is missing, in this order, as the released loader does
    context: list[str] = []
    content: list[str] = []
    answers: list[str] = []
    golden_answers: list[str] = []
    gold_answer: str | list[str] = []


class _Form(NamedTuple):
    """How one kind of file holds rows."""

    line: type[Any]
    row: Callable[[Any, str], Row]
    """A checked row from a line and the id it gets if it has none; ValueError says what is wrong with it."""
    lines: Callable[[Row], Iterator[Any]]


def read_pretrain(path: Path) -> Iterator[Row]:
    """The rows of a compressor pretraining file.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["pretrain"])


def read_instruct(path: Path) -> Iterator[Row]:
    """The rows of an instruction tuning file, one question each.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["instruct"])


def read_joint(path: Path) -> Iterator[Row]:
    """The rows of an end-to-end training file: a question, its candidates, and which of them support the answer.

    Raises:
        DataError: the file cannot be read, or a line does not hold a row; says which.
    """
    return _read(path, FORMS["joint"])


def write_pretrain(rows: Iterable[Row], path: Path) -> int:
    """Write rows of one document each, a row a line; returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["pretrain"])


def write_instruct(rows: Iterable[Row], path: Path) -> int:
    """Write rows, a turn a line (turns of one row share its id); returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["instruct"])


def write_joint(rows: Iterable[Row], path: Path) -> int:
    """Write rows with their candidates, a turn a line; returns the number of lines.

    Raises:
        DataError: a row that the form cannot hold; the file is then not written.
    """
    return _write(rows, path, FORMS["joint"])


def _read(path: Path, form: _Form) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(form.line)
    for number, text in enumerate(_lines(path), 1):
        if text.strip():
            yield _decode(decoder, form, text, path, number)


def _decode(decoder: Any, form: _Form, text: bytes, path: Path, number: int) -> Row:
    try:
        return form.row(decoder.decode(text), f"{path.name}:{number}")
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise DataError(f"{path}, line {number}: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from stream
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Expected JSON, one row a line, or that as .gz") from error


def _write(rows: Iterable[Row], path: Path, form: _Form) -> int:
    """Through a file beside it, so that what is broken off never looks whole."""
    number = 0
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as raw, _packed(raw, path) as stream:
            for row in rows:
                if not row.turns:
                    raise DataError(f"{path}: row {row.id!r} cannot be written: it has no turns")
                for line in form.lines(row):
                    _writable(form, line, row, path)
                    stream.write(msgspec.json.encode(line) + b"\n")
                    number += 1
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return number


def _packed(raw: IO[bytes], path: Path) -> Any:
    return gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else nullcontext(raw)


def _writable(form: _Form, line: Any, row: Row, path: Path) -> None:
    try:
        form.row(line, row.id)
    except ValueError as error:
        raise DataError(f"{path}: row {row.id!r} cannot be written: {error}") from error


def _pretrain_row(line: _Pretrain, default: str) -> Row:
    questions, answers = line.question, line.answers
    if line.data_type == "paraphrase":
        questions, answers = [""], answers[:1]
    _expect(len(answers) > 0, "`answers` is empty, expected one at least")
    _expect(len(questions) == len(answers), f"{len(questions)} in `question`, {len(answers)} in `answers`")
    _expect(len(line.chain) in (0, len(answers)), f"{len(line.chain)} in `chain`, {len(answers)} in `answers`")
    _expect(len(line.docs) == 1, f"`docs` holds {len(line.docs)}, expected one")
    chains = line.chain or [""] * len(answers)
    turns = tuple(Turn(*turn) for turn in zip(questions, answers, chains, strict=True))
    return _sound(Row(line.id or default, tuple(line.docs), turns, line.data_type or "qa"))


def _single_row(line: _Single, default: str) -> Row:
    documents = line.docs or line.context or line.content
    _expect(len(documents) > 0, "no `docs`, expected one at least")
    found, last = line.pos_index, len(documents) - 1
    _expect(all(0 <= place <= last for place in found), f"`pos_index` is {found}, expected 0 to {last}")
    _expect(len(set(found)) == len(found), f"`pos_index` is {found}, expected no place twice")
    turn = Turn(line.question, _answer(line), line.chain)
    return _sound(Row(line.id or default, tuple(documents), (turn,), positives=tuple(found)))


def _answer(line: _Single) -> str:
    if line.answer is not None:
        return line.answer
    gold = [line.gold_answer] if isinstance(line.gold_answer, str) else line.gold_answer
    found = [*line.answers, *line.golden_answers, *gold]
    _expect(len(found) > 0, "no `answer`")
    return found[0]


def _sound(row: Row) -> Row:
    _expect(all(document.strip() for document in row.documents), "an empty document")
    _expect(all(turn.answer.strip() for turn in row.turns), "an empty answer")
    _expect(row.kind == "paraphrase" or all(turn.question.strip() for turn in row.turns), "an empty question")
    return row


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _pretrain_lines(row: Row) -> Iterator[_Pretrain]:
    questions, answers, chains = zip(*((turn.question, turn.answer, turn.chain) for turn in row.turns), strict=True)
    kept = list(chains) if any(chains) else []
    yield _Pretrain(row.kind, list(questions), list(answers), list(row.documents), kept, row.id)


def _single_lines(row: Row) -> Iterator[_Single]:
    for turn in row.turns:
        yield _Single(turn.question, list(row.documents), turn.answer, list(row.positives), turn.chain, row.id)


FORMS: dict[str, _Form] = {
    "pretrain": _Form(_Pretrain, _pretrain_row, _pretrain_lines),
    "instruct": _Form(_Single, _single_row, _single_lines),
    "joint": _Form(_Single, _single_row, _single_lines),
}


class Lines:
    """The rows of a JSONL file, read from disk when asked for; those of a .gz are held in memory."""

    def __init__(self, path: Path, form: str) -> None:
        """Reads the whole file once, to check it and to note where its lines start.

        Args:
            path: the file.
            form: pretrain, instruct or joint.

        Raises:
            DataError: a bad line, or no rows at all; says which.
        """
        self._path, self._form = path, FORMS[form]
        self._decoder = msgspec.json.Decoder(self._form.line)
        self._held = tuple(_read(path, self._form)) if path.suffix == ".gz" else None
        self._starts = array("Q")
        self._numbers = array("Q")
        if self._held is None:
            self._find()
        self.size = len(self._starts) if self._held is None else len(self._held)
        if not self.size:
            raise DataError(f"{path}: no rows")

    def _find(self) -> None:
        start = 0
        for number, text in enumerate(_lines(self._path), 1):
            if text.strip():
                _decode(self._decoder, self._form, text, self._path, number)
                self._starts.append(start)
                self._numbers.append(number)
            start += len(text)

    def __getitem__(self, position: int) -> Row:
        if self._held is not None:
            return self._held[position]
        with self._path.open("rb") as stream:
            stream.seek(self._starts[position])
            return _decode(self._decoder, self._form, stream.readline(), self._path, self._numbers[position])
