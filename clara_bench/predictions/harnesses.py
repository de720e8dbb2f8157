"""Outputs of other programs: lm-evaluation-harness, inspect, FlashRAG, OpenAI batches, DPR's reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clara_bench.errors import DataError
from clara_bench.predictions.files import Content, Row, has_keys
from clara_bench.predictions.prediction import Form, Prediction
from clara_bench.predictions.spellings import keys_of
from clara_bench.predictions.values import answer_of, passages_of


def _is_lm_eval(content: Content) -> bool:
    return has_keys(content.first, "doc", "doc_id", "filtered_resps")


def _lm_eval(content: Content) -> Iterator[Prediction]:
    """samples_TASK_DATE.jsonl of lm-evaluation-harness: the data's row under `doc`, answers under `filtered_resps`."""
    for where, row in content.rows:
        if not has_keys(row, "doc", "filtered_resps") or not isinstance(row["doc"], Mapping):
            raise DataError(f"{where}: expected a sample of lm-evaluation-harness, with doc and filtered_resps")
        found = row["filtered_resps"]
        while isinstance(found, list) and len(found) == 1:
            found = found[0]
        if not isinstance(found, str):
            raise DataError(
                f"{where}: expected one generated text at $.filtered_resps, got {str(found)[:80]}. "
                "Options compared by likelihood are not answers"
            )
        ids, question = _asked(row["doc"])
        variant = f"filter {row['filter']}" if "filter" in row else None
        yield Prediction(where, ids, question, answer=found, variant=variant)


def _asked(doc: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Ids and question of a row of a data set."""
    keys = keys_of(doc)
    question = doc[keys.question] if keys.question else None
    ids = tuple(str(doc[key]) for key in keys.ids if isinstance(doc[key], str | int))
    return ids, question if isinstance(question, str) else None


def _samples(content: Content) -> Sequence[Row]:
    """The samples of inspect's log, from its JSON, from the archive, or a list of them."""
    found = (content.whole or {}).get("samples")
    if isinstance(found, list):
        return [Row(f"{content.path}: sample {number}", sample) for number, sample in enumerate(found, 1)]
    return content.rows


def _is_inspect(content: Content) -> bool:
    if has_keys(content.whole, "eval", "status") and "samples" not in (content.whole or {}):
        return True
    samples = _samples(content)
    return bool(samples) and has_keys(samples[0].value, "id", "epoch", "input", "output")


def _inspect(content: Content) -> Iterator[Prediction]:
    """A log of inspect; its samples are the data's rows with what the model put out."""
    samples = _samples(content)
    if not samples or not has_keys(samples[0].value, "output"):
        raise DataError(f"{content.path}: a log of inspect without samples. Run it with --log-samples")
    for where, sample in samples:
        if not has_keys(sample, "id", "input", "output") or not isinstance(sample["output"], Mapping):
            raise DataError(f"{where}: expected a sample of inspect, with id, input and output")
        error = sample.get("error")
        more = _asked(sample.get("metadata") or {})[0]
        yield Prediction(
            where,
            (*more, str(sample["id"])),
            prompt=_last_text(sample["input"]),
            answer=None if error else _completion(sample["output"], where),
            error=str(error.get("message", error) if isinstance(error, Mapping) else error) if error else None,
            variant=f"epoch {sample['epoch']}" if "epoch" in sample else None,
        )


def _last_text(given: Any) -> str | None:
    """The question: the input itself, or the last message of the user."""
    if isinstance(given, str):
        return given
    messages = given if isinstance(given, list) else []
    said = [message for message in messages if isinstance(message, Mapping) and message.get("role") == "user"]
    return _text_of(said[-1].get("content")) if said else None


def _completion(output: Mapping[str, Any], where: str) -> str | None:
    if output.get("completion"):
        return answer_of(output["completion"], where, "output.completion")
    choices = output.get("choices") or []
    return _text_of(choices[0]["message"].get("content")) if choices and has_keys(choices[0], "message") else None


def _text_of(content: Any) -> str | None:
    """A message's text, which may come in parts."""
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _is_flashrag(content: Content) -> bool:
    return has_keys(content.first, "question", "output") and isinstance(content.first["output"], Mapping)


def _flashrag(content: Content) -> Iterator[Prediction]:
    """intermediate_data.json of FlashRAG: rows of id, question, golden_answers and what came out."""
    for where, row in content.rows:
        if not has_keys(row, "question", "output") or not isinstance(row["output"], Mapping):
            raise DataError(f"{where}: expected an item of FlashRAG, with question and output")
        output = row["output"]
        yield Prediction(
            where,
            (str(row["id"]),) if row.get("id") is not None else (),
            str(row["question"]),
            answer=answer_of(output.get("pred"), where, "output.pred"),
            retrieved=passages_of(output.get("retrieval_result"), where, "output.retrieval_result"),
        )


def _is_batch(content: Content) -> bool:
    return has_keys(content.first, "custom_id", "response")


def _batch(content: Content) -> Iterator[Prediction]:
    """A batch of OpenAI's, or of a server that speaks as it does: the question's id is the custom_id."""
    for where, row in content.rows:
        if not has_keys(row, "custom_id", "response"):
            raise DataError(f"{where}: expected a line of a batch, with custom_id and response")
        response, error = row["response"] or {}, row.get("error")
        body = response.get("body") or {}
        if error is None and response.get("status_code", 200) != 200:
            error = body.get("error") or f"status {response['status_code']}"
        yield Prediction(
            where,
            (str(row["custom_id"]),),
            answer=None if error else _completion(body, where),
            error=str(error) if error else None,
        )


def _is_dpr_reader(content: Content) -> bool:
    return has_keys(content.first, "question", "predictions")


def _dpr_reader(content: Content) -> Iterator[Prediction]:
    """The predictions of DPR's reader: one answer for each number of passages read."""
    for where, row in content.rows:
        if not has_keys(row, "question", "predictions") or not isinstance(row["predictions"], list):
            raise DataError(f"{where}: expected a row of DPR's reader, with question and predictions")
        for one in row["predictions"]:
            if not has_keys(one, "top_k", "prediction") or not has_keys(one["prediction"], "text"):
                raise DataError(f"{where}: expected top_k and prediction.text at $.predictions")
            text = answer_of(one["prediction"]["text"], where, "predictions.prediction.text")
            yield Prediction(where, question=str(row["question"]), answer=text, variant=f"top_k {one['top_k']}")


FORMS: Sequence[Form] = (
    Form("samples of lm-evaluation-harness", _is_lm_eval, _lm_eval),
    Form("a log of inspect", _is_inspect, _inspect),
    Form("FlashRAG's intermediate data", _is_flashrag, _flashrag),
    Form("a batch of OpenAI's", _is_batch, _batch),
    Form("answers of DPR's reader", _is_dpr_reader, _dpr_reader),
)
"""The forms of this module, the most telling first."""
