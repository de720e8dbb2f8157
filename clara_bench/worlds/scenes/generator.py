"""Generates scenes as an endless stream: training material for readers, compressors and retrievers.

A scene starts from one question, drafted as those of the data sets are. Its gold passages are joined by others
that make it hard to read (the same relation of another entity, a name that shares a piece), and further
questions are then asked over whatever is there. A scene depends on its number and on nothing made before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from clara_bench.errors import ConfigError
from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.passages.prose import Writer
from clara_bench.worlds.questions.candidates import candidates
from clara_bench.worlds.questions.plans import Desk, Plan, target_is_entity
from clara_bench.worlds.rows import open_press
from clara_bench.worlds.scenes.more_questions import FURTHER, Clerk, Passages
from clara_bench.worlds.scenes.scene import KINDS, Asked, Scene, SceneConfig, Told, pick

ATTEMPTS = 20_000
"""Tries for one first question before its kind counts as impossible in the world."""
FRESH = 4
"""Tries for each further question; some come out as ones that were asked already."""


class Scenes:
    """The scenes of one world."""

    def __init__(self, world: WorldConfig, config: SceneConfig | None = None) -> None:
        """Builds the world; `world.questions` is not used.

        Raises:
            ConfigError: a kind of first question that the tier does not have.
        """
        self.config = config or SceneConfig()
        self._press = open_press("scenes", world)
        self._draw = Draw("scenes")
        self._seed = self._press.world.draw("scenes").below(2**48) << 64
        self._desk = Desk(self._press.world, self._draw)
        self._clerk = Clerk(self._press.world, self._draw)
        self._texts: dict[int, str] = {}
        self._voices: dict[int, Writer] = {}
        joins = [kind for kind in self.config.first if kind in ("3hop2", "4hop2", "4hop3")]
        if joins and world.tier != "hard":
            raise ConfigError(f"scene: {joins[0]} is among the kinds, expected the hard tier for it, not {world.tier}")

    @property
    def documents(self) -> range:
        """Every passage, by number."""
        return range(0, len(self._press.world.names), self._press.world.group)

    def document(self, passage: int) -> str:
        """A passage as its title, a line feed and its text."""
        if passage not in self._texts:
            self._texts[passage] = f"{self._press.title(passage)}\n{self._press.writer.text(passage)}"
        return self._texts[passage]

    def paraphrase(self, passage: int, voice: int) -> str:
        """The text of a passage in another order and wording; each voice from 1 is another one, voice 0 its own."""
        if not voice:
            return self._press.writer.text(passage)
        if voice not in self._voices:
            self._voices[voice] = Writer(self._press.world, f"paraphrase {voice}")
        return self._voices[voice].text(passage)

    def scene(self, number: int) -> Scene:
        """Passages, their number drawn from `passages`, with a first question and further ones, in random order.

        Raises:
            ConfigError: a kind of first question that is not found in a world this small.
        """
        draw = self._start(number)
        count = self._count()
        fit = {kind: weight for kind, weight in self.config.first.items() if KINDS[kind].passages <= count}
        plan, question = self._first(pick(draw, fit))
        passages = Passages(self._clerk, draw.shuffled(self._around(plan, count)))
        asked = self._further(passages, [passages.asked(plan, question)])
        return Scene(tuple(passages.places), tuple(draw.shuffled(asked)))

    def offer(self, number: int) -> Scene:
        """One question with the world's number of candidates, as the data sets offer them, in random order."""
        draw, count = self._start(number), self._press.world.config.candidates
        plan, question = self._first(pick(draw, self.config.first))
        passages = Passages(self._clerk, candidates(self._press.world, plan, count, draw))
        return Scene(tuple(passages.places), (passages.asked(plan, question),))

    def study(self, number: int, kinds: Mapping[str, float]) -> Scene:
        """Any one passage, and up to `questions` questions of the given kinds (single, both, described) about it."""
        passages = Passages(self._clerk, [self.passage(number)])
        return Scene(tuple(passages.places), tuple(self._further(passages, [], kinds)))

    def passage(self, number: int) -> int:
        """Any passage, each type as often: so questions name them, though few passages are about countries."""
        draw = self._start(number)
        return self._press.world.host(draw.pick(draw.pick(list(self._press.world.members.values()))))

    def _start(self, number: int) -> Draw:
        assert 0 <= number < 2**64, f"scene {number}, expected 0 to 2**64 - 1"
        self._draw.reseed(self._seed | number)
        return self._draw

    def _count(self) -> int:
        weights = {str(count): weight for count, weight in enumerate(self.config.passages, 1)}
        return int(pick(self._draw, weights))

    def _first(self, kind: str) -> tuple[Plan, str]:
        """A plan and its words."""
        turn = self._draw.below(8)  # decides which answer a comparison is to have
        for _ in range(ATTEMPTS):
            plan = KINDS[kind].plan(self._desk, turn)
            question = self._clerk.asker.word(plan) if plan is not None else ""
            if plan is not None and (plan.options or plan.answer.lower() not in question.lower()):
                return plan, question
        passages = self._press.world.config.passages
        raise ConfigError(f"scene: a world of {passages} passages has no question of kind {kind}: use more passages")

    def _around(self, plan: Plan, count: int) -> list[int]:
        """The passages needed and others, `count` in all."""
        chosen = dict.fromkeys(plan.gold)
        near = [entity for entity in plan.near if entity not in chosen]
        while len(chosen) < count:
            other = self._other(plan, chosen, near)
            if other is not None:
                chosen[other] = None
        return list(chosen)

    def _other(self, plan: Plan, chosen: dict[int, None], near: list[int]) -> int | None:
        draw, way = self._draw, pick(self._draw, self.config.others)
        if way == "near" and near:
            return near.pop(0)
        if way in ("near", "alike", "same"):
            hop = draw.pick(plan.hops)
            found = self._clerk.rival(hop, way != "same", chosen)
            return found if found is not None else self._clerk.rival(hop, False, chosen)
        if way == "equal" and (found := self._clerk.equal(draw.pick(list(chosen)), chosen)) is not None:
            return found
        if way == "linked":
            hop = draw.pick(self._clerk.told_in(draw.pick(list(chosen))))
            return self._press.world.host(hop.value) if target_is_entity(hop) else None
        return self._press.world.host(draw.below(len(self._press.world.names)))

    def _further(self, passages: Passages, asked: list[Asked], kinds: Mapping[str, float] | None = None) -> list[Asked]:
        """The first question and more, up to the limit, all different."""
        kinds = kinds or self.config.further
        found = {(one.steps, one.ask): one for one in asked}
        for _ in range(FRESH * (self.config.questions - len(asked))):
            one = self._one(passages, pick(self._draw, kinds), "single" in kinds)
            if one is not None:
                found.setdefault((one.steps or ((Told("", one.question),),), one.ask), one)
            if len(found) == self.config.questions:
                break
        return list(found.values())

    def _one(self, passages: Passages, kind: str, else_single: bool) -> Asked | None:
        asked = FURTHER[kind](passages) if kind != "single" else None
        return passages.single(self.config.contested) if asked is None and else_single else asked
