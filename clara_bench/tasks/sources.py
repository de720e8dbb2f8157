"""Data sources: from a task and `--data` to questions, corpus and their provenance.

Three sources: a synthetic world (the default), the official raw files, the Hugging Face hub. All three give raw rows in
the official schema, which go through the same reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from clara_bench import documents
from clara_bench.components.registry import parse_options
from clara_bench.datasets import locate, read, read_aliases, read_corpus, read_rows
from clara_bench.datasets.base import Aliases, Dataset
from clara_bench.errors import ConfigError, DataError, UnknownName
from clara_bench.io.cache import digest, file_digest, write_atomic
from clara_bench.io.parsing import in_bulk
from clara_bench.tasks.definitions import Task
from clara_bench.types import Example, Passage

if TYPE_CHECKING:
    from clara_bench.worlds import WorldConfig


@dataclass(frozen=True, slots=True)
class Source:
    """What `--data`, `--corpus`, `--aliases`, `--split`, `--revision` and `--world` say."""

    data: str = "worlds"
    """`worlds`, `hub`, `hub:ID` or `hub:ID:CONFIGURATION` (ID may be a folder), or a raw file or folder."""
    corpus: str | None = None
    """File of passages or folder of documents; `none` for the questions' own, even if the data have a corpus."""
    aliases: str | None = None
    split: str = "dev"
    revision: str | None = None
    """Of the hub data set; None for the one the task pins."""
    world: Mapping[str, str] = field(default_factory=dict)
    """Options of the world generator: seed, questions, passages, ..."""
    chunk: Mapping[str, str] = field(default_factory=dict)
    """How the documents of a folder are cut: tokens, overlap, tokenizer."""

    @property
    def on_hub(self) -> bool:
        """Whether the data are fetched."""
        return self.data.partition(":")[0] == "hub"


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task with its questions and passages, ready to be asked."""

    task: Task
    examples: tuple[Example, ...]
    corpus: Mapping[str, Passage]
    missing_gold: frozenset[str]
    """Ids of the questions some of whose gold passages are in no file."""
    provenance: Mapping[str, Any]
    """For the manifest: the kind of source, names and checksums of files, hub revision, world options; no paths."""
    data_hash: str
    """SHA-256 over the questions, their candidates and their truth."""
    corpus_hash: str
    """SHA-256 over the passages in order."""
    listed: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """By question: the numbers of its own passages, as in `Dataset`."""
    steps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By question: the gold passages in the order of the hops, as in `Dataset`."""


class _Found(NamedTuple):
    dataset: Dataset
    provenance: dict[str, Any]


@in_bulk()
def load(task: Task, source: Source) -> TaskData:
    """The task's data from the source asked for.

    Raises:
        ConfigError: the task has no such source or split, or options contradict each other.
        DataError: a file is missing or does not hold what it should.
        BackendError: the hub cannot be reached.
    """
    _refuse_contradictions(task, source)
    dataset, provenance = _find(task, source)
    provenance["questions"] = len(dataset.examples)
    provenance["passages"] = len(dataset.corpus)
    if dataset.missing_gold:
        provenance["questions_with_missing_gold"] = len(dataset.missing_gold)
    return TaskData(
        task=task,
        examples=dataset.examples,
        corpus=dataset.corpus,
        missing_gold=dataset.missing_gold,
        provenance=provenance,
        listed=dataset.listed,
        steps=dataset.steps,
        data_hash=digest(_canonical(example) for example in dataset.examples),
        corpus_hash=digest(part for p in dataset.corpus.values() for part in (p.id, p.title, p.text)),
    )


class WrittenWorld(NamedTuple):
    """A world on disk."""

    paths: list[Path]
    coin_flip: dict[str, float]
    """For each kind of question and for all, the exact match, 0 to 1, of a reader that finds the right relation in a
    random candidate: a lower bound for reading scores."""


