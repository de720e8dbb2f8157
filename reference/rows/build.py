"""A file of rows from a recipe: drafts of every kind, nothing that is held out, distractors beside what is needed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clara_bench import Component, DataError, Passage, Question, create
from clara_bench.cache import digest, file_digest, write_atomic
from reference.data import Row, Turn
from reference.rowfiles import write_instruct
from reference.rows import cloze, found, hops, sources
from reference.rows.comparisons import Comparisons
from reference.rows.draft import Draft, PassageText, split, words
from reference.rows.leaks import Held
from reference.rows.recipe import Entry, Recipe

UNANSWERABLE = "unanswerable"
"""What a reader says when the passages do not hold the answer."""
NEIGHBOURS = 8
"""Passages that a search offers as distractors to a question that comes with none."""


class Built(NamedTuple):
    """What was written."""

    rows: int
    by_source: dict[str, int]
    left_out: dict[str, int]
    """Drafts by the reason for which they were left out."""


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
    drafts: list[tuple[Draft, int]] = []
    for entry in recipe.entries:
        tell(entry.name)
        kept = _checked(_drafts(recipe, entry, folder, pool, held), recipe, held, left_out)
        drafts += [(draft, entry.copies) for draft in list(kept)[: entry.most]]
    if not drafts:
        raise DataError(f"{folder}: the recipe gives no rows")
    tell("putting distractors beside them")
    rows = list(_Mixed(recipe, [draft for draft, copies in drafts for _ in range(copies)], pool))
    write_instruct(rows, out)
    built = Built(len(rows), dict(Counter(row.id.partition(":")[0] for row in rows)), dict(left_out))
    write_atomic(out.with_name(out.name + ".json"), _manifest(recipe, folder, out, built))
    return built


def _held(recipe: Recipe, folder: Path) -> Held:
    asked = (row for path in recipe.held_questions for row in sources.raw_rows(folder, path))
    answered = (row for path in recipe.held_passages for row in sources.raw_rows(folder, path))
    return Held((q for row in asked for q in sources.questions_of(row)), (p for row in answered for p in sources.gold_of(row)))


def _drafts(recipe: Recipe, entry: Entry, folder: Path, pool: Sequence[PassageText], held: Held) -> Iterable[Draft]:
    rows = sources.raw_rows(folder, entry.path) if entry.path else []
    seed = recipe.seed + int.from_bytes(entry.name.encode()[:4], "big")
    if entry.kind == "questions":
        return sources.whole_questions(entry.name, rows)
    if entry.kind == "steps":
        steps = hops.musique_steps if "question_decomposition" in rows[0] else hops.triple_steps
        return steps(entry.name, rows)
    if entry.kind == "studies":
        return sources.studies(entry.name, rows)
    if entry.kind == "listed":
        more = sources.passages(folder, recipe.searched, recipe.longest)
        searched = [text for text in dict.fromkeys([*pool, *more]) if not held.holds(text)]
        return found.drafts(entry.name, sources.listed(rows), searched)
    if entry.kind == "comparisons":
        return Comparisons(entry.name, pool, seed).drafts(entry.most or len(pool))
    return cloze.drafts(entry.name, pool, seed)


def _checked(drafts: Iterable[Draft], recipe: Recipe, held: Held, left_out: Counter[str]) -> Iterator[Draft]:
    """Those that may be trained on."""
    seen: set[tuple[str, tuple[PassageText, ...]]] = set()
    for draft in drafts:
        reason = _unfit(draft, recipe, held)
        if not reason and (draft.question, draft.gold) in seen:
            reason = "twice"
        if reason:
            left_out[f"{draft.source}: {reason}"] += 1
        else:
            seen.add((draft.question, draft.gold))
            yield draft


def _unfit(draft: Draft, recipe: Recipe, held: Held) -> str:
    """Why a draft may not be trained on; "" if it may."""
    if not draft.question.strip() or not draft.answer.strip():
        return "empty"
    if held.asks_alike(draft.question):
        return "asks what is held out"
    if any(map(held.holds, draft.gold)):
        return "its passage is held out"
    if any(words(text) > recipe.longest for text in draft.gold) or len(draft.gold) > recipe.most_passages:
        return "too long"
    return ""


class _Mixed:
    """Rows of drafts in a random order, each with its passages."""

    def __init__(self, recipe: Recipe, drafts: Sequence[Draft], pool: Sequence[PassageText]) -> None:
        self.recipe, self.chance, self.pool = recipe, random.Random(recipe.seed), pool
        self.drafts = list(drafts)
        self.chance.shuffle(self.drafts)
        self.beside = _neighbours([draft for draft in self.drafts if not draft.distractors], pool)

    def __iter__(self) -> Iterator[Row]:
        for number, draft in enumerate(self.drafts):
            yield self._row(draft, number)

    def _row(self, draft: Draft, number: int) -> Row:
        """A draft with distractors; the number makes its id unique among copies."""
        recipe, chance = self.recipe, self.chance
        answerable = chance.random() >= recipe.unanswerable
        gold = draft.gold if answerable else ()
        documents = [*gold, *self._distractors(draft, len(gold))]
        chance.shuffle(documents)
        positives = tuple(sorted(documents.index(text) for text in gold))
        turn = Turn(self._worded(draft), draft.answer if answerable else UNANSWERABLE)
        return Row(f"{draft.id}#{number}", tuple(documents), (turn,), positives=positives)

    def _distractors(self, draft: Draft, gold: int) -> list[PassageText]:
        room = self.recipe.most_passages - gold
        if room < 1 or (gold and self.chance.random() < self.recipe.alone):
            return []
        offered = draft.distractors or self.beside.get(draft.id, ())
        fit = [text for text in offered if words(text) <= self.recipe.longest and text not in draft.gold]
        wanted = self.chance.randint(1, room)
        chosen = self.chance.sample(fit, min(wanted, len(fit)))
        return chosen or self.chance.sample(self.pool, 1)

    def _worded(self, draft: Draft) -> str:
        by_rule = draft.source.startswith("cloze") and "____" not in draft.question
        return cloze.casual(draft.question) if by_rule and self.chance.random() < self.recipe.casual else draft.question


def _neighbours(drafts: Sequence[Draft], pool: Sequence[PassageText]) -> dict[str, tuple[PassageText, ...]]:
    """For each draft the passages that a search for its question finds, without those that hold its answer."""
    once = list({draft.id: draft for draft in drafts}.values())
    retriever = create("retriever", Component("bm25"))
    retriever.index({str(place): Passage(str(place), *split(text)) for place, text in enumerate(pool)})
    rankings = retriever.retrieve([Question(draft.id, draft.question) for draft in once], NEIGHBOURS)
    beside = {}
    for draft, ranking in zip(once, rankings, strict=True):
        texts = [pool[int(ranked.passage_id)] for ranked in ranking]
        beside[draft.id] = tuple(text for text in texts if draft.answer.lower() not in text.lower())
    return beside


def _manifest(recipe: Recipe, folder: Path, out: Path, built: Built) -> bytes:
    named = [*recipe.passages, *recipe.searched, *recipe.held_questions, *recipe.held_passages]
    named += [entry.path for entry in recipe.entries if entry.path]
    files = {path: file_digest(folder / path) for path in sorted(set(named))}
    said: dict[str, Any] = {"recipe": msgspec.to_builtins(recipe), "files": files, "sha256": file_digest(out)}
    said |= {"rows": built.rows, "by_source": built.by_source, "left_out": built.left_out}
    return msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n"
