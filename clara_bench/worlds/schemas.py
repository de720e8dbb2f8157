"""The kinds of question of each data set, their proportions, and its row format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from clara_bench.errors import UnknownName
from clara_bench.worlds import rows
from clara_bench.worlds.questions.chains import backlinked, chain, clued, joined, kinship, single
from clara_bench.worlds.questions.comparisons import bridge_comparison, comparison
from clara_bench.worlds.questions.plans import Desk, Plan
from clara_bench.worlds.rows import Item, Press


class Source(NamedTuple):
    """One kind of question."""

    name: str
    plan: Callable[[Desk, int], Plan | None]
    """Tries once; the number tells how many of the kind there are already, for the balance of answers."""


class Schema(NamedTuple):
    """A data set as the generator sees it."""

    easy: tuple[Source, ...]
    """The kinds of question in turn, in the easy tier."""
    hard: tuple[Source, ...]
    row: Callable[[Press, Item], dict[str, Any]]


def _unbalanced(name: str, plan: Callable[[Desk], Plan | None]) -> Source:
    return Source(name, lambda desk, _: plan(desk))


def _chain(name: str, length: int) -> Source:
    return _unbalanced(name, partial(chain, kind=name, length=length))


def _joined(name: str) -> Source:
    return _unbalanced(name, partial(joined, shape=name))


def schema(name: str) -> Schema:
    """A data set by name.

    Raises:
        UnknownName: no such data set.
    """
    known = {"nq": _nq, "hotpotqa": _hotpotqa, "musique": _musique, "2wikimultihopqa": _two_wiki}
    if name not in known:
        raise UnknownName("world schema", name, known)
    return known[name]()


def _nq() -> Schema:
    sources = (_unbalanced("single", single),)
    return Schema(sources, sources, rows.nq)


def _hotpotqa() -> Schema:
    unlinked = _unbalanced("bridge-none", partial(chain, kind="bridge", length=2, link="none"))
    bridges = (_unbalanced("bridge-clue", clued), _unbalanced("bridge-backlink", backlinked), unlinked)
    sources = (*bridges, Source("comparison", comparison))
    return Schema(sources, sources, rows.hotpotqa)


def _musique() -> Schema:
    """Half two hops, a quarter three, a quarter four; joins need the awards of the hard tier."""
    two, three, four = _chain("2hop", 2), _chain("3hop1", 3), _chain("4hop1", 4)
    joins = tuple(_joined(shape) for shape in ("3hop2", "4hop2", "4hop3"))
    easy = (two, three, two, four)
    return Schema(easy, (two, three, two, four, two, joins[0], two, joins[1], two, three, two, joins[2]), rows.musique)


def _two_wiki() -> Schema:
    sources = (
        _chain("compositional", 2),
        Source("comparison", comparison),
        _unbalanced("inference", kinship),
        Source("bridge_comparison", bridge_comparison),
    )
    return Schema(sources, sources, rows.two_wiki)
