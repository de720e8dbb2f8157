"""Editing any file that a component imports is another run and other cache keys; changing what cannot matter is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clara_bench.components import identity, registry
from clara_bench.components.registry import Component, Kind, build
from clara_bench.retrieve.bm25 import BM25
from clara_bench.tasks import definitions, sources
from clara_bench.tasks.candidates import freeze
from clara_bench.tasks.first_stage import FirstStage

HELPER = "SAID = 'Oslo'\n"
PARTS = """\
from dataclasses import dataclass, field
from clara_bench import Answer, Component, IndexStats, Ranked, Reading, Usage, create
from helper import SAID


class Retriever:
    def index(self, corpus):
        self.ids = sorted(corpus)
        return IndexStats(len(corpus), 0.0, 0)

    def retrieve(self, questions, k):
        return [[Ranked(pid, -float(n)) for n, pid in enumerate(q.candidates or self.ids)][:k] for q in questions]


class Compressor:
    query_dependent = rate_is_input = may_be_empty = False

    def compress(self, question, passages):
        return SAID


class Reader:
    def read(self, questions, contexts):
        return [Reading(SAID, Usage(1, 1, 1, 1)) for _ in questions]

    def context_tokens(self, contexts):
        return [1 for _ in contexts]


class Wrapped:
    '''Builds a reader that no option names.'''

    def __init__(self):
        self.reader = create("reader", Component("{here}/inner.py:Reader"))

    def index(self, corpus):
        return IndexStats(len(corpus), 0.0, 0)

    def answer(self, questions):
        return [Answer(r.text, usage=r.usage) for r in self.reader.read(questions, [()] * len(questions))]
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Files of components: parts.py and inner.py, both of which import helper.py."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper.py").write_text(HELPER)
    for name in ("parts.py", "inner.py"):
        (tmp_path / name).write_text(PARTS.replace("{here}", str(tmp_path)))
    yield tmp_path
    sys.modules.pop("helper", None)


def key(kind: Kind, name: str, options: Mapping[str, str] | None = None) -> str:
    return identity.key(identity.of(build(kind, Component(name, options or {}))))


NESTED: list[tuple[Kind, str, dict[str, str]]] = [
    ("system", "{parts}:Wrapped", {}),
    ("system", "rag", {"retriever": "given", "reader": "{parts}:Reader"}),
    ("system", "rag", {"retriever": "{parts}:Retriever", "reader": "{parts}:Reader"}),
    ("system", "rag", {"compressor": "{parts}:Compressor", "reader": "{parts}:Reader"}),
    ("system", "iterative", {"thinker": "{parts}:Reader", "reader": "{parts}:Reader"}),
    ("system", "closed-book", {"reader": "{parts}:Reader"}),
    ("retriever", "hybrid", {"second": "{parts}:Retriever"}),
    ("retriever", "hybrid", {"second": "hybrid", "second.first": "{parts}:Retriever", "second.second": "bm25"}),
]


@pytest.mark.parametrize(("kind", "name", "options"), NESTED)
@pytest.mark.parametrize("edited", ["parts.py", "helper.py"])
def test_editing_a_file_behind_any_part_is_another_identity(
    parts: Path, kind: Kind, name: str, options: dict[str, str], edited: str
) -> None:
    where = str(parts / "parts.py")
    given = {key: value.replace("{parts}", where) for key, value in options.items()}
    before = key(kind, name.replace("{parts}", where), given)
    assert key(kind, name.replace("{parts}", where), given) == before
    (parts / edited).write_text((parts / edited).read_text() + "# edited\n")
    assert key(kind, name.replace("{parts}", where), given) != before


def test_a_part_that_no_option_names_counts_too(parts: Path) -> None:
    before = key("system", f"{parts / 'parts.py'}:Wrapped")
    (parts / "inner.py").write_text((parts / "inner.py").read_text() + "# edited\n")
    assert key("system", f"{parts / 'parts.py'}:Wrapped") != before


