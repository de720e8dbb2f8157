"""Diagnostics: the score of a reader that selects its passage at random, and questions that test only this."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import fmean

from clara_bench.errors import ConfigError
from clara_bench.worlds.config import WorldConfig
from clara_bench.worlds.forms import Fact, Form
from clara_bench.worlds.knowledge.ontology import AWARDED
from clara_bench.worlds.questions.chains import single
from clara_bench.worlds.questions.plans import Desk, Plan
from clara_bench.worlds.rows import Item, Press, nq, open_press
from clara_bench.worlds.world import World, compose

ATTEMPTS = 1000


def guesses(form: Form, facts: Mapping[str, tuple[Fact, ...]]) -> dict[str, float]:
    """The answers, with their probabilities, of a reader that knows the right relation but not the right passage.

    It draws a passage at random among the candidates that state the last relation asked for: one for a
    question that asks for a value, two different ones for a comparison of values.

    Args:
        form: the question.
        facts: what each of its candidates states, by passage id.
    """
    if form.ask in ("low", "high"):
        return dict.fromkeys(form.options, 0.5)
    relation = form.steps[form.ends[0]].relation
    values = [fact.value for passage in form.candidates for fact in facts[passage] if fact.relation == relation]
    if form.ask == "value":
        return {value: times / len(values) for value, times in Counter(values).items()}
    pairs = len(values) * (len(values) - 1)
    equal = sum(values.count(value) - 1 for value in values) / pairs if pairs else 0.0
    return {"yes": equal, "no": 1.0 - equal}


def coin_flip(form: Form, facts: Mapping[str, tuple[Fact, ...]]) -> float:
    """Expected exact match, 0 to 1, of the reader of `guesses`."""
    return 0.5 if form.ask in ("low", "high") else guesses(form, facts).get(form.answer, 0.0)


def coin_flip_line(world: World) -> dict[str, float]:
    """Mean `coin_flip` of a world's questions: "all", and each kind ("bridge-clue", "3hop1", ...).

    A system's exact match has to be seen beside this line: at the line it has shown that it finds the kind
    of value asked for, and nothing about choosing the passage.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for form in world.forms:
        score = coin_flip(form, {passage: world.facts(passage) for passage in form.candidates})
        for kind in ("all", f"{form.kind}-{form.link}" if form.link else form.kind):
            found[kind].append(score)
    return {kind: fmean(scores) for kind, scores in found.items()}


def gate(config: WorldConfig) -> World:
    """Single-hop questions over two passages of one type that state different values: only the name tells them apart.

    Rows are in nq's form with two passages each, the gold one first in every other row; in every other pair
    of rows the two names share a piece. The coin-flip line is one half, so exact match well above it shows
    that names are matched: the test to pass before any score on several passages means reading.
    `config.candidates` is not used.

    Raises:
        ConfigError: more questions than the world can carry.
    """
    press = open_press("gate", config)
    desk = Desk(press.world, press.world.draw("gate"))
    items: list[Item] = []
    asked: set[str] = set()
    for number in range(config.questions):
        items.append(_pair(press, desk, number, asked))
        asked.add(items[-1].question)
    return compose(press, items, nq)


def _pair(press: Press, desk: Desk, number: int, asked: set[str]) -> Item:
    for _ in range(ATTEMPTS):
        plan = single(desk)
        rival = _rival(desk, plan, alike=number // 2 % 2 == 0) if plan and plan.hops[0].key != AWARDED else None
        if plan is None or rival is None:
            continue
        question = press.asker.word(plan)
        if question not in asked:
            pair = [plan.gold[0], rival]
            return Item(plan, question, pair if number % 2 == 0 else pair[::-1])
    raise ConfigError(f"world: {desk.world.config.passages} passages allow only {number} questions of the gate")


def _rival(desk: Desk, plan: Plan, alike: bool) -> int | None:
    """Another entity of the type whose passage states another value of the relation."""
    world, hop = desk.world, plan.hops[0]
    others = world.alike(hop.entity) if alike else world.members[world.kind(hop.entity)]
    other = desk.draw.pick(others) if others else hop.entity
    host = world.host(other)
    fit = world.value(other, hop.key) is not None and hop.value not in world.told(host, hop.key)
    return host if fit and host not in plan.gold else None
