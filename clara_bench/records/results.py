"""A run on disk: questions and answers, and how to read them.

    runs/<task>/<label>/<setting>-<identity>/
        manifest.json     everything needed to repeat the run
        questions.jsonl   the questions as the system saw them, each with its gold
        records.jsonl     one answer a line, appended and synced batch by batch
        prompts.jsonl.gz  what the reader read (prompts.py); no score needs it
        scores.json       computed from the two files above, never edited

Published runs (under results/) hold the same files, and lie together in packs (packs.py); before that, the two large
ones were gzipped. Paths name runs in packs as if these were folders.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clara_bench.errors import BenchError, DataError
from clara_bench.io.cache import digest, write_atomic
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode_again, decode_lines, in_bulk
from clara_bench.io.redaction import redacted
from clara_bench.records.answer_check import check_answer, check_record
from clara_bench.records.manifest import Manifest, json_bytes, read_manifest
from clara_bench.records.packs import FILES, OPTIONAL, located, pack_of, places, read_pack, write_pack
from clara_bench.types import FAILURES, Example, Record, Setting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory that has a manifest."""

    path: Path
    manifest: Manifest

    @property
    def examples(self) -> list[Example]:
        """The questions with their golds, in the order asked.

        Raises:
            DataError: they are not those that the manifest names.
        """
        return Questions().of(self)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.path

    @property
    def key(self) -> str:
        """SHA-256 (hex) over what scores depend on: the manifest, the questions and the answers.

        Raises:
            DataError: a file of them cannot be read.
        """
        names = "manifest.json", "questions.jsonl", "records.jsonl"
        return digest([content(self.folder / name) for name in names])

    def records(self) -> list[Record]:
        """The answers so far; a last line cut short by a kill is left out.

        Raises:
            DataError: see `read_records`; also an answer to a question that was not asked.
            ConfigError: an answer contradicts itself or what its question was offered.
        """
        return self.answered()[1]

    @in_bulk()
    def answered(self, questions: Questions | None = None) -> tuple[list[Example], list[Record]]:
        """The questions and the answers so far, each read once.

        Args:
            questions: those of the last run that was read, to be shared.

        Raises:
            DataError, ConfigError: see `examples` and `records`.
        """
        file, examples = self.path / "records.jsonl", (questions or Questions()).of(self)
        found = read_records(self.path)
        asked = {example.question.id: example.question for example in examples}
        for record in found:
            if record.id not in asked:
                raise DataError(
                    f"{file}: an answer to question '{record.id}', which is not in this run. Remove the line"
                )
            check_answer(record.answer, asked[record.id], f"{file}: the answer to question '{record.id}'")
        return examples, found


class Questions:
    """The questions of runs that are read one after another; runs with the same file share them."""

    def __init__(self) -> None:
        self._key = self._hash = self._offered = ""
        self._found: list[Example] = []

    def of(self, run: Run) -> list[Example]:
        """The questions of a run with their golds, in the order asked.

        Raises:
            DataError: they are not those that its manifest names.
        """
        file, setting, asked = run.path / "questions.jsonl", run.manifest["setting"], run.manifest["questions"]
        key = digest([setting, content(file)])
        if key != self._key:
            self._found = read_questions(run.path, setting)
            self._key, self._hash, self._offered = key, questions_hash(self._found), offered_hash(self._found)
        same = self._hash == asked["hash"] and len(self._found) == asked["count"]
        if not same or self._offered != asked.get("offered", self._offered):
            raise DataError(
                f"{file}: not the {asked['count']} questions that were asked, by the hash in manifest.json. "
                "Put the file back as it was written, or run again with another --out"
            )
        return self._found


def answered_again(run: Run, questions: Questions) -> tuple[list[Example], list[Record]]:
    """The same as `answered` of a run that was scored from the same files: what was checked then is not checked again.

    Raises:
        DataError: a line does not parse.
    """
    file = run.path / "records.jsonl"
    lines = content(file).split(b"\n")[:-1]
    found = {one.id: one for one in map(_told_apart, decode_again(lines, Record, str(file)))}
    return questions.of(run), list(found.values())


def open_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        DataError: see `read_manifest`.
    """
    file = located(path) / "manifest.json"
    if not file.is_file():
        runs = [
            str(path / found.parent.relative_to(file.parent)) for found in sorted(file.parent.glob("*/manifest.json"))
        ]
        said = f"Choose one of its runs: {', '.join(runs)}" if runs else "Runs lie at <task>/<system>/<run>"
        raise DataError(f"{path} is not a run: it has no manifest.json. {said}")
    return Run(path, read_manifest(file))


def find_runs(root: Path, left_out: Callable[[BenchError], None] | None = None) -> list[Run]:
    """Every run below a folder (or the folder itself), in a stable order; a warning says what else has a manifest.json.

    Args:
        root: the folder.
        left_out: told of each run whose manifest cannot be read, which is then left out; None to raise.

    Raises:
        DataError: the folder is not there or holds no run, or a manifest cannot be read.
    """
    folders: list[Path] = []
    others: list[Path] = []
    for folder in _folders(root):
        (folders if _asks(folder) else others).append(folder)
    if not folders:
        raise DataError(f"{root} holds no runs (no manifest.json with questions beside it). Make some: clara-bench run")
    if others:
        said = (
            f"{len(others)} folders with a manifest.json and no questions are no runs, such as {min(others)}: left out"
        )
        warnings.warn(said, stacklevel=2)
    readable = []
    for folder in folders:
        try:
            readable.append(open_run(folder))
        except BenchError as error:
            if left_out is None:
                raise
            left_out(error)
    return readable


def _asks(folder: Path) -> bool:
    """Whether a folder is a run's: those of checkpoints and indexes have a manifest.json too."""
    file = located(folder) / "questions.jsonl"
    return file.exists() or packed(file).exists()


