"""Words a planned question."""

from __future__ import annotations

from clara_bench.worlds.knowledge.draw import Draw
from clara_bench.worlds.knowledge.encyclopaedia import Encyclopaedia
from clara_bench.worlds.knowledge.ontology import AWARDED
from clara_bench.worlds.questions.plans import Hop, Plan
from clara_bench.worlds.questions.unseen_wordings import (
    UNSEEN_ASKS,
    UNSEEN_BRIDGED_SAME,
    UNSEEN_DESCRIPTIONS,
    UNSEEN_SAME,
    unseen_order,
)
from clara_bench.worlds.questions.wordings import (
    ASKS,
    BRIDGED_FIRST,
    BRIDGED_SAME,
    CLUES,
    DESCRIPTIONS,
    FIRST,
    KIN_ASKS,
    KINSHIP,
    NAMED,
    SAME,
)

UNSEEN_KIN_ASK = "Name the {kin} of {x}."
WORDINGS = 6
"""A chain is worded this often at random, and the wording kept in which the fewest clauses are nested."""


class Asker:
    """Words the plans of one world."""

    def __init__(self, world: Encyclopaedia, draw: Draw) -> None:
        self._world = world
        self._draw = draw

    def word(self, plan: Plan) -> str:
        """The question, with capital and full stop or question mark."""
        unseen = in_unseen_form(self._world, plan)
        if plan.options:
            return self._comparison(plan, unseen)
        if plan.kind == "inference":
            kin = KINSHIP[plan.hops[0].key, plan.hops[1].key]
            name = self._world.names[plan.hops[0].entity]
            template = UNSEEN_KIN_ASK if unseen else self._draw.pick(KIN_ASKS)
            return template.format(kin=kin, x=name)
        wordings = [self._chain(plan, unseen) for _ in range(1 if unseen else WORDINGS)]
        return min(wordings, key=lambda wording: wording[1])[0]

    def step(self, hop: Hop) -> str:
        """One hop as a question of its own, with "#1" for the answer to the first hop, as in MuSiQue."""
        subject = self.named(hop.entity) if hop.source is None else f"#{hop.source + 1}"
        award = ""
        if hop.award is not None:
            award = self._world.awards[hop.award] if hop.award_source is None else f"#{hop.award_source + 1}"
        return self._draw.pick(ASKS[hop.key]).format(x=subject, q=award)

    def single(self, entity: int, key: str, award: str = "") -> str:
        """A question about one fact of a named entity."""
        text = self._draw.pick(ASKS[key]).format(x=self.named(entity), q=award)
        return text[0].upper() + text[1:]

    def named(self, entity: int) -> str:
        """An entity as a question names it."""
        return self._draw.pick(NAMED[self._world.kind(entity)]).format(x=self._world.names[entity])

    def _comparison(self, plan: Plan, unseen: bool) -> str:
        keys = tuple(plan.hops[place].key for place in range(plan.ends[0] + 1))
        if plan.ask == "same":
            direct, bridged = (UNSEEN_SAME, UNSEEN_BRIDGED_SAME) if unseen else (SAME, BRIDGED_SAME)
            template = direct[keys[0]] if len(keys) == 1 else bridged[keys[0], keys[1]]
        else:
            pair = FIRST[keys[0]] if len(keys) == 1 else BRIDGED_FIRST[keys[0], keys[1]]
            template = unseen_order(pair[plan.ask == "high"]) if unseen else pair[plan.ask == "high"]
        a, b = (self._world.names[entity] for entity in plan.options)
        return template.format(a=a, b=b)

    def _chain(self, plan: Plan, unseen: bool) -> tuple[str, int]:
        """A wording and how many clauses it nests."""
        last = plan.hops[-1]
        template = UNSEEN_ASKS[last.key] if unseen else self._draw.pick(ASKS[last.key])
        subject, nested = self._subject(plan, last, unseen)
        trailing = _has_tail(template)
        if plan.clue:
            subject += f", {self._clue(plan)}" + ("," if trailing else "")
        text = template.format(x=subject, q=self._award(plan, last))
        return text[0].upper() + text[1:], nested + trailing * (nested + 1)

    def _subject(self, plan: Plan, hop: Hop, unseen: bool) -> tuple[str, int]:
        """What a hop is about, and how many clauses its end closes."""
        if hop.source is None:
            return self.named(hop.entity), 0
        source = plan.hops[hop.source]
        subject, nested = self._subject(plan, source, unseen)
        template = UNSEEN_DESCRIPTIONS[source.key] if unseen else self._draw.pick(DESCRIPTIONS[source.key])
        described = template.format(x=subject, q=self._award(plan, source))
        return described, nested * 2 + 1 if _has_tail(template) else nested

    def _award(self, plan: Plan, hop: Hop) -> str:
        if hop.key != AWARDED:
            return ""
        if hop.award_source is None:
            return self._world.awards[hop.award] if hop.award is not None else ""
        source = plan.hops[hop.award_source]
        return DESCRIPTIONS[source.key][0].format(x=self._subject(plan, source, False)[0])

    def _clue(self, plan: Plan) -> str:
        assert plan.clue is not None
        value = self._world.surface(plan.clue.key, plan.clue.value)
        article = "an" if value[0] in "aeiou" else "a"
        return CLUES[plan.clue.key].format(o=value, a_o=f"{article} {value}")


def in_unseen_form(world: Encyclopaedia, plan: Plan) -> bool:
    """Whether a question of a dev world of version 2 is worded as no question of a train world is: a share of them."""
    config = world.config
    if config.version == 1 or config.split != "dev":
        return False
    named = [(hop.entity, hop.key, hop.award) for hop in plan.hops]
    return Draw("form", config.seed, repr((named, plan.ask))).chance(config.unseen_forms)


def _has_tail(template: str) -> bool:
    """Whether words follow the subject.

    >>> _has_tail("In which city was {x} born?"), _has_tail("Who directed {x}?")
    (True, False)
    """
    return template.partition("{x}")[2] not in ("", "?", ".")
