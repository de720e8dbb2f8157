"""The template of `clara-bench systems new`: a working system in under thirty lines, and its test."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from clara_bench.errors import ConfigError
from clara_bench.io.cache import write_atomic

SYSTEM = '''"""{title}: answers with the title of the passage that shares most words with the question."""

from dataclasses import dataclass

from clara_bench import Answer, IndexStats, Ranked


class {title}:
    @dataclass(frozen=True)
    class Options:
        depth: int = 10

    def __init__(self, options):
        self.depth = options.depth

    def index(self, corpus):
        self.corpus = corpus
        self.words = {{pid: set(f"{{p.title}} {{p.text}}".lower().split()) for pid, p in corpus.items()}}
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=0)

    def answer(self, questions):
        return [self.answer_one(question) for question in questions]

    def answer_one(self, question):
        asked = set(question.text.lower().split())
        offered = self.words if question.candidates is None else question.candidates
        scored = [Ranked(pid, len(asked & self.words[pid])) for pid in offered]
        best = sorted(scored, key=lambda ranked: -ranked.score)[: self.depth]
        return Answer(self.corpus[best[0].passage_id].title if best else "", retrieved=tuple(best))
'''

TEST = """from {module} import {title}

from clara_bench import Passage, Question


def test_the_passage_that_shares_most_words_comes_first():
    system = {title}({title}.Options())
    system.index({{"a": Passage("a", "Oslo", "capital of Norway"), "b": Passage("b", "Rome", "capital of Italy")}})
    [answer] = system.answer([Question("q", "What is the capital of Norway ?")])
    assert answer.text == "Oslo"
    assert [ranked.passage_id for ranked in answer.retrieved] == ["a", "b"]
"""


TAKEN = {*keyword.kwlist, *sys.stdlib_module_names, "answer", "index_stats", "ranked"}
"""Names that would hide something the skeleton needs."""


def write_skeleton(name: str, folder: Path) -> list[Path]:
    """Write NAME.py and test_NAME.py.

    Raises:
        ConfigError: the name is no Python module name, or a file is there already.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or module in TAKEN:
        raise ConfigError(
            f"'{name}' cannot be a module name. Use lower-case letters, digits and _, and no Python keyword"
        )
    title = "".join(part.capitalize() for part in module.split("_") if part)
    files = {folder / f"{module}.py": SYSTEM, folder / f"test_{module}.py": TEST}
    for path in files:
        if path.exists():
            raise ConfigError(f"{path} exists already. Choose another name or folder")
    for path, template in files.items():
        write_atomic(path, template.format(title=title, module=module))
    return list(files)
