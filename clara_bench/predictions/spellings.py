"""Keys of a row: common spellings, and keys that are never predictions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clara_bench.errors import DataError

IDS = ("id", "_id", "qid", "q_id", "question_id", "query_id", "example_id", "sample_id", "uid", "guid", "custom_id")
QUESTIONS = ("question", "query", "question_text", "user_input", "input", "q")
ANSWERS = (
    "prediction", "pred", "predicted_answer", "predicted", "predict", "pred_answer", "prediction_text",
    "model_prediction", "output", "model_output", "response", "model_response", "generated_text", "generated_answer",
    "generation", "generated", "model_answer", "system_answer", "final_answer", "completion", "hypothesis",
    "llm_answer", "rag_answer",
)  # fmt: skip
"""Keys that can only be predictions; next to one of them `answer` is the gold answer."""
PLAIN_ANSWERS = ("answer", "short_answer", "answer_text")
RETRIEVED = (
    "retrieved", "retrieved_ids", "retrieved_docs", "retrieved_doc_ids", "retrieved_passages", "retrieved_documents",
    "retrieved_contexts", "retrieved_titles", "retrieval_result", "retrieval_results", "retrieval", "ctxs", "contexts",
    "passages", "docs", "documents", "doc_ids", "hits", "ranking", "ranked_ids", "predicted_passages",
)  # fmt: skip
SUPPORT = (
    "support", "sp", "predicted_support", "predicted_sp", "pred_sp", "predicted_supporting_facts",
    "pred_supporting_facts",
)  # fmt: skip
EVIDENCES = ("evidences", "predicted_evidences", "pred_evidences", "predicted_evidence", "pred_evidence")
ANSWERABLE = ("predicted_answerable", "pred_answerable", "predicted_sufficiency")

OF_THE_DATA = frozenset({
    "supporting_facts", "question_decomposition", "answer_aliases", "answers_objects", "nq_annotated_gold",
    "evidences_id", "answer_id",
})  # fmt: skip
"""Keys of the data sets' own rows. Next to one of them only unambiguous prediction keys are read."""
AMBIGUOUS = frozenset({*PLAIN_ANSWERS, "evidences", "ctxs", "contexts", "passages", "docs", "documents"})
"""Keys of predictions that the data sets' own rows have too."""
UNREAD = OF_THE_DATA | AMBIGUOUS | {
    "answers", "golden_answers", "gold_answers", "gold_answer", "golden_answer", "gold", "label", "labels", "target",
    "targets", "reference", "references", "ground_truth", "ground_truths", "correct_answer", "context", "evidence",
    "instruction", "prompt", "metadata", "meta", "score", "scores", "metrics", "title", "text", "choices", "supporting",
    "hops", "kind", "level", "type", "answerable",
}  # fmt: skip
"""Keys that no misspelling of ours is looked for in."""


class _Kind(NamedTuple):
    name: str
    spellings: Sequence[str]


_KINDS = (
    _Kind("question", QUESTIONS),
    _Kind("retrieved", RETRIEVED),
    _Kind("support", SUPPORT),
    _Kind("evidences", EVIDENCES),
    _Kind("answerable", ANSWERABLE),
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a file's rows by what they mean; None for what it does not have."""

    ids: tuple[str, ...]
    question: str | None
    answer: str | None
    retrieved: str | None
    support: str | None
    evidences: str | None
    answerable: str | None
    unread: tuple[str, ...]

    @property
    def predicts(self) -> bool:
        """Whether there is anything to score."""
        return any((self.answer, self.retrieved, self.support, self.evidences, self.answerable))


def plain(key: str) -> str:
    """A key as its spelling is compared.

    >>> plain("Question ID"), plain("predictedAnswer")
    ('question_id', 'predicted_answer')
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip())
    return re.sub(r"[\s_-]+", "_", apart.lower())


def keys_of(found: Iterable[str], without: Iterable[str] = ()) -> Keys:
    """The keys by what they mean, whatever they are; `without` says which are no predictions."""
    by_plain = {plain(key): key for key in reversed(list(found))}
    not_ours = {*without, *(AMBIGUOUS if OF_THE_DATA & by_plain.keys() else ())}
    usable = {name: key for name, key in by_plain.items() if name not in not_ours and key not in not_ours}

    def first(names: Sequence[str]) -> str | None:
        return next((usable[name] for name in names if name in usable), None)

    chosen = {kind.name: first(kind.spellings) for kind in _KINDS}
    ids, answer = tuple(usable[name] for name in IDS if name in usable), first((*ANSWERS, *PLAIN_ANSWERS))
    used = {*ids, answer, *chosen.values()}
    return Keys(ids, answer=answer, unread=tuple(key for key in found if key not in used), **chosen)


def checked(keys: Keys, where: str) -> Keys:
    """The keys, if they can be scored and none of them looks like another one misspelt.

    Raises:
        DataError: with the keys that were found.
    """
    own = [key for key in keys.unread if plain(key) in OF_THE_DATA]
    if own and not keys.predicts:
        raise DataError(
            f"{where}: a row of the data set itself, because of its key '{own[0]}', and no key is a prediction. "
            "Name the predicted answer 'prediction'"
        )
    _refuse_misspelt(keys, where)
    if not keys.predicts:
        shown = ", ".join((*keys.ids, *filter(None, (keys.question,)), *keys.unread)) or "none"
        raise DataError(
            f"{where}: no answer, nothing retrieved and no support. Expected a key such as answer; found {shown}"
        )
    rivals = [key for key in keys.unread if plain(key) in ANSWERS]
    if rivals:
        raise DataError(
            f"{where}: both '{keys.answer}' and '{rivals[0]}' may be the answer. Remove one, or name one 'prediction'"
        )
    return keys


def _refuse_misspelt(keys: Keys, where: str) -> None:
    absent: Mapping[str, bool] = {
        "id": not keys.ids and keys.question is None,
        "answer": keys.answer is None,
        "retrieved": keys.retrieved is None,
        "support": keys.support is None,
        "evidences": keys.evidences is None,
    }
    wanted = [name for name, is_absent in absent.items() if is_absent] + list(ANSWERS if keys.answer is None else ())
    for key in keys.unread:
        near = [] if plain(key) in UNREAD else difflib.get_close_matches(plain(key)[:100], wanted, n=1, cutoff=0.8)
        if near:
            raise DataError(f"{where}: unknown field {key}. Did you mean '{near[0]}'?")