def test_where_a_plugin_lies_is_no_part_of_its_identity(parts: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "parts.py").write_bytes((parts / "parts.py").read_bytes())
    assert key("reader", f"{parts / 'parts.py'}:Reader") == key("reader", f"{tmp_path / 'moved' / 'parts.py'}:Reader")


def test_two_plugins_in_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    files = [tmp_path / folder / "mine.py" for folder in ("a", "b")]
    for number, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(
            "from dataclasses import dataclass\nNumber = "
            f"{['int', 'str'][number]}\nclass Mine:\n    @dataclass\n    class Options:\n        k: 'Number' = 1\n"
            "    def __init__(self, options): self.options = options\n"
        )
    first, second = (registry.load("reader", f"{file}:Mine") for file in files)
    assert registry.parse_options(first, {"k": "3"}, "").k == 3
    assert registry.parse_options(second, {"k": "3"}, "").k == "3"


OPERATIONAL: list[tuple[Kind, str, dict[str, str], dict[str, str]]] = [
    (
        "reader",
        "openai",
        {"model": "m"},
        {"concurrency": "2", "retries": "0", "timeout_seconds": "9", "api_key_env": "OTHER_KEY"},
    ),
    ("reader", "hf", {}, {"batch_size": "2", "batch_tokens": "99", "device": "cpu"}),
    ("retriever", "dense", {}, {"batch_size": "2", "device": "cpu"}),
    ("system", "kv", {"press": "knorm"}, {"store": "memory"}),
    ("compressor", "llmlingua", {}, {"device": "cpu"}),
    ("compressor", "recomp-extractive", {}, {"batch_size": "2", "device": "cpu"}),
]


@pytest.mark.model
@pytest.mark.parametrize(("kind", "name", "options", "changes"), OPERATIONAL)
def test_what_cannot_change_an_answer_is_no_part_of_the_identity(
    kind: Kind, name: str, options: dict[str, str], changes: dict[str, str]
) -> None:
    assert key(kind, name, options | changes) == key(kind, name, options)


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "name", "options", "change"),
    [
        ("reader", "openai", {"model": "m"}, {"model": "n"}),
        ("reader", "openai", {"model": "m"}, {"base_url": "http://other/v1"}),
        ("reader", "openai", {"model": "m"}, {"max_new_tokens": "8"}),
        ("reader", "hf", {}, {"dtype": "bfloat16"}),
        ("reader", "hf", {}, {"prompt": "step"}),
        ("reader", "hf", {"dtype": "bfloat16"}, {"batch_size": "2"}),
        ("retriever", "dense", {}, {"index": "hnsw"}),
        ("retriever", "dense", {}, {"query_prefix": "query: "}),
        ("retriever", "bm25", {}, {"k1": "0.9"}),
        ("system", "rag", {"reader": "openai", "reader.model": "m"}, {"retriever.k1": "0.9"}),
    ],
)
def test_what_can_change_an_answer_is_part_of_the_identity(
    kind: Kind, name: str, options: dict[str, str], change: dict[str, str]
) -> None:
    assert key(kind, name, options | change) != key(kind, name, options)


@pytest.mark.model
def test_the_number_of_threads_is_part_of_the_identity_where_torch_computes() -> None:
    import torch

    computing, asking = ("hf", {}), ("openai", {"model": "m"})
    before = [key("reader", *one) for one in (computing, asking)]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        after = [key("reader", *one) for one in (computing, asking)]
    finally:
        torch.set_num_threads(threads)
    assert after[0] != before[0]
    assert after[1] == before[1]


class Marked:
    @dataclass(frozen=True, slots=True)
    class Options:
        k: int = 5
        workers: int = field(default=1, metadata={"operational": True})
        chunk: int = field(default=1, metadata={"batch": lambda options: options.k == 5})
        prompt: Path = Path("prompt.txt")


def own(**options: Any) -> dict[str, Any]:
    return identity.own(Marked, Marked.Options(**options))


def test_a_plugin_marks_what_cannot_change_an_answer() -> None:
    assert own(workers=8) == own(chunk=8) == own()
    assert own(k=6) != own()
    assert own(k=6, chunk=8) != own(k=6)


