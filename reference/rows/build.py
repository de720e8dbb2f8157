"""Builds a file of rows from a recipe: examples of every kind, no held-out data, gold passages with distractors."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clara_bench import Component, DataError, Passage, Question, create
from clara_bench.io.cache import file_digest, write_atomic
from reference.data.row import Row, Turn
from reference.data.row_files import write_instruct
from reference.rows import cloze, open_questions, single_hops, sources
from reference.rows.comparisons import Comparisons
from reference.rows.example import Example, PassageText, split, words
from reference.rows.held_out import Held
from reference.rows.recipe import Entry, Recipe

UNANSWERABLE = "unanswerable"
"""What a reader says when the passages do not hold the answer."""
NEIGHBOURS = 8
"""Least passages that a search offers as distractors to a question that comes with none."""


class Built(NamedTuple):
    """What was written."""

    rows: int
    by_source: dict[str, int]
    """Number of questions by recipe entry."""
    left_out: dict[str, int]
    """Number of excluded examples by reason."""


def build(recipe: Recipe, folder: Path, out: Path, tell: Callable[[str], None] = lambda _: None) -> Built:
    """Write the rows of a recipe, and beside them OUT.json: the recipe, its files' checksums, and the counts.

    Args:
        recipe: what to make.
        folder: of the data; the recipe's paths start from it.
        out: JSONL that `[data.text] path = OUT` reads, `.gz` to pack it.
        tell: told what is being made.

    Raises:
        DataError: a file is missing or of an unknown form, or nothing is left.
    """
    tell("reading what is held out")
    held = _held(recipe, folder)
    pool = [text for text in sources.passages(folder, recipe.passages, recipe.longest) if not held.holds(text)]
    left_out: Counter[str] = Counter()
    rounds: list[list[Example]] = [[] for _ in range(max(entry.copies for entry in recipe.entries))]
    for entry in recipe.entries:
        tell(entry.name)
        kept = _checked(_examples(recipe, entry, folder, pool, held), recipe, held, left_out)
        examples = list(kept)[: entry.most]
        for copy in range(entry.copies):
            rounds[copy] += examples
    if not rounds[0]:
        raise DataError(f"{folder}: the recipe gives no rows")
    tell("putting distractors beside them")
    mixed = _Mixed(recipe, rounds, pool)
    rows = list(mixed)
    write_instruct(rows, out)
    asked = Counter(example.source for group in mixed.groups for example in group)
    built = Built(len(rows), dict(asked), dict(left_out))
    write_atomic(out.with_name(out.name + ".json"), _manifest(recipe, folder, out, built))
    return built


def _held(recipe: Recipe, folder: Path) -> Held:
    asked = (row for path in recipe.held_questions for row in sources.raw_rows(folder, path))
    answered = (row for path in recipe.held_passages for row in sources.raw_rows(folder, path))
    questions = (question for row in asked for question in sources.questions_of(row))
    return Held(questions, (text for row in answered for text in sources.gold_of(row)))


def _examples(recipe: Recipe, entry: Entry, folder: Path, pool: Sequence[PassageText], held: Held) -> Iterable[Example]:
    rows = sources.raw_rows(folder, entry.path) if entry.path else []
    seed = recipe.seed + int.from_bytes(entry.name.encode()[:4], "big")
    if entry.kind == "questions":
        return sources.whole_questions(entry.name, rows)
    if entry.kind == "steps":
        steps = single_hops.musique_steps if "question_decomposition" in rows[0] else single_hops.triple_steps
        return steps(entry.name, rows)
    if entry.kind == "studies":
        return sources.studies(entry.name, rows)
    if entry.kind == "listed":
        more = sources.passages(folder, recipe.searched, recipe.longest)
        searched = [text for text in dict.fromkeys([*pool, *more]) if not held.holds(text)]
        return open_questions.examples(entry.name, sources.listed(rows), searched)
    if entry.kind == "comparisons":
        return Comparisons(entry.name, pool, seed).examples(entry.most or len(pool))
    return cloze.examples(entry.name, pool, seed)


def _checked(examples: Iterable[Example], recipe: Recipe, held: Held, left_out: Counter[str]) -> Iterator[Example]:
    """Examples that may be used for training."""
    seen: set[tuple[str, tuple[PassageText, ...]]] = set()
    for example in examples:
        reason = _unfit(example, recipe, held)
        if not reason and (example.question, example.gold) in seen:
            reason = "twice"
        if reason:
            left_out[f"{example.source}: {reason}"] += 1
        else:
            seen.add((example.question, example.gold))
            yield example


def _unfit(example: Example, recipe: Recipe, held: Held) -> str:
    """Why an example may not be used for training; "" if it may."""
    if not example.question.strip() or not example.answer.strip():
        return "empty"
    if held.asks_alike(example.question):
        return "asks what is held out"
    if any(map(held.holds, example.gold)):
        return "its passage is held out"
    if any(words(text) > recipe.longest for text in example.gold) or len(example.gold) > recipe.most_passages:
        return "too long"
    return ""


class _Mixed:
    """Rows of examples in a random order, each group with its passages."""

    def __init__(self, recipe: Recipe, rounds: Sequence[Sequence[Example]], pool: Sequence[PassageText]) -> None:
        self.recipe, self.chance, self.pool = recipe, random.Random(recipe.seed), pool
        self.groups = [group for examples in rounds for group in _grouped(examples, recipe)]
        self.chance.shuffle(self.groups)
        searching = [example for group in self.groups for example in group if recipe.filled or not example.distractors]
        self.beside = _neighbours(searching, pool, max(NEIGHBOURS, recipe.most_passages * recipe.filled))

    def __iter__(self) -> Iterator[Row]:
        for number, group in enumerate(self.groups):
            yield self._row(group, number)

    def _row(self, group: Sequence[Example], number: int) -> Row:
        """A group with distractors; the number makes its id unique among copies."""
        chance = self.chance
        order = chance.sample(group, min(len(group), self.recipe.most_turns))
        gold = list(dict.fromkeys(text for example in order for text in example.gold))
        others = self._distractors(order, gold)
        missing = self._missing(order, gold, others)
        documents = [*(text for text in gold if text != missing), *others]
        chance.shuffle(documents)
        turns = tuple(
            Turn(self._worded(example), UNANSWERABLE if missing in example.gold else example.answer)
            for example in order
        )
        positives = tuple(sorted(documents.index(text) for text in gold if text != missing))
        return Row(f"{order[0].id}#{number}", tuple(documents), turns, positives=positives)

    def _missing(self, group: Sequence[Example], gold: Sequence[str], others: Sequence[str]) -> PassageText | None:
        """Sometimes a passage to remove, if no answer that needs it occurs in the others."""
        if self.chance.random() >= self.recipe.unanswerable or not others:
            return None
        missing = self.chance.choice(gold)
        left = "\n".join(text for text in (*gold, *others) if text != missing).lower()
        lost = [example.answer.lower() for example in group if missing in example.gold]
        return None if any(answer in left for answer in lost) else missing

    def _distractors(self, group: Sequence[Example], gold: Sequence[PassageText]) -> list[PassageText]:
        room = self.recipe.most_passages - len(gold)
        if room < 1 or self.chance.random() < self.recipe.alone:
            return []
        offered = [text for example in group for text in example.distractors or self.beside.get(example.id, ())]
        if self.recipe.filled:
            return self._filled(
                gold, [*offered, *(text for one in group for text in self.beside.get(one.id, ()))], room
            )
        fit = self._fit(offered, gold)
        wanted = self.chance.randint(1, room)
        chosen = self.chance.sample(fit, min(wanted, len(fit)))
        return chosen or self.chance.sample(self.pool, 1)

    def _fit(self, offered: Iterable[PassageText], gold: Sequence[PassageText]) -> list[PassageText]:
        return [text for text in dict.fromkeys(offered) if words(text) <= self.recipe.longest and text not in gold]

    def _filled(self, gold: Sequence[PassageText], offered: Sequence[PassageText], room: int) -> list[PassageText]:
        drawn = self.chance.sample(self.pool, min(len(self.pool), room + len(gold)))
        return self._fit([*offered, *drawn], gold)[:room]

    def _worded(self, example: Example) -> str:
        by_rule = example.source.startswith("cloze") and "____" not in example.question
        return (
            cloze.casual(example.question)
            if by_rule and self.chance.random() < self.recipe.casual
            else example.question
        )


def _grouped(examples: Sequence[Example], recipe: Recipe) -> Iterator[list[Example]]:
    """Groups of examples asked together; an example whose passages do not fit with the others' is asked alone."""
    most = recipe.most_passages if recipe.most_turns > 1 else 0
    groups: dict[str, list[Example]] = {}
    for example in examples:
        group = groups.setdefault(example.group or example.id, [])
        together = {text for one in (*group, example) for text in one.gold}
        if len(together) > most:
            yield [example]
        else:
            group.append(example)
    yield from filter(None, groups.values())


