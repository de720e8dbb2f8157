"""The task file for your own documents and questions."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clara_bench.components.registry import parse_options
from clara_bench.documents import TABLES, Chunks
from clara_bench.errors import ConfigError
from clara_bench.io.cache import write_atomic
from clara_bench.io.parsing import decode_toml
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.sources import Source, TaskData

NAME = "task.toml"
QUESTIONS = (*TABLES, ".jsonl")
"""Suffixes of question files."""

COSTS = ("context_positions", "prompt_tokens", "generated_tokens", "seconds")
ANSWERS = ("em", "f1", "cover_bag", "answer_recall@1", "answer_recall@5")
PASSAGES = ("recall@1", "recall@5", "all_support@5")


@dataclass(frozen=True, slots=True)
class Written:
    """A task file, and what it was found to hold."""

    path: Path
    data: TaskData

    @property
    def answered(self) -> int:
        """Questions with an accepted answer."""
        return sum(bool(example.gold.answers) for example in self.data.examples)

    @property
    def documents(self) -> int:
        """Documents that the passages were cut from."""
        files = self.data.provenance["files"]
        return sum(file["documents"] for file in files if file["role"] == "corpus")


def write(folder: Path, questions: Path | None = None, chunk: Mapping[str, str] | None = None) -> Written:
    """Write FOLDER/task.toml, once the documents and questions have been read without a fault.

    Args:
        folder: of documents; the questions lie in it too, unless they are named.
        questions: their file; None for the only one in the folder.
        chunk: how documents are cut, as `Source.chunk`.

    Raises:
        ConfigError: there is a task file already, or no one file of questions.
        DataError: documents or questions cannot be read.
    """
    path = folder / NAME
    if not folder.is_dir():
        raise ConfigError(f"no such folder: {folder}. Expected a folder of documents")
    if path.exists():
        raise ConfigError(f"{path} exists already. Edit it, or remove it first")
    asked = _questions(folder) if questions is None else questions
    head = {"schema": 1, "name": _name(folder), "version": 1, "reader": "generic",
            "data": Path(os.path.relpath(asked, folder)).as_posix(), "corpus": "."}  # fmt: skip
    chunks = asdict(parse_options(_Cut, dict(chunk or {}), "--chunk"))
    draft = definitions.parse(head | {"chunks": chunks}, str(path))
    data = sources.load(replace(draft, folder=str(folder)), Source())
    text = _text(head, data, chunks)
    definitions.parse(decode_toml(text, str(path)), str(path))
    write_atomic(path, text)
    return Written(path, data)


class _Cut:
    Options = Chunks


def _questions(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in QUESTIONS)
    if len(found) != 1:
        listed = f"{len(found)} files: {', '.join(path.name for path in found)}" if found else "none"
        raise ConfigError(
            f"{folder}: expected one file of questions ({', '.join(QUESTIONS)}), found {listed}. "
            "Name it with --questions"
        )
    return found[0]


def _name(folder: Path) -> str:
    """A valid task name derived from the folder's name."""
    return re.sub(r"[^\w.-]+", "-", folder.resolve().name, flags=re.ASCII).strip("-._") or "documents"


def _text(head: Mapping[str, object], data: TaskData, chunks: Mapping[str, object]) -> str:
    """The task file; the metrics are those that the questions can have."""
    has_answers = any(example.gold.answers for example in data.examples)
    has_passages = any(example.gold.supporting for example in data.examples)
    metrics = [*ANSWERS, *(PASSAGES if has_passages else ()), *COSTS]
    settings = ["closed", *(("gold", "injected") if has_passages else ()), "retrieved", "corpus"]
    keys = {
        **head,
        "metrics": metrics,
        "main_metric": "f1" if has_answers else "context_positions",
        "settings": settings,
        "default_setting": "corpus",
    }
    return "".join([*_lines(keys), "\n[chunks]\n", *_lines(chunks)])


def _lines(keys: Mapping[str, object]) -> Sequence[str]:
    """TOML's strings, numbers and lists are written as JSON's."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()]
