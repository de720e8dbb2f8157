"""A recipe: the files that rows are made from, how many of each, and what is held out; strictly parsed TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from clara_bench import ConfigError
from clara_bench.io.parsing import convert, read_toml

Kind = Literal["questions", "steps", "listed", "studies", "comparisons", "cloze"]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rows of one kind."""

    name: str
    """Prefix of the ids of its rows."""
    kind: Kind
    """`questions`: an official training file's questions with their passages; `steps`: their single hops; `listed`:
    questions without passages, each with one that is found; `studies`: a pretraining file's short answers;
    `comparisons` and `cloze`: made by rule from the recipe's passages."""
    path: str = ""
    """The file; none for what is made from passages."""
    copies: Count = 1
    """Number of copies of each question, each with different distractors."""
    most: Count | None = None
    """Maximum number of questions; None for all."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file of rows is made from."""

    schema: Literal[1]
    description: str
    passages: tuple[str, ...]
    """Training files and plain text whose passages may be asked about and may be distractors."""
    searched: tuple[str, ...] = ()
    """Further passages, searched for questions that have none."""
    held_questions: tuple[str, ...]
    """Files of questions that no row may ask, near-duplicates included."""
    held_passages: tuple[str, ...]
    """Files whose questions' gold passages no row may hold."""
    entries: tuple[Entry, ...]
    seed: int = 0
    longest: Count = 180
    """Maximum number of words of a passage."""
    alone: Share = 0.45
    """Fraction of rows with gold passages only."""
    most_passages: Count = 5
    filled: bool = False
    """Whether every row has `most_passages`: what its question comes with, then what BM25 finds for it, then any."""
    most_turns: Count = 6
    """Questions asked one after another over the same passages."""
    unanswerable: Share = 0.08
    """Fraction of rows with distractors that lack a gold passage; the target then says that nothing answers."""
    casual: Share = 0.4
    """Fraction of rule-made questions written without capitals and question mark."""


def to_choose_from(recipe: Recipe, candidates: int) -> Recipe:
    """The same questions once each, alone, beside as many candidates, to learn to choose from.

    Raises:
        ConfigError: fewer candidates than a question has gold passages, which may be `most_passages`.
    """
    if candidates <= recipe.most_passages:
        raise ConfigError(f"{candidates} candidates: expected more than the recipe's {recipe.most_passages} passages")
    once = tuple(msgspec.structs.replace(entry, copies=1) for entry in recipe.entries)
    chosen = {"most_passages": candidates, "filled": True, "alone": 0.0, "unanswerable": 0.0, "most_turns": 1}
    return msgspec.structs.replace(recipe, entries=once, **chosen)


def load(path: Path) -> Recipe:
    """A recipe file.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a value of the wrong type or out of range, a name twice.
    """
    recipe = convert(read_toml(path, "Expected a recipe (TOML)"), Recipe, str(path), error=ConfigError)
    names = [entry.name for entry in recipe.entries]
    for entry in recipe.entries:
        if names.count(entry.name) > 1:
            raise ConfigError(f"{path}: entry '{entry.name}' comes twice. Give each its own name")
        if bool(entry.path) == (entry.kind in ("comparisons", "cloze")):
            need = "takes no path: it is made from the passages" if entry.path else "needs a path"
            raise ConfigError(f"{path}: entry '{entry.name}' of kind '{entry.kind}' {need}")
    return recipe
