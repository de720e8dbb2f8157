"""Questions over two or more passages, made by rule from facts that passages state: comparisons, and one hop more.

The wordings are those of 2WikiMultihopQA's and HotpotQA's training questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from reference.rows.draft import Draft, PassageText
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
DIRECTOR_YOUNGER = ("Which film has the director born later, {} or {}?", "Which film whose director is younger, {} or {}?")
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


class Comparisons:
    """Questions drawn from people and films that passages describe."""

    def __init__(self, source: str, passages: Sequence[PassageText], seed: int) -> None:
        self.source, self.chance = source, random.Random(seed)
        self.people = list({found.name: found for text in passages if (found := person(text))}.values())
        self.films = list({found.name: found for text in passages if (found := film(text))}.values())
        known = {found.name: found for found in self.people}
        self.directed = [(found, known[found.director]) for found in self.films if found.director in known]

    def drafts(self, number: int) -> Iterator[Draft]:
        """So many questions, the kinds in turn; pairs of passages do not come twice."""
        kinds = [self._people, self._films, self._nations, self._directors, self._director]
        seen: set[tuple[PassageText, ...]] = set()
        made = tries = 0
        while made < number and tries < 20 * number:
            draft = kinds[tries % len(kinds)](made)
            tries += 1
            if draft is not None and tuple(sorted(draft.gold)) not in seen:
                seen.add(tuple(sorted(draft.gold)))
                made += 1
                yield draft

    def _draft(self, number: int, wordings: Sequence[str], named: Sequence[str], answer: str, *gold: str) -> Draft:
        question = self.chance.choice(wordings).format(*named)
        return Draft(self.source, f"{number:05d}", question, answer, gold)

    def _people(self, number: int) -> Draft | None:
        one, other = self.chance.sample(self.people, 2)
        dead = one.died is not None and other.died is not None
        ask = self.chance.choice(["older", "younger", *["died first", "died later", "longer"] * dead])
        if ask == "longer":
            first, second = _days(one), _days(other)
        else:
            first, second = (one.died, other.died) if "died" in ask else (one.born, other.born)  # type: ignore[assignment]
        if first[:3] == second[:3]:  # type: ignore[index]
            return None
        low, high = (one, other) if first < second else (other, one)  # type: ignore[operator]
        wordings = {"older": OLDER, "younger": YOUNGER, "died first": DIED_FIRST, "died later": DIED_LATER, "longer": LONGER}
        chosen = low if ask in ("older", "died first") else high
        return self._draft(number, wordings[ask], (one.name, other.name), chosen.name, one.text, other.text)

    def _films(self, number: int) -> Draft | None:
        one, other = self.chance.sample(self.films, 2)
        if one.year == other.year:
            return None
        low, high = (one, other) if one.year < other.year else (other, one)
        early = self.chance.random() < 0.7
        wordings, chosen = (FILM_FIRST, low) if early else (FILM_LATER, high)
        return self._draft(number, wordings, (one.name, other.name), chosen.name, one.text, other.text)

    def _nations(self, number: int) -> Draft | None:
        pool: Sequence[Person | Film] = self.chance.choice([self.people, self.films])
        one = self.chance.choice([found for found in pool if found.nation])
        same = self.chance.random() < 0.5
        others = [found for found in pool if found.nation and (found.nation == one.nation) == same and found != one]
        if not others:
            return None
        other = self.chance.choice(others)
        wordings = SAME_NATION if isinstance(one, Person) else FILMS_SAME
        return self._draft(number, wordings, (one.name, other.name), "yes" if same else "no", one.text, other.text)

    def _directors(self, number: int) -> Draft | None:
        if len(self.directed) < 2:
            return None
        (one, first), (other, second) = self.chance.sample(self.directed, 2)
        texts = one.text, first.text, other.text, second.text
        if len(set(texts)) < 4:
            return None
        if first.nation and second.nation and self.chance.random() < 0.3:
            answer = "yes" if first.nation == second.nation else "no"
            return self._draft(number, DIRECTORS_SAME, (one.name, other.name), answer, *texts)
        if first.died and second.died and self.chance.random() < 0.5:
            early, days = self.chance.random() < 0.6, (first.died, second.died)
            wordings = DIRECTOR_DIED_FIRST if early else DIRECTOR_DIED_LATER
        else:
            early, days = self.chance.random() < 0.6, (first.born, second.born)
            wordings = DIRECTOR_OLDER if early else DIRECTOR_YOUNGER
        if days[0][:3] == days[1][:3]:
            return None
        chosen = one if (days[0] < days[1]) == early else other
        return self._draft(number, wordings, (one.name, other.name), chosen.name, *texts)

    def _director(self, number: int) -> Draft | None:
        if not self.directed:
            return None
        found, by = self.chance.choice(self.directed)
        asked = [(DIRECTOR_BORN, by.born.text)]
        asked += [(DIRECTOR_DIED, by.died.text)] if by.died else []
        asked += [(DIRECTOR_NATION, by.nation)] if by.nation else []
        wordings, answer = self.chance.choice(asked)
        return self._draft(number, wordings, (found.name,), answer, found.text, by.text)


def _days(one: Person) -> tuple[int, int, int]:
    """How long somebody lived: years, months and days, good enough to compare."""
    assert one.died is not None
    return one.died.year - one.born.year, one.died.month - one.born.month, one.died.day - one.born.day
