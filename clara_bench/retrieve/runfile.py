"""Rankings as TREC run files, one line per passage: `question Q0 passage rank score tag`.

Files ending in .gz are compressed. Scores, by which trec_eval sorts, must agree with ranks; they are
written so that reading gives the same floats. Such a file is also a retriever: the ranking of another
program can be read from and scored like any other.
"""

from __future__ import annotations

import gzip
import itertools
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from clara_bench.components.registry import OPERATIONAL
from clara_bench.errors import DataError
from clara_bench.io.cache import file_digest, write_atomic
from clara_bench.io.opening import read_lines
from clara_bench.io.parsing import refusing
from clara_bench.retrieve.index import check_k, refuse_unknown_candidates
from clara_bench.types import IndexStats, Passage, Question, Ranked


class _Line(NamedTuple):
    question_id: str
    rank: int
    ranked: Ranked


def write_run(path: Path, rankings: Mapping[str, Sequence[Ranked]], tag: str) -> None:
    """Write rankings, best first, atomically; the same rankings give the same bytes.

    Raises:
        DataError: see `run_text`.
        BackendError: the disk is full or cannot be written to.
    """
    data = run_text(rankings, tag).encode()
    write_atomic(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def run_text(rankings: Mapping[str, Sequence[Ranked]], tag: str) -> str:
    """Rankings, best first, as the lines of a TREC run.

    Raises:
        DataError: what the format cannot carry: an id that is empty, holds a blank or comes twice, a score that is
            no finite number, or that is higher than a better passage's.
    """
    lines: list[str] = []
    for question_id, ranking in rankings.items():
        _check_writable(question_id, ranking)
        for rank, ranked in enumerate(ranking, start=1):
            lines.append(f"{question_id} Q0 {ranked.passage_id} {rank} {float(ranked.score)!r} {word(tag)}\n")
    return "".join(lines)


def _check_writable(question_id: str, ranking: Sequence[Ranked]) -> None:
    word(question_id)
    if len({word(ranked.passage_id) for ranked in ranking}) < len(ranking):
        raise DataError(f"the ranking of question '{question_id}' holds a passage twice. Expected each once")
    for ranked in ranking:
        if not math.isfinite(ranked.score):
            raise DataError(
                f"question '{question_id}', passage '{ranked.passage_id}': score {ranked.score} is not a finite number"
            )
    _refuse_rising_scores(ranking, f"question '{question_id}'")


def word(text: str) -> str:
    """A text that is one word, as ids and tags of TREC's formats are.

    Raises:
        DataError: it is not.
    """
    if text.split() != [text]:
        raise DataError(f"'{text}' cannot stand in a TREC file: ids and tags must not be empty or hold blanks")
    return text


def read_run(path: Path) -> dict[str, tuple[Ranked, ...]]:
    """The ranking of each question, best rank first, questions in the order of the file.

    Raises:
        DataError: the file is missing, or a line is not of the format or says otherwise than one before it.
    """
    found: dict[str, dict[int, Ranked]] = {}
    seen: set[tuple[str, str]] = set()
    for number, text in enumerate(read_lines(path), start=1):
        line = _parse(text, f"{path} line {number}")
        ranking = found.setdefault(line.question_id, {})
        if line.rank in ranking or (line.question_id, line.ranked.passage_id) in seen:
            raise DataError(
                f"{path} line {number}: question '{line.question_id}' has rank {line.rank} or passage "
                f"'{line.ranked.passage_id}' twice. Expected each once"
            )
        ranking[line.rank] = line.ranked
        seen.add((line.question_id, line.ranked.passage_id))
    return {question_id: _in_order(ranks, f"{path}: question '{question_id}'") for question_id, ranks in found.items()}


def _in_order(ranks: Mapping[int, Ranked], where: str) -> tuple[Ranked, ...]:
    ranking = tuple(ranks[rank] for rank in sorted(ranks))
    _refuse_rising_scores(ranking, where)
    return ranking


def _refuse_rising_scores(ranking: Sequence[Ranked], where: str) -> None:
    for better, worse in itertools.pairwise(ranking):
        if worse.score > better.score:
            raise DataError(
                f"{where}: passage '{worse.passage_id}' is ranked behind '{better.passage_id}' with a higher score "
                f"({worse.score}, {better.score}). trec_eval sorts by score: write scores that fall with the ranks"
            )


_RANK = re.compile(rb"[0-9]{1,18}")
_SCORE = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _parse(line: bytes, where: str) -> _Line:
    fields = line.split()
    if len(fields) != 6:
        raise DataError(f"{where}: {len(fields)} fields. Expected 'question Q0 passage rank score tag'")
    with refusing(where):
        question_id, _, passage_id, rank, score, _ = (field.decode() for field in fields)
    if not _RANK.fullmatch(fields[3]) or not _SCORE.fullmatch(fields[4]):
        raise DataError(f"{where}: rank '{rank}' must be a whole number from 0 and score '{score}' a finite number")
    if not math.isfinite(float(score)):
        raise DataError(f"{where}: score '{score}' is not a finite number")
    return _Line(question_id, int(rank), Ranked(passage_id, float(score)))


class RunFile:
    """Ranks as a stored run file says, and only what it names."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `run-file`."""

        path: str = field(metadata=OPERATIONAL)
        """The run file, TREC format, .gz or plain."""
        sha256: str = ""
        """Expected checksum (hex); filled in from the file when not given, so that a manifest pins the content."""
        missing: Literal["refuse", "nothing"] = "refuse"
        """A question without a line is an error (the run may belong to other questions), or an empty result."""

        def __post_init__(self) -> None:
            if not Path(self.path).is_file():
                raise ValueError(f"no such run file: {self.path}")
            actual = file_digest(Path(self.path))
            if self.sha256 not in {"", actual}:
                raise ValueError(f"{self.path} has sha256 {actual}, expected {self.sha256}: not the same run")
            object.__setattr__(self, "sha256", actual)

    def __init__(self, options: Options) -> None:
        self.options = options
        self._run = read_run(Path(options.path))
        if not self._run:
            raise DataError(f"{options.path}: no rankings. Expected lines 'question Q0 passage rank score tag'")
        self._corpus: Mapping[str, Passage] = {}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Take the corpus; nothing is built."""
        start = time.perf_counter()
        self._corpus = corpus
        size = Path(self.options.path).stat().st_size
        return IndexStats(passages=len(corpus), seconds=time.perf_counter() - start, bytes=size)

    def retrieve(self, questions: Sequence[Question], k: int) -> list[list[Ranked]]:
        """The best k passages that the run names for each question, fewer where it names fewer.

        Raises:
            ConfigError: k is below 1.
            DataError: the run lacks the question, or names a passage that is not in the corpus that is searched.
        """
        check_k(k)
        return [self._ranking(question, k) for question in questions]

    def _ranking(self, question: Question, k: int) -> list[Ranked]:
        if question.id not in self._run and self.options.missing == "refuse":
            raise DataError(
                f"{self.options.path}: no ranking for question '{question.id}'. Expected one for each question; where "
                "nothing was found for it, say missing=nothing"
            )
        refuse_unknown_candidates(question, self._corpus)
        stored = self._run.get(question.id, ())
        if question.candidates is None:
            self._refuse_other_corpus(question, stored)
            return list(stored[:k])
        return [ranked for ranked in stored if ranked.passage_id in set(question.candidates)][:k]

    def _refuse_other_corpus(self, question: Question, stored: Sequence[Ranked]) -> None:
        for ranked in stored:
            if ranked.passage_id not in self._corpus:
                raise DataError(
                    f"{self.options.path}: passage '{ranked.passage_id}', ranked for question '{question.id}', is not "
                    f"in the corpus of {len(self._corpus)} passages. Expected a run over this corpus"
                )
