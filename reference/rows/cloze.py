"""Questions made from a passage's own sentences: a name, number or date is asked for, in several wordings.

"The Eiffel Tower was built in 1889." becomes "When was the Eiffel Tower built?", "The Eiffel Tower was built in what
year?" or "Fill in the blank: The Eiffel Tower was built in ____."
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clara_bench.compress.shared.sentences import split as sentences
from reference.rows.example import Example, PassageText, split
from reference.rows.facts import DATE, MONTHS, bare

_MONTH_YEAR = rf"(?:{MONTHS}) \d{{4}}"
_WHEN = re.compile(rf"\b(?P<word>in|on) (?P<span>{DATE}|{_MONTH_YEAR}|(?:1[0-9]|20)\d\d)(?=[ .,;])")
_NUMBER = re.compile(r"(?<=[a-z] )(?P<span>\d{1,3}(?:,\d{3})+|(?!1\d{3}\b|20\d\d\b)\d{2,}(?:\.\d+)?)(?= [a-z]{3,}s\b)")
_NAME = re.compile(
    r"(?<=[a-z,] )(?P<span>(?:[A-Z][\w'’.-]+)(?:(?: (?:of|the|de|von|van|and))? [A-Z][\w'’.-]+){0,4})(?=[ .,;)])"
)
_SUBJECT = re.compile(
    r"^(?P<span>(?:The )?[A-Z][\w'’.-]+(?:(?: (?:of|the|de|von|van))? [A-Z][\w'’.-]+){0,5}) "
    r"(?P<rest>(?:was|is|were|are|became|won|wrote|directed|founded|released|recorded|discovered|invented|played|served|"
    r"led|married|defeated|designed|composed|produced|created|built|starred|received|held|died|hosted|owned) .*)$"
)
_PASSIVE = re.compile(
    r"^(?P<subject>[A-Z][^,;:()]{2,80}?) (?P<verb>was|were|is) (?P<done>(?:first |originally |officially |formally )?"
    r"\w+(?:ed|en|un|ilt|orn|ade|old|eld|ept|aid|ght|lt)(?: (?!in\b|on\b)[^,;:]{0,80}?)?) (?:in|on) (?P<span>"
    rf"{DATE}|{_MONTH_YEAR}|(?:1[0-9]|20)\d\d)(?=[.,;])"
)
_PLACE = re.compile(
    r"^(?P<subject>[A-Z][^,;:()]{2,80}?) (?P<verb>was|were|is|are) "
    r"(?P<done>located|situated|born|based|headquartered|buried|held|found) "
    r"(?:in|at) (?P<span>[A-Z][\w'’.-]+(?:(?:,| of| the)? [A-Z][\w'’.-]+){0,3})(?=[ .,;])"
)
_PRONOUN = re.compile(r"^(?P<word>He|She|It|They|His|Her|Its|Their) ")
_POSSESSIVE = frozenset({"His", "Her", "Its", "Their"})
_VAGUE = re.compile(r"^(This|These|That|Those|However|But|And|Also|Here|There|Such|Other|Another|Both|One|As|While) ")
_DONE_BY_PEOPLE = frozenset(
    "wrote directed married composed discovered invented served starred died hosted played won".split()
)
BLANKS = ("Fill in the blank: {}", "Complete the sentence: {}", "What is missing? {}", "{} What does ____ stand for?")
FEWEST, MOST = 7, 38
"""Words of a sentence that can be asked about."""


class Asked(NamedTuple):
    """One question about a sentence."""

    question: str
    answer: str


def examples(source: str, passages: Sequence[PassageText], seed: int, together: int = 4) -> Iterator[Example]:
    """Questions about passages in a random order, at most so many of each, which form a group."""
    chance = random.Random(seed)
    order = list(range(len(passages)))
    chance.shuffle(order)
    for place in order:
        for turn, (question, answer) in enumerate(about(passages[place], chance)[:together], 1):
            name = f"{place:06d}"
            yield Example(source, f"{name}/{turn}", question, answer, (passages[place],), group=f"{source}/{name}")


def about(text: PassageText, chance: random.Random) -> list[Asked]:
    """Questions about a passage, at most one a sentence, in a random order."""
    title, body = split(text)
    found = [
        asked
        for start, end in sentences(body)
        if (asked := _asked(_standing(body[start:end], title), text, chance)) is not None
    ]
    chance.shuffle(found)
    return found


def _standing(sentence: str, title: str) -> str:
    """A self-contained sentence: a pronoun at its start is replaced by the title."""
    match = _PRONOUN.match(sentence)
    if not match or not title:
        return sentence
    name = bare(title) + ("'s" if match["word"] in _POSSESSIVE else "")
    return f"{name} {sentence[match.end() :]}"


def _asked(sentence: str, text: PassageText, chance: random.Random) -> Asked | None:
    sentence = " ".join(sentence.split())
    if not FEWEST <= len(sentence.split()) <= MOST or _VAGUE.match(sentence) or sentence[-1:] not in ".!":
        return None
    direct = [asked for make in (_when, _where, _who) if (asked := make(sentence)) is not None]
    spans = [*_WHEN.finditer(sentence), *_NUMBER.finditer(sentence), *_NAME.finditer(sentence)]
    spans = [match for match in spans if _whole(sentence, match)]
    if direct and (not spans or chance.random() < 0.75):
        asked = chance.choice(direct)
    elif spans:
        asked = _of_span(sentence, chance.choice(spans), chance)
    else:
        return None
    answered = asked.answer.lower() in text.lower() and asked.answer.lower() not in asked.question.lower()
    return asked if answered and len(asked.answer.split()) <= 8 else None


def _whole(sentence: str, match: re.Match[str]) -> bool:
    """Whether a span is a complete name or number that occurs once in the sentence."""
    before = sentence[: match.start("span")].split()
    return (
        len(match["span"]) > 1
        and sentence.count(match["span"]) == 1
        and bool(before)
        and (len(before) == 1 or before[-1][:1].islower())
    )


def _when(sentence: str) -> Asked | None:
    match = _PASSIVE.match(sentence)
    if not match or len(match["subject"].split()) > 10:
        return None
    return Asked(f"When {match['verb']} {_lowered(match['subject'])} {match['done']}?", match["span"])


def _where(sentence: str) -> Asked | None:
    match = _PLACE.match(sentence)
    if not match or re.match(MONTHS, match["span"]):
        return None
    return Asked(f"Where {match['verb']} {_lowered(match['subject'])} {match['done']}?", match["span"])


def _who(sentence: str) -> Asked | None:
    match = _SUBJECT.match(sentence)
    if not match or match["rest"].startswith(("is a ", "is an ", "was a ", "was an ", "are ", "were ")):
        return None
    rest = match["rest"].rstrip(".")
    rest = rest.split(", ")[0] if len(rest.split(", ")[0].split()) >= 5 else rest
    return Asked(f"{_pronoun(match['span'], rest)} {rest}?", match["span"])


def _pronoun(subject: str, rest: str) -> str:
    if subject.startswith("The "):
        return "What"
    return "Who" if rest.split()[0] in _DONE_BY_PEOPLE else "Who or what"


def _of_span(sentence: str, match: re.Match[str], chance: random.Random) -> Asked:
    span, before, after = match["span"], sentence[: match.start("span")], sentence[match.end("span") :].rstrip(".!")
    if chance.random() < 0.35 or before.endswith(("the ", "The ", "a ", "an ", ", ")):
        wording = chance.choice(BLANKS)
        return Asked(wording.format(f"{before}____{after}."), span)
    if match.re is _WHEN:
        what = "what year" if re.fullmatch(r"\d{4}", span) else "what date"
    elif match.re is _NUMBER:
        what = "how many"
    else:
        what = "whom" if before.endswith("by ") else "what"
    return Asked(f"{before}{what}{after}?", span)


def _lowered(subject: str) -> str:
    return subject[:1].lower() + subject[1:] if subject.startswith(("The ", "A ", "An ")) else subject


def casual(question: str) -> str:
    """A question as people type it: no capitals, no question mark (as in Natural Questions).

    >>> casual("When was the Eiffel Tower built?")
    'when was the eiffel tower built'
    """
    return question.lower().rstrip("?").strip()