def questions_hash(examples: Sequence[Example]) -> str:
    """SHA-256 over question ids, texts and golds, candidates left out."""
    encoder = msgspec.json.Encoder(order="deterministic")
    return digest(encoder.encode((example.question.id, example.question.text, example.gold)) for example in examples)


def offered_hash(examples: Sequence[Example]) -> str:
    """SHA-256 over which passages each question could use, in order."""
    return digest([msgspec.json.encode([(example.question.id, example.question.candidates) for example in examples])])


def identity(parts: Mapping[str, Any]) -> str:
    """Twelve hex digits that differ whenever anything that could change an answer differs."""
    return digest([msgspec.json.encode(parts, order="deterministic")])[:12]


def read_questions(path: Path, setting: Setting) -> list[Example]:
    """The questions in a run directory, gzipped or not; [] before the first.

    Raises:
        DataError: a line is not a question.
    """
    return [_as_meant(example, setting) for _, example in _decode_lines(path / "questions.jsonl", Example)]


def write_questions(path: Path, examples: Sequence[Example]) -> None:
    """Write questions.jsonl; only a larger sample of the same questions ever takes its place."""
    write_atomic(path / "questions.jsonl", _lines(examples))


def read_records(path: Path) -> list[Record]:
    """The answers in a run directory, gzipped or not; [] before the first.

    A failed question that was asked again has two lines; the later one counts.

    Raises:
        DataError: a line other than an unfinished last one does not parse, or a question that
            did not fail is answered twice.
        ConfigError: an answer contradicts itself.
    """
    latest: dict[str, Record] = {}
    file = path / "records.jsonl"
    where = str(file)
    for number, line in _decode_lines(file, Record, unfinished_last_line=True):
        record = _told_apart(line)
        check_record(record, f"{where}: line {number}: the answer")
        earlier = latest.get(record.id)
        if earlier is not None and earlier.answer.status not in FAILURES:
            raise DataError(f"{where}: line {number}: a second answer to question '{record.id}'")
        latest[record.id] = record
    return list(latest.values())


def publish(runs: Iterable[Run], root: Path) -> list[Path]:
    """Put copies of runs into the packs below results/, one for each task; returns the paths that name them there.

    Raises:
        DataError: a run is not finished, a pack is damaged, or a folder lies where the pack of a task would.
        BackendError: the disk is full or cannot be written to.
    """
    packs: dict[Path, dict[str, bytes]] = {}
    published = []
    for run in runs:
        folder = root / str(run.manifest["task"]["name"])
        if folder.exists():
            raise DataError(f"{folder} holds runs that are not published. Choose another folder with --to")
        pack, name = pack_of(folder), f"{run.manifest['system']['label']}/{run.path.name}"
        if pack not in packs:
            packs[pack] = read_pack(pack)
        packs[pack] |= {f"{name}/{file}": held for file, held in _to_publish(run).items()}
        published.append(folder / name)
    for pack, files in packs.items():
        write_pack(pack, files)
    return published


def _to_publish(run: Run) -> dict[str, bytes]:
    asked, answered = len(run.examples), len(run.records())
    if answered < asked:
        raise DataError(f"{run.path}: {answered} of {asked} questions are answered. Finish the run first")
    files = {name: held for name in FILES if (held := content(run.path / name)) or name not in OPTIONAL}
    if run.manifest["schema"] == 1:  # which was written with whatever was given
        files["manifest.json"] = json_bytes(redacted(run.manifest))
    return files


def _folders(root: Path) -> list[Path]:
    """Every folder with a manifest.json below a root, in packs too.

    Raises:
        DataError: there is no such root.
    """
    found = places(root)
    if not found:
        raise DataError(f"no such folder: {root}. Make runs with: clara-bench run")
    return sorted(
        {shown / file.parent.relative_to(real) for shown, real in found for file in real.rglob("manifest.json")}
    )


def content(path: Path) -> bytes:
    """A file's bytes, from the plain file or its .gz twin; b"" when there is neither.

    Raises:
        DataError: both are there, or the file cannot be read.
    """
    path = located(path.parent) / path.name
    twin = packed(path)
    if path.exists() and twin.exists():
        raise DataError(f"both {path} and {twin.name} exist. Remove one of them")
    if not path.exists() and not twin.exists():
        return b""
    return read_bytes(twin if twin.exists() else path)


def packed(path: Path) -> Path:
    """The gzipped file of a published run."""
    return path.with_name(f"{path.name}.gz")


def _as_meant(example: Example, setting: Setting) -> Example:
    """The first runs wrote [] where the whole corpus could be searched, as they did where nothing was offered."""
    if setting != "corpus" or example.question.candidates:
        return example
    return replace(example, question=replace(example.question, candidates=None))


def _told_apart(record: Record) -> Record:
    """They wrote [] where there was no search, too; only there is no `answer_ranks`."""
    if record.answer.retrieved or record.answer_ranks is not None:
        return record
    return replace(record, answer=replace(record.answer, retrieved=None))


def _lines(values: Iterable[Any]) -> bytes:
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)


def _decode_lines(path: Path, kind: type[T], unfinished_last_line: bool = False) -> Iterator[tuple[int, T]]:
    lines = content(path).split(b"\n")
    rest = lines.pop()
    if rest and not unfinished_last_line:
        raise DataError(f"{path}: the last line is not finished")
    return decode_lines(lines, kind, str(path), "Put the file back as it was written, or take the line out", whole=True)
