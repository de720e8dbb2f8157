"""The single answers of a run for Every Eval Ever, schema 0.3.0 of instance-level data: one JSON line a question."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from clara_bench.exchange.every_eval import SCHEMA_VERSION
from clara_bench.exchange.tables import rows
from clara_bench.metrics.metric import failed
from clara_bench.records.results import Run
from clara_bench.reporting.scoring import in_order
from clara_bench.types import Example, Record


def lines(run: Run, record: Mapping[str, Any]) -> bytes:
    """A line for each question that counts: its answer, its value of the main metric, and whether it is an exact match.

    Args:
        run: the run.
        record: of the whole run, which the lines refer to.
    """
    main = run.manifest["task"]["main_metric"]
    examples, records = run.answered()
    values = rows(run, tuple(dict.fromkeys((main, "em"))))
    head = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": record["evaluation_id"],
        "model_id": record["model_info"]["id"],
        "evaluation_name": run.manifest["task"]["name"],
        "evaluation_result_id": f"{record['evaluation_id']}/{main}",
    }
    found = zip(examples, in_order(examples, records), values, strict=True)
    scored = [(example, answer, row) for example, answer, row in found if row.get(main) is not None]
    made = ({**head, **_sample(example, answer), **_judged(row, main)} for example, answer, row in scored)
    return b"".join(msgspec.json.encode(one) + b"\n" for one in made)


def _judged(row: Mapping[str, Any], main: str) -> dict[str, Any]:
    return {"evaluation": {"score": row[main], "is_correct": row.get("em") == 1.0}}


def _sample(example: Example, record: Record | None) -> dict[str, Any]:
    said = "" if record is None or failed(record) else record.answer.text
    reference = list(example.gold.answers)
    hashed = hashlib.sha256((example.question.text + "".join(reference)).encode()).hexdigest()
    how = {"turn_idx": 0, "source": "output.raw", "extraction_method": "custom", "is_terminal": True}
    return {
        "sample_id": example.question.id,
        "sample_hash": hashed,
        "interaction_type": "single_turn",
        "input": {"raw": example.question.text, "reference": reference},
        "output": {"raw": [said]},
        "messages": None,
        "answer_attribution": [{**how, "extracted_value": said}],
        **_cost(record),
    }


def _cost(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"error": "not answered"}
    usage = record.answer.usage
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.generated_tokens}
    latency = None if record.seconds is None else {"latency_ms": 1000 * record.seconds}
    total = {"total_tokens": usage.prompt_tokens + usage.generated_tokens}
    return {"token_usage": {**tokens, **total}, "performance": latency, "error": record.answer.error}


def reference(record: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    """What the record of the whole run says of the file of lines: its place in the data base, and its checksum."""
    checksum = hashlib.sha256(content).hexdigest()
    places = (
        record["evaluation_results"][0]["evaluation_name"],
        record["source_metadata"]["source_organization_name"],
        record["model_info"]["id"],
    )
    folder = "/".join(re.sub(r"[^\w.-]+", "_", place) or "_" for place in places)
    name = uuid.UUID(bytes=bytes.fromhex(checksum)[:16], version=4)
    return {
        "format": "jsonl",
        "file_path": f"data/{folder}/{name}_samples.jsonl",
        "hash_algorithm": "sha256",
        "checksum": checksum,
        "total_rows": content.count(b"\n"),
    }
