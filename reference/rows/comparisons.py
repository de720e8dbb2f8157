"""Questions over two or more passages, made by rule from facts that passages state: comparisons, and one hop more.

The wordings are those of 2WikiMultihopQA's and HotpotQA's training questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from reference.rows.example import Example, PassageText
from reference.rows.facts import Film, Person, film, person

YOUNGER = ("Who is younger, {} or {}?", "Who was born later, {} or {}?")
OLDER = (
    "Who was born first, {} or {}?", "Who is older, {} or {}?", "Who was born earlier, {} or {}?",
    "Was {} or {} born first?",
)  # fmt: skip
DIED_FIRST = ("Who died first, {} or {}?", "Who died earlier, {} or {}?")
DIED_LATER = ("Who died later, {} or {}?",)
LONGER = ("Who lived longer, {} or {}?",)
SAME_NATION = (
    "Are {} and {} of the same nationality?", "Were {} and {} from the same country?",
    "Do {} and {} have the same nationality?",
)  # fmt: skip
FILM_FIRST = (
    "Which film came out first, {} or {}?", "Which film was released first, {} or {}?",
    "Which film came out earlier, {} or {}?", "Which movie was released earlier, {} or {}?",
)  # fmt: skip
FILM_LATER = ("Which film was released more recently, {} or {}?", "Which film came out later, {} or {}?")
FILMS_SAME = (
    "Are both films, {} and {}, from the same country?", "Did the movies {} and {}, originate from the same country?",
)  # fmt: skip
DIRECTOR_OLDER = (
    "Which film has the director born first, {} or {}?", "Which film has the director who is older, {} or {}?",
    "Which film has the director who was born earlier, {} or {}?",
)  # fmt: skip
DIRECTOR_YOUNGER = (
    "Which film has the director born later, {} or {}?", "Which film whose director is younger, {} or {}?",
)  # fmt: skip
DIRECTOR_DIED_FIRST = (
    "Which film has the director died first, {} or {}?", "Which film has the director who died earlier, {} or {}?",
)  # fmt: skip
DIRECTOR_DIED_LATER = ("Which film has the director died later, {} or {}?",)
DIRECTORS_SAME = (
    "Do director of film {} and director of film {} share the same nationality?",
    "Do both directors of films {} and {} have the same nationality?",
)
DIRECTOR_BORN = ("When was the director of film {} born?", "What is the date of birth of the director of film {}?")
DIRECTOR_DIED = ("When did the director of film {} die?", "What is the date of death of the director of film {}?")
DIRECTOR_NATION = ("Which country the director of film {} is from?", "What nationality is the director of film {}?")


Subject = Person | Film
Order = tuple[int, ...]
"""What is compared: a date, a year, a span of time."""
PASSAGES = 4
"""Passages of a group, which may be a person's and that person's film's."""
TOGETHER = 4
"""Questions of a group, asked over the same passages."""


