"""A run as an entry of `.eval_results/*.yaml`, which the Hugging Face hub shows on a model's page.

The format is https://huggingface.co/docs/hub/eval-results. The hub publishes no schema of it and checks files when
they are pushed; entries are made by huggingface_hub's own classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from clara_bench.errors import ConfigError, MissingDependency
from clara_bench.records.results import Run
from clara_bench.reporting.scoring import Scores


@dataclass(frozen=True, slots=True)
class Place:
    """Where a result belongs on the hub."""

    dataset: str = ""
    """Id of the benchmark's data set; "" for the one that the run's data came from."""
    task: str = "default"
    """Of the data set's eval.yaml."""
    source_url: str = ""
    """Of a page about the run."""


def text(run: Run, scores: Scores, place: Place) -> str:
    """The YAML of a run: its main metric in percent, and in the notes what it is.

    Raises:
        ConfigError: the data did not come from the hub, and no data set is named; the main metric has no value.
        MissingDependency: huggingface_hub is not installed, or too old.
    """
    try:
        import yaml
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError as error:
        raise MissingDependency("the format hf", "huggingface_hub 1.5 or later", "hub") from error
    provenance, name = run.manifest["data"]["provenance"], run.manifest["task"]["main_metric"]
    on_hub = provenance["source"] == "hub"
    dataset = place.dataset or (str(provenance.get("path", "")) if on_hub else "")
    if not dataset:
        raise ConfigError(
            f"{run.path}: its data did not come from the hub. Name the benchmark's data set: --dataset ID"
        )
    summary = scores.metrics.get(name)
    if summary is None or summary.mean is None:
        raise ConfigError(f"{run.path}: its main metric {name} has no value, and an entry has one value")
    entry = EvalResultEntry(
        dataset_id=dataset,
        task_id=place.task,
        value=round(100 * summary.mean, 6),
        dataset_revision=provenance.get("revision") if on_hub and not place.dataset else None,
        source_url=place.source_url or None,
        notes=_notes(run, name, summary.n),
    )
    return str(yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=1000))


def _notes(run: Run, metric: str, questions: int) -> str:
    manifest = run.manifest
    told = [f"{metric} in %", f"{questions} questions", f"setting {manifest['setting']}", manifest["system"]["label"]]
    return ", ".join(told)
