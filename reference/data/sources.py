"""Training rows from synthetic worlds: readings for readers, studies for compressors, choices for retrievers.

All are endless, and a row depends only on its position and the options. The options are those of `[data.<stage>]`
in a config file (see tables.py).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from clara_bench import ConfigError
from clara_bench.worlds import Asked, Scene, SceneConfig, Scenes, Told, WorldConfig
from reference.data.official_files import read_official
from reference.data.row import Row, Turn
from reference.data.row_files import Lines
from reference.data.stream import Held, Source
from reference.settings.tables import Chain, Choices, File, Official, Readings, Studies, Table, Worlds, read_table

VOICES = 8
"""Different paraphrases of a passage."""
CACHED_WORLDS = 2


def open_source(stage: str, options: Mapping[str, Any], folder: Path = Path()) -> Source:
    """The rows of a stage.

    Args:
        stage: one of `OPTIONS`.
        options: the table `[data.<stage>]`: `path` or `official` alone, or the options of the stage's rows.
        folder: what a relative path starts from.

    Raises:
        ConfigError: an unknown stage or option, or one out of its range.
        DataError: the file cannot be read or has a bad line.
    """
    table = checked(stage, options)
    if isinstance(table, File):
        form = {"text": "instruct", "supervised": "joint", "reinforce": "joint"}.get(stage, stage)
        return Lines(folder / table.path, form, table.together)
    if isinstance(table, Official):
        return Held(read_official(folder / table.official))
    assert isinstance(table, Worlds), f"a table of an unknown kind: {table}"
    return WorldRows(table)


def checked(stage: str, options: Mapping[str, Any]) -> Table:
    """The table that the options are, after every check that needs no file and no world.

    Raises:
        ConfigError: see `open_source`.
    """
    table = read_table(stage, options, f"data.{stage}")
    if isinstance(table, Worlds):
        _scene_config(table)
        _world_config(table, 0)
    return table


class WorldRows:
    """An endless sequence of rows made from worlds."""

    size = None

    def __init__(self, options: Worlds) -> None:
        """Builds the first world, so that options that cannot be met are refused at once.

        Raises:
            ConfigError: an option out of its range.
        """
        self.options = options
        self._scene_config = _scene_config(options)
        self._scenes = lru_cache(maxsize=CACHED_WORLDS)(self._world)
        self._scenes(0)

    def __getitem__(self, position: int) -> Row:
        """The row at a position from 0."""
        options = self.options
        number = position // options.rows_per_world
        scenes = self._scenes(number % options.worlds if options.worlds else number)
        name = f"{options.split}-{options.seed}-{position}"
        if isinstance(options, Studies):
            return self._study(scenes, options, position, name)
        if isinstance(options, Choices):
            return self._row(scenes, scenes.offer(position), name)
        return self._row(scenes, scenes.scene(position), name)

    def documents(self) -> Iterator[str]:
        """All passages that rows may contain, world by world.

        Raises:
            ConfigError: the source is endless.
        """
        if not self.options.worlds:
            raise ConfigError("data: worlds is 0, so there is no end of passages: set worlds to 1 or more")
        for number in range(self.options.worlds):
            scenes = self._scenes(number)
            yield from map(scenes.document, scenes.documents)

    def _world(self, number: int) -> Scenes:
        return Scenes(_world_config(self.options, number), self._scene_config)

    def _row(self, scenes: Scenes, scene: Scene, name: str) -> Row:
        documents = tuple(map(scenes.document, scene.passages))
        turns = tuple(Turn(one.question, one.answer, chain(one, self.options.chain)) for one in scene.asked)
        positives = tuple(sorted({place for one in scene.asked for place in one.gold}))
        return Row(name, documents, turns, positives=positives)

    def _study(self, scenes: Scenes, options: Studies, position: int, name: str) -> Row:
        chance = random.Random(f"{options.seed} {position}")
        kind = _part(chance.random() * sum(options.weights), options.weights)
        if kind > 1:
            passage = scenes.passage(position)
            voice = 1 + int(chance.random() * VOICES) if kind == 2 else 0
            return Row(name, (scenes.document(passage),), (Turn("", scenes.paraphrase(passage, voice)),), "paraphrase")
        asked = {"both": 1.0, "described": 1.0} if kind else {"single": 1.0}
        return replace(self._row(scenes, scenes.study(position, asked), name), positives=())


def _part(point: float, weights: Sequence[float]) -> int:
    """The index of the interval that contains a point, for consecutive intervals of these lengths."""
    ends = list(accumulate(weights))
    return next((part for part, end in enumerate(ends) if point < end), len(ends) - 1)


def chain(asked: Asked, form: Chain) -> str:
    """The reasoning that a reader may write before the answer.

    >>> from clara_bench.worlds import Told
    >>> film, ann = Told("The Red Kite", "Ann Lee"), Told("Ann Lee", "1960")
    >>> asked = Asked("When was its director born?", "1960", "bridge", "value", ((film,), (ann,)), (0, 1))
    >>> chain(asked, "values"), chain(asked, "titles")
    ('Ann Lee', 'The Red Kite : Ann Lee ; Ann Lee : 1960')
    """
    if form == "none":
        return ""
    if form == "titles":
        return " ; ".join(" , ".join(f"{told.title} : {told.value}" for told in step) for step in asked.steps)
    steps = asked.steps[:-1] if asked.ask == "value" else asked.steps
    found = [" , ".join(told.value for told in step) for step in steps]
    return " ; ".join([*found, _sign(*asked.steps[-1])] if asked.ask in ("low", "high") else found)


def _sign(one: Told, other: Told) -> str:
    """< or >: which of two numbers is lower, whichever the question asks for."""
    first, second = (int(told.value.replace(",", "")) for told in (one, other))
    return "<" if first < second else ">"


def _world_config(options: Worlds, number: int) -> WorldConfig:
    digest = hashlib.sha256(f"{options.seed} {number}".encode()).digest()
    seed = int.from_bytes(digest[:7], "big")
    config = WorldConfig(
        seed=seed, questions=1, passages=options.passages, split=options.split, tier=options.tier,
        version=options.version,
    )  # fmt: skip
    return replace(config, candidates=options.candidates) if isinstance(options, Choices) else config


def _scene_config(options: Worlds) -> SceneConfig:
    given: dict[str, Any] = {}
    if isinstance(options, Readings):
        given = {"passages": options.documents, "questions": options.questions, "contested": options.contested}
        given |= {"first": options.first, "further": options.further, "others": options.others}
    elif isinstance(options, Choices):
        given = {"first": options.first, "passages": (0, 0, 0, 1)}
    elif isinstance(options, Studies):
        given = {"questions": options.questions}
        if sum(options.weights) <= 0:
            raise ConfigError(
                f"data: simple, complex, paraphrase, reconstruction are {options.weights}, "
                "expected none below 0 and one above it"
            )
    return SceneConfig(**{name: value for name, value in given.items() if value is not None})