class Comparisons:
    """Questions drawn from people and films that passages describe."""

    def __init__(self, source: str, passages: Sequence[PassageText], seed: int) -> None:
        self.source, self.chance = source, random.Random(seed)
        self.people = list({one.name: one for one in map(person, passages) if one}.values())
        self.films = list({one.name: one for one in map(film, passages) if one}.values())
        known = {found.name: found for found in self.people}
        self.directed = [(found, known[found.director]) for found in self.films if found.director in known]

    def examples(self, number: int) -> Iterator[Example]:
        """A number of questions, in groups over four or five passages: people, films, or films and their directors."""
        made = block = 0
        while made < number and block < number and len(self.people) >= PASSAGES:
            asked = list(dict.fromkeys(self._block(block)))[:TOGETHER]
            block += 1
            for place, (question, answer, gold) in enumerate(asked, 1):
                name = f"{block:05d}"
                yield Example(self.source, f"{name}/{place}", question, answer, gold, group=f"{self.source}/{name}")
            made += len(asked)

    def _block(self, block: int) -> Iterator[_Asked]:
        """Questions over the same few passages, more than a group needs."""
        if block % 3 == 0 and len(self.directed) > 1:
            pair = self.chance.sample(self.directed, 2)
            makers = [lambda: self._directors(*pair), lambda: self._director(*self.chance.choice(pair))]
        elif block % 3 == 1 and len(self.films) >= PASSAGES:
            films = self.chance.sample(self.films, PASSAGES)
            makers = [lambda: self._films(*self.chance.sample(films, 2)), lambda: self._nations(films, FILMS_SAME)]
        else:
            people = self.chance.sample(self.people, PASSAGES)
            makers = [lambda: self._people(*self.chance.sample(people, 2)), lambda: self._nations(people, SAME_NATION)]
            makers.append(makers[0])
        for turn in range(3 * TOGETHER):
            asked = makers[turn % len(makers)]()
            if asked is not None:
                yield asked

    def _asked(self, wordings: Sequence[str], named: Sequence[str], answer: str, *gold: str) -> _Asked:
        return _Asked(self.chance.choice(wordings).format(*named), answer, gold)

    def _people(self, one: Person, other: Person) -> _Asked | None:
        dead = one.died is not None and other.died is not None
        ask = self.chance.choice(["older", "younger", *["died first", "died later", "longer"] * dead])
        wordings, measure, low = ORDERS[ask]
        return self._ordered(wordings, one, other, measure(one), measure(other), low)

    def _films(self, one: Film, other: Film) -> _Asked | None:
        early = self.chance.random() < 0.7
        return self._ordered(FILM_FIRST if early else FILM_LATER, one, other, (one.year,), (other.year,), early)

    def _ordered(
        self, wordings: Sequence[str], one: Subject, other: Subject, first: Order, second: Order, low: bool
    ) -> _Asked | None:
        """The one of two with the lower or higher measure; None if they are equal."""
        if first == second:
            return None
        chosen = one if (first < second) == low else other
        return self._asked(wordings, (one.name, other.name), chosen.name, one.text, other.text)

    def _nations(self, pool: Sequence[Subject], wordings: Sequence[str]) -> _Asked | None:
        known = [found for found in pool if found.nation]
        if len(known) < 2:
            return None
        one, other = self.chance.sample(known, 2)
        same = one.nation == other.nation
        if not same and self.chance.random() < 0.6:  # most pairs differ: no would else be a good guess
            return None
        return self._asked(wordings, (one.name, other.name), "yes" if same else "no", one.text, other.text)

    def _directors(self, one: tuple[Film, Person], other: tuple[Film, Person]) -> _Asked | None:
        (film_one, first), (film_other, second) = one, other
        texts = film_one.text, first.text, film_other.text, second.text
        if len(set(texts)) < len(texts):
            return None
        if first.nation and second.nation and self.chance.random() < 0.3:
            answer = "yes" if first.nation == second.nation else "no"
            return self._asked(DIRECTORS_SAME, (film_one.name, film_other.name), answer, *texts)
        dead = first.died is not None and second.died is not None and self.chance.random() < 0.5
        early = self.chance.random() < 0.6
        days = (_died(first), _died(second)) if dead else (first.born[:3], second.born[:3])
        if days[0] == days[1]:
            return None
        chosen = film_one if (days[0] < days[1]) == early else film_other
        wordings = [[DIRECTOR_YOUNGER, DIRECTOR_OLDER], [DIRECTOR_DIED_LATER, DIRECTOR_DIED_FIRST]][dead][early]
        return self._asked(wordings, (film_one.name, film_other.name), chosen.name, *texts)

    def _director(self, found: Film, by: Person) -> _Asked:
        asked = [(DIRECTOR_BORN, by.born.text)]
        asked += [(DIRECTOR_DIED, by.died.text)] if by.died else []
        asked += [(DIRECTOR_NATION, by.nation)] if by.nation else []
        wordings, answer = self.chance.choice(asked)
        return self._asked(wordings, (found.name,), answer, found.text, by.text)


class _Asked(NamedTuple):
    question: str
    answer: str
    gold: tuple[PassageText, ...]


def _died(one: Person) -> Order:
    return one.died[:3] if one.died else ()


def _lived(one: Person) -> Order:
    """A person's lifespan in years, months and days, precise enough for comparison."""
    return tuple(end - begin for end, begin in zip(_died(one), one.born[:3], strict=True))


ORDERS: dict[str, tuple[Sequence[str], Callable[[Person], Order], bool]] = {
    "older": (OLDER, lambda one: one.born[:3], True),
    "younger": (YOUNGER, lambda one: one.born[:3], False),
    "died first": (DIED_FIRST, _died, True),
    "died later": (DIED_LATER, _died, False),
    "longer": (LONGER, _lived, False),
}
"""Wordings, what is compared, and whether the lower is asked for."""
