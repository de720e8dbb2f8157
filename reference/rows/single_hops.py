"""Single steps of multi-hop questions: MuSiQue's decompositions and 2WikiMultihopQA's evidence triples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reference.rows.example import Example, passage

ASKED: Mapping[str, tuple[str, ...]] = {
    "director": ("Who is the director of {}?", "Who directed {}?"),
    "country of citizenship": ("Which country is {} from?", "What nationality is {}?"),
    "date of birth": ("When was {} born?", "What is the date of birth of {}?"),
    "date of death": ("When did {} die?", "What is the date of death of {}?"),
    "country": ("Which country is {} located in?", "What country is {} in?"),
    "place of birth": ("Where was {} born?", "What is the place of birth of {}?"),
    "place of death": ("Where did {} die?", "What is the place of death of {}?"),
    "father": ("Who is the father of {}?", "Who is {}'s father?"),
    "mother": ("Who is the mother of {}?", "Who is {}'s mother?"),
    "spouse": ("Who is the spouse of {}?", "Who is {}'s spouse?"),
    "publication date": ("When was {} released?", "When did {} come out?"),
    "country of origin": ("Which country is {} from?", "What is the country of origin of {}?"),
    "performer": ("Who is the performer of {}?", "Who performed {}?"),
    "composer": ("Who is the composer of {}?", "Who composed the music of {}?"),
    "cause of death": ("What is the cause of death of {}?", "Why did {} die?"),
    "award received": ("What award did {} receive?", "Which award was {} given?"),
    "educated at": ("Where did {} study?", "Where was {} educated?"),
    "child": ("Who is the child of {}?", "Who is {}'s child?"),
    "sibling": ("Who is the sibling of {}?", "Who is {}'s sibling?"),
    "founded by": ("Who founded {}?", "Who is the founder of {}?"),
}
"""How a relation of 2WikiMultihopQA is asked for, in the data set's own way first."""


def musique_steps(source: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Example]:
    """Each step of each question, with its own paragraph as gold and the question's other paragraphs beside it."""
    for row in rows:
        texts = {p["idx"]: passage(p["title"], p["paragraph_text"]) for p in row["paragraphs"]}
        answers: list[str] = []
        for number, step in enumerate(row["question_decomposition"], 1):
            question = as_question(_resolved(step["question"], answers))
            answers.append(step["answer"])
            gold = texts[step["paragraph_support_idx"]]
            supporting = {texts[p["idx"]] for p in row["paragraphs"] if p["is_supporting"]}
            others = tuple(text for text in texts.values() if text not in supporting)
            yield Example(source, f"{row['id']}/{number}", question, step["answer"], (gold,), others, row["id"])


def _resolved(question: str, answers: Sequence[str]) -> str:
    """The answers of earlier steps in the place of #1, #2, ..."""
    return re.sub(r"#(\d)", lambda match: answers[int(match[1]) - 1], question)


def as_question(step: str) -> str:
    """Rephrase a decomposition step as a natural question.

    >>> as_question("Rogue Trader >> director"), as_question("Who is the mother of James Dearden ?")
    ('What is the director of Rogue Trader?', 'Who is the mother of James Dearden?')
    """
    subject, arrow, relation = step.partition(">>")
    text = f"What is the {relation.strip()} of {subject.strip()}?" if arrow else step
    return re.sub(r"\s+([?.,])", r"\1", text.strip())


def triple_steps(source: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[Example]:
    """Each evidence triple whose subject's paragraph holds its object, asked in one of two ways."""
    for row in rows:
        paragraphs = {title: passage(title, " ".join(parts)) for title, parts in row["context"]}
        supporting = {title for title, _ in row["supporting_facts"]}
        others = tuple(text for title, text in paragraphs.items() if title not in supporting)
        for number, (subject, relation, value) in enumerate(row["evidences"], 1):
            gold = _stating(paragraphs, supporting, subject, value)
            if gold and relation in ASKED:
                wording = ASKED[relation][(len(row["question"]) + number) % 2]
                question = wording.format(subject)
                yield Example(source, f"{row['_id']}/{number}", question, value, (gold,), others, row["_id"])


def _stating(paragraphs: Mapping[str, str], supporting: set[str], subject: str, value: str) -> str:
    """The supporting paragraph about the subject, if it states the value; else ""."""
    for title in supporting:
        text = paragraphs.get(title, "")
        about = re.sub(r"\s*\(.*", "", title).lower()
        if about == re.sub(r"\s*\(.*", "", subject).lower() and value.lower() in text.lower():
            return text
    return ""