def write_world(task: Task, options: Mapping[str, str], folder: Path, pairs: bool = False) -> WrittenWorld:
    """Write a world as raw files, <split>.jsonl and corpus.jsonl, which `--data FOLDER` reads again.

    Args:
        task: whose raw schema the questions are in.
        options: of the generator.
        folder: where.
        pairs: each question with two passages of one type instead (`worlds.gate`), for a task of single questions.

    Raises:
        ConfigError: the task has no worlds, or none of pairs, or an option is not one of the generator's.
        BackendError: the disk cannot be written to.
    """
    from clara_bench.worlds import coin_flip_line, gate, generate

    if pairs and task.sources.worlds != "nq":
        raise ConfigError(f"pairs of passages have the format of nq's questions, not of {task.name}'s. Write nq's")
    config = world_config(task, options)
    world = gate(config) if pairs else generate(str(task.sources.worlds), config)
    files = {folder / f"{config.split}.jsonl": world.rows, folder / "corpus.jsonl": world.corpus}
    for path, rows in files.items():
        write_atomic(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return WrittenWorld(list(files), coin_flip_line(world))


def _find(task: Task, source: Source) -> _Found:
    if source.data == "worlds" and (task.sources.worlds or not task.data):
        return _from_world(task, source)
    if source.on_hub:
        return _from_hub(task, source)
    return _from_files(task, source)


def _refuse_contradictions(task: Task, source: Source) -> None:
    if source.aliases and task.reader != "2wikimultihopqa":
        raise ConfigError(f"--aliases is 2WikiMultihopQA's alias table; task '{task.name}' has none. Leave it out")
    if source.world and (source.data != "worlds" or not task.sources.worlds):
        data = source.data if task.sources.worlds else task.data
        raise ConfigError(f"--world sets options of a synthetic world, but the data are '{data}'. Leave one out")
    if source.revision and not source.on_hub:
        raise ConfigError(f"--revision is a revision of --data hub, but the data are '{source.data}'. Leave one out")


def _from_world(task: Task, source: Source) -> _Found:
    if source.corpus or source.aliases:
        raise ConfigError("--data worlds has its own corpus: leave out --corpus and --aliases")
    from clara_bench.worlds import generate

    config = world_config(task, {"split": source.split, **source.world})
    world = generate(str(task.sources.worlds), config)
    corpus = {row["id"]: Passage(row["id"], row["title"], row["text"]) for row in world.corpus}
    dataset = read(task.reader, world.rows, f"world of {task.name}", corpus)
    return _Found(dataset, {"source": "worlds", "schema": task.sources.worlds, "config": config.described()})


def world_config(task: Task, options: Mapping[str, str]) -> WorldConfig:
    """The configuration of a task's world.

    Raises:
        ConfigError: the task has no worlds, or an option is not one of the generator's, or out of its range.
    """
    if task.sources.worlds is None:
        raise ConfigError(f"task '{task.name}' has no synthetic worlds. Name its file with --data FILE")
    from clara_bench.worlds import WorldConfig

    class Worlds:
        Options = WorldConfig

    config: WorldConfig = parse_options(Worlds, options, "--world")
    return config


def _from_hub(task: Task, source: Source) -> _Found:
    from clara_bench.datasets.hub import read_hub

    hub = task.sources.hub
    given, _, name = source.data.removeprefix("hub").removeprefix(":").partition(":")
    path = given or (hub.path if hub else "")
    if not path:
        raise ConfigError(f"task '{task.name}' names no hub data set. Use --data hub:ID or --data FILE")
    splits = hub.splits if hub else {"dev": "validation", "train": "train"}
    if source.split not in splits:
        raise UnknownName("split", source.split, splits, where=f"task '{task.name}' on the hub")
    ours = hub if hub and path == hub.path else None
    name = name or (ours.name if ours else None) or ""
    found = read_hub(path, name or None, splits[source.split], source.revision or (ours.revision if ours else None))
    corpus, aliases, files = _side_files(task, source, None)
    dataset = read(task.reader, found.rows, f"{Path(path).name} ({splits[source.split]})", corpus, aliases)
    shown = path if found.revision else Path(path).name
    provenance = {"source": "hub", "path": shown, "name": name or None, "revision": found.revision,
                  "split": source.split, "files": files}  # fmt: skip
    return _Found(dataset, provenance | _counted(task, source.split, len(found.rows)))


def _from_files(task: Task, source: Source) -> _Found:
    own = source.data == "worlds" and task.data is not None
    path = Path(task.folder) / task.data if own and task.data else Path(source.data)
    patterns = task.sources.local.splits.get(source.split, ())
    known = ["dev"] if own else task.sources.local.splits
    if source.split not in known and (own or path.is_dir()):
        raise UnknownName("split", source.split, known, where=f"task '{task.name}'")
    file = locate.data_file(path, patterns, task.name, source.split)
    _verify(task, file, own)
    rows = _rows(task, file)
    corpus, aliases, files = _side_files(task, source, file)
    dataset = read(task.reader, rows, file.name, corpus, aliases)
    described = [_described("data", file, len(rows)), *files]
    provenance = {"source": "files", "split": source.split, "files": described}
    return _Found(dataset, provenance | _counted(task, source.split, len(rows)))


def _verify(task: Task, file: Path, own: bool) -> None:
    if own and task.sha256 and file_digest(file) != task.sha256.lower():
        raise DataError(
            f"{file}: its SHA-256 is {file_digest(file)}, task '{task.name}' expects {task.sha256}. "
            "Fetch the file again, or correct the task"
        )


def _rows(task: Task, file: Path) -> list[dict[str, Any]]:
    suffix = file.suffix.lower()
    if suffix not in documents.TABLES or (suffix == ".tsv" and task.reader != "generic"):
        return read_rows(file)
    rows = documents.read_table(file)
    return documents.question_rows(rows, file.name) if task.reader == "generic" else rows


def _side_files(
    task: Task, source: Source, data: Path | None
) -> tuple[Mapping[str, Passage] | None, Aliases | None, list[dict[str, Any]]]:
    """The corpus and the alias table, named or found next to the data, with their descriptions."""
    local = task.sources.local
    corpus_file = _side_file(source.corpus, data, local.corpus)
    if task.corpus and not source.corpus and source.data == "worlds":
        corpus_file = Path(task.folder) / task.corpus
    aliases_file = _side_file(source.aliases, data, local.aliases)
    corpus, described = _corpus(task, source, corpus_file) if corpus_file else (None, [])
    aliases = read_aliases(aliases_file) if aliases_file else None
    if aliases_file:
        described.append(_described("aliases", aliases_file, len(aliases or ())))
    return corpus, aliases, described


def _corpus(task: Task, source: Source, path: Path) -> tuple[Mapping[str, Passage], list[dict[str, Any]]]:
    """Passages of a file, or of a folder of documents."""
    if not path.is_dir():
        if source.chunk:
            raise ConfigError(
                f"--chunk cuts documents into passages, but {path} is not a folder of documents. Leave one out"
            )
        passages = read_corpus(path)
        return passages, [_described("corpus", path, len(passages))]
    chunks = _chunks(task, source)
    found = documents.read_folder(path, chunks)
    name = path.resolve().name
    described = {"role": "corpus", "name": name, "sha256": found.sha256, "rows": len(found.passages)}
    return found.passages, [described | {"documents": found.documents, "chunks": asdict(chunks)}]


def _chunks(task: Task, source: Source) -> documents.Chunks:
    class Folder:
        Options = documents.Chunks

    chosen = {name: str(value) for name, value in asdict(task.chunks).items()} | dict(source.chunk)
    chunks: documents.Chunks = parse_options(Folder, chosen, "--chunk")
    return chunks


def _side_file(given: str | None, data: Path | None, patterns: Sequence[str]) -> Path | None:
    if given == "none":
        return None
    if given:
        return Path(given)
    return locate.beside(data, patterns) if data else None


def _described(role: str, path: Path, rows: int) -> dict[str, Any]:
    return {"role": role, "name": path.name, "sha256": file_digest(path), "rows": rows}


def _counted(task: Task, split: str, questions: int) -> dict[str, Any]:
    """A warning when the number of questions is not that of an official file."""
    official = task.counts.get(split, ())
    if not official or questions in official:
        return {}
    expected = " or ".join(map(str, official))
    return {"warning": f"{questions} questions; the official {split} files have {expected}: not comparable with them"}


def _canonical(example: Example) -> bytes:
    question, gold = example.question, example.gold
    truth = (gold.answers, sorted(gold.supporting), gold.facts, gold.hops, gold.kind, gold.evidences, gold.answerable)
    return msgspec.json.encode((question.id, question.text, question.candidates or (), truth))
