"""A run as a record of Every Eval Ever, schema 0.3.0: one JSON file with each metric, its interval and its settings.

The schema is https://github.com/evaleval/every_eval_ever, every_eval_ever/schemas/eval.schema.json; our tests validate
against the copy in the package every-eval-ever 0.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from clara_bench import __version__, metrics
from clara_bench.components import identity
from clara_bench.exchange.model import model_of, reader_of
from clara_bench.metrics import Metric
from clara_bench.metrics.plugin import is_judge
from clara_bench.metrics.statistics import Summary
from clara_bench.records.manifest import Manifest
from clara_bench.records.results import Run
from clara_bench.reporting.scoring import Scores

SCHEMA_VERSION = "0.3.0"

Relationship = Literal["first_party", "third_party", "collaborative", "other"]
UNITS = {"fraction": "proportion"}
SPLITS = {"dev": "val", "validation": "val", "train": "train", "test": "test"}


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Who made the run."""

    organization: str
    relationship: Relationship
    """To the developer of the model."""


def record(run: Run, scores: Scores, evaluator: Evaluator, now: int) -> dict[str, Any]:
    """The record of a run.

    Args:
        run: the run.
        scores: what it scored.
        evaluator: who made it.
        now: seconds since 1970.
    """
    manifest, model = run.manifest, model_of(run.manifest)
    task = manifest["task"]["name"]
    id = f"{task}/{model.replace('/', '_')}/{now}"
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": id,
        "retrieved_timestamp": str(now),
        "source_metadata": {
            "source_name": f"clara-bench run {run.path.name}",
            "source_type": "evaluation_run",
            "source_organization_name": evaluator.organization,
            "evaluator_relationship": evaluator.relationship,
        },
        "eval_library": {"name": "clara-bench", "version": _version(manifest)},
        "model_info": _model_info(manifest, model),
        "evaluation_results": [
            _result(id, manifest, metrics.get(name, scores.scorer), summary)
            for name, summary in scores.metrics.items()
            if summary.mean is not None
        ],
    }


def _version(manifest: Manifest) -> str:
    versions = [session["clara_bench"] for session in manifest["sessions"]]
    return versions[-1] if versions else __version__


def _model_info(manifest: Manifest, model: str) -> dict[str, Any]:
    system = manifest["system"]
    return {
        "name": model,
        "id": model,
        "additional_details": {
            "deployment_type": "unknown" if reader_of(manifest) == "openai" else "self_deployed",
            "model_availability": "unknown",
            **_texts({"system": system["name"], "label": system["label"], "options": system["options"]}),
            **_texts({name: value for name, value in manifest["traits"].items() if value not in (None, "")}),
        },
    }


def _result(id: str, manifest: Manifest, metric: Metric, summary: Summary) -> dict[str, Any]:
    return {
        "evaluation_result_id": f"{id}/{metric.name}",
        "evaluation_name": manifest["task"]["name"],
        "source_data": _source(manifest),
        "metric_config": _config(manifest, metric),
        "score_details": {
            "score": summary.mean,
            "details": _texts({"n": summary.n, "unscored": summary.unscored, "failed": summary.failed}),
            "uncertainty": {"num_samples": summary.n, **_interval(summary)},
        },
        "generation_config": {
            "additional_details": _texts({
                "setting": manifest["setting"],
                "control": manifest["request"].get("control") or "none",
                "candidates": manifest["candidates"],
                "seed": manifest["request"]["seed"],
            }),
        },
    }  # fmt: skip


def _interval(summary: Summary) -> dict[str, Any]:
    if summary.ci95 is None:
        return {}
    low, high = summary.ci95
    method = "clara-bench, docs/statistics.md"
    return {"confidence_interval": {"lower": low, "upper": high, "confidence_level": 0.95, "method": method}}


def _source(manifest: Manifest) -> dict[str, Any]:
    provenance, task = manifest["data"]["provenance"], manifest["task"]
    details = {"version": task["version"], "questions_hash": manifest["questions"]["hash"], "provenance": provenance}
    count = manifest["questions"]["count"]
    if provenance["source"] != "hub":
        told = _texts({**details, "questions": count, "split": manifest["request"]["source"]["split"]})
        return {"dataset_name": task["name"], "source_type": "other", "additional_details": told}
    split = str(provenance.get("split", ""))
    return {
        "dataset_name": task["name"],
        "source_type": "hf_dataset",
        "hf_repo": str(provenance.get("path", "")),
        "hf_split": SPLITS.get(split, split),
        "samples_number": count,
        "additional_details": _texts(details),
    }


def _config(manifest: Manifest, metric: Metric) -> dict[str, Any]:
    family, _, cutoff = metric.name.partition("@")
    parameters = {"answer_scorer": manifest["task"]["answer_scorer"], **({"k": int(cutoff)} if cutoff else {})}
    fraction = metric.unit == "fraction"
    return {
        "evaluation_description": metric.description,
        "metric_id": f"clara_bench.{metric.name}",
        "metric_name": metric.name,
        "metric_kind": family,
        "metric_unit": UNITS.get(metric.unit, metric.unit),
        "metric_parameters": parameters,
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
        "min_score": 0.0,
        "max_score": 1.0 if fraction else "Infinity",
        **_judged(metric),
    }


def _judged(metric: Metric) -> dict[str, Any]:
    """What a judge is and what it is asked, where it says so."""
    if metric.plugin is None or not is_judge(metric):
        return {}
    said: Mapping[str, Any] = identity.described(metric.plugin.instance)
    model = str(said.get("judged_by", {}).get("model", metric.name))
    info = {"deployment_type": "unknown", "model_availability": "unknown"}
    judge = {"model_info": {"name": model, "id": model, "additional_details": info}}
    return {"llm_scoring": {"judges": [judge], "input_prompt": str(said.get("message", ""))}}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text, as the schema wants all details."""
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()
        for name, value in values.items()
    }