def _neighbours(
    examples: Sequence[Example], pool: Sequence[PassageText], number: int
) -> dict[str, tuple[PassageText, ...]]:
    """For each example, the first passages retrieved for its question, without those that contain its answer."""
    once = list({example.id: example for example in examples}.values())
    retriever = create("retriever", Component("bm25"))
    retriever.index({str(place): Passage(str(place), *split(text)) for place, text in enumerate(pool)})
    rankings = retriever.retrieve([Question(example.id, example.question) for example in once], number)
    beside = {}
    for example, ranking in zip(once, rankings, strict=True):
        texts = [pool[int(ranked.passage_id)] for ranked in ranking]
        beside[example.id] = tuple(text for text in texts if example.answer.lower() not in text.lower())
    return beside


def _manifest(recipe: Recipe, folder: Path, out: Path, built: Built) -> bytes:
    named = [*recipe.passages, *recipe.searched, *recipe.held_questions, *recipe.held_passages]
    named += [entry.path for entry in recipe.entries if entry.path]
    files = {path: file_digest(folder / path) for path in sorted(set(named))}
    said: dict[str, Any] = {"recipe": msgspec.to_builtins(recipe), "files": files, "sha256": file_digest(out)}
    said |= {"rows": built.rows, "by_source": built.by_source, "left_out": built.left_out}
    return msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n"