def test_an_option_that_is_a_path_counts_by_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("one")
    assert own(prompt=tmp_path / "a.txt") == own(prompt=tmp_path / "b.txt")
    (tmp_path / "b.txt").write_text("two")
    assert own(prompt=tmp_path / "a.txt") != own(prompt=tmp_path / "b.txt")


def test_questions_computed_together_count_only_where_they_can_change_an_answer() -> None:
    def together(k: int) -> bool:
        return identity.together(registry.Built("reader", Component("x"), Marked, Marked.Options(k=k), None))

    assert not together(5)
    assert together(6)


def test_a_model_that_a_plugin_finds_counts_though_it_says_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "model" / name).write_text("{}")
    (tmp_path / "mine.py").write_text(
        "from clara_bench.read.models import find\n"
        f"class Mine:\n    def __init__(self):\n        self.model = find({str(tmp_path / 'model')!r})\n"
    )
    before = key("reader", f"{tmp_path / 'mine.py'}:Mine")
    assert key("reader", f"{tmp_path / 'mine.py'}:Mine") == before
    (tmp_path / "model" / "model.safetensors").write_text("other weights")
    assert key("reader", f"{tmp_path / 'mine.py'}:Mine") != before


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("reader", "hf"),
        ("reader", "tiny"),
        ("retriever", "dense"),
        ("compressor", "llmlingua"),
        ("compressor", "recomp-extractive"),
    ],
)
def test_whatever_computes_with_torch_says_its_threads_and_a_fingerprint(kind: Kind, name: str) -> None:
    found = identity.of(build(kind, Component(name)))
    assert "threads" in {**found, **found["models"]}
    assert "fingerprint" in found["models"]
    assert not {"device", "model"} & found["models"].keys()


def test_another_bm25_by_the_same_options_has_an_index_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capitals: Path
) -> None:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    corpus = sources.load(definitions.load(str(capitals)), sources.Source()).corpus
    BM25(BM25.Options()).index(corpus)
    file = tmp_path / "mine.py"
    for text in ("casefold", "upper"):
        file.write_text(
            "from clara_bench.retrieve.bm25 import BM25\nclass Mine(BM25):\n"
            f"    def _texts(self, corpus):\n        return (text.{text}() for text in super()._texts(corpus))\n"
        )
        assert not build("retriever", Component(f"{file}:Mine")).instance.index(corpus).cached


def test_a_first_stage_that_was_edited_ranks_anew(parts: Path, capitals: Path) -> None:
    data = sources.load(definitions.load(str(capitals)), sources.Source())
    stage = FirstStage(Component(f"{parts / 'parts.py'}:Retriever"), 1)

    def first() -> set[Any]:
        return {e.question.candidates for e in freeze(data, data.examples, "retrieved", stage).examples}

    assert first() == {("p0",)}
    text = (parts / "parts.py").read_text()
    (parts / "parts.py").write_text(text.replace("sorted(corpus)", "sorted(corpus, reverse=True)"))
    assert first() == {("p9",)}


def test_nothing_that_a_retriever_is_called_decides_where_rankings_are_written(
    parts: Path, capitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a b").mkdir()
    data = sources.load(definitions.load(str(capitals)), sources.Source())
    stage = FirstStage(Component(f"{tmp_path}/a b/../parts.py:Retriever"), 1)
    freeze(data, data.examples, "retrieved", stage)
    assert list(tmp_path.rglob("*.trec.gz")) == list(tmp_path.glob("cache/candidates/*/*/run.trec.gz")) != []


def test_the_manifest_tells_the_models_of_every_part(parts: Path) -> None:
    said = {"retriever": "dense", "reader": f"{parts / 'parts.py'}:Reader"}
    models = identity.models(build("system", Component("rag", said)))
    assert set(models) == {"retriever"}
    assert {"model", "fingerprint", "query_prompt", "passage_prompt", "device"} <= set(models["retriever"])
    assert json.dumps(models)
