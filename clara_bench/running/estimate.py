"""Estimates questions, tokens, time and cost of a run, without running it: nothing is built, fetched or sent.

Where the same system answered such questions before, its own tokens and seconds are the source; else tokens are
estimated from the passages, and time is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from clara_bench.components import registry
from clara_bench.compress.shared.spans import passage_text
from clara_bench.errors import BenchError
from clara_bench.read.counting import APPROXIMATE, Counter, counter, dollars
from clara_bench.records.results import Run, find_runs
from clara_bench.running.run_config import Request, check, control_of, controlled, label_of
from clara_bench.tasks import candidates
from clara_bench.tasks.candidates import select
from clara_bench.tasks.controls import ONE_GOLD, gold_as_given, refuse_control
from clara_bench.tasks.sources import TaskData
from clara_bench.types import Example

FRAME = 40
"""Tokens of instructions around the passages and the question, about."""
SAMPLE = 200
"""Passages of a corpus that are sampled for its mean length."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one run would be."""

    task: str
    setting: str
    label: str
    questions: int
    prompt_tokens: float
    seconds: float | None
    """None where the system was never run like this."""
    usd: float | None
    """None where no price is given."""
    source: str
    """What the numbers are from, in words."""
    measured_in: str = ""
    """The earlier run that they are from, if they are from one."""


def estimate(request: Request, data: TaskData, earlier: Sequence[Run]) -> Estimate:
    """What a run would be.

    Args:
        request: the run.
        data: the task's data.
        earlier: runs whose tokens and seconds may serve as the estimate.

    Raises:
        BenchError: the run is not possible.
    """
    check(request, data.task)
    request = controlled(request)
    asked = select(data, request.limit, request.seed, request.complete_gold, request.sampling)
    candidates.refuse_impossible(data, asked, request.setting)
    if (control := control_of(request)) is not None:
        refuse_control(control, data, asked, request.setting)
    alike = [run for run in earlier if _alike(run, request, data)]
    options = registry.effective_options("system", request.system)
    if alike:
        read, written, seconds = _measured(alike[-1])
        source, measured_in = f"tokens and seconds a question as in {alike[-1].path}", str(alike[-1].path)
    else:
        count = _counter(options)
        read, written, seconds = _from_passages(request, data, asked, options, count), _most_written(options), None
        whole = ", before compression" if options.get("compressor") else ""
        counted = "counted by the reader's tokenizer" if count.exact else count.name
        source, measured_in = f"Tokens are estimated from the passages{whole} ({counted}); time is not known.", ""
    number = len(asked)
    return Estimate(
        task=data.task.name,
        setting=request.setting,
        label=label_of(request),
        questions=number,
        prompt_tokens=read * number,
        seconds=None if seconds is None else seconds * number,
        usd=dollars(read * number, written * number, *(_reader(options).get(name) for name in _PRICES)),
        source=source,
        measured_in=measured_in,
    )


def earlier_runs(roots: Sequence[Path]) -> list[Run]:
    """Runs below folders; those that cannot be read, and folders without any, count for nothing here."""
    found: list[Run] = []
    for root in roots:
        try:
            found += find_runs(root, lambda _: None)
        except BenchError:
            continue
    return found


def _alike(run: Run, request: Request, data: TaskData) -> bool:
    """Whether a run had the same system, setting and kind of questions."""
    asked = run.manifest["request"]["system"]
    given = {"name": request.system.name, "options": dict(request.system.options)}
    kinds = [one["source"] for one in (run.manifest["data"]["provenance"], data.provenance)]
    same = (run.manifest["task"]["name"], run.manifest["setting"]) == (data.task.name, request.setting)
    same = same and run.manifest["request"].get("control") == request.control
    return same and dict(asked) == given and kinds[0] == kinds[1]


def _measured(run: Run) -> tuple[float, float, float | None]:
    """Means over the questions of a run: tokens read and written, and seconds."""
    records = run.records()
    usages = [record.answer.usage for record in records]
    seconds = [record.seconds for record in records if record.seconds is not None]
    read, written = (fmean([getattr(usage, name) for usage in usages] or [0]) for name in _TOKENS)
    return read, written, fmean(seconds) if seconds else None


_TOKENS = ("prompt_tokens", "generated_tokens")
_PRICES = ("input_price", "output_price")


def _reader(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of the reader, where the system has one."""
    reader = options.get("reader")
    return reader.get("options", {}) if isinstance(reader, Mapping) else {}


def _counter(options: Mapping[str, Any]) -> Counter:
    """Exact where the reader's model is a folder or file at hand: a dry run fetches nothing."""
    model = str(_reader(options).get("model") or "")
    return counter("", model) if model and Path(model).exists() else counter(APPROXIMATE, "")


def _from_passages(
    request: Request, data: TaskData, asked: Sequence[Example], options: Mapping[str, Any], count: Counter
) -> float:
    """Tokens of a prompt, on average: its passages, its question and what stands around them."""
    questions = count.count([example.question.text for example in asked])
    k = options.get("k")
    most = k if isinstance(k, int) and not isinstance(k, bool) else None
    return FRAME + fmean(questions) + _of_evidence(request, data, asked, most, count)


def _of_evidence(request: Request, data: TaskData, asked: Sequence[Example], most: int | None, count: Counter) -> float:
    if request.setting == "closed" or request.control == "empty":
        return 0.0
    if request.control in ONE_GOLD:
        return fmean(_of_some(count.count([passage_text(data.corpus[p]) for p in gold_as_given(e)]), 1) for e in asked)
    if request.setting in ("gold", "distractor"):
        gold = request.setting == "gold"
        offered = [sorted(e.gold.supporting) if gold else list(e.question.candidates or ()) for e in asked]
        used = dict.fromkeys(pid for ids in offered for pid in ids)
        lengths = dict(zip(used, count.count([passage_text(data.corpus[pid]) for pid in used]), strict=True))
        return fmean(_of_some([lengths[pid] for pid in ids], None if gold else most) for ids in offered)
    passages = list(data.corpus.values())
    sample = passages[:: max(1, len(passages) // SAMPLE)]
    number = min(most or request.first_stage.depth, len(passages))
    return number * fmean(count.count([passage_text(passage) for passage in sample]))


def _of_some(lengths: Sequence[int], most: int | None) -> float:
    """Tokens of at most so many passages of average length."""
    if not lengths:
        return 0.0
    return fmean(lengths) * min(len(lengths), len(lengths) if most is None else most)


def _most_written(options: Mapping[str, Any]) -> float:
    return float(_reader(options).get("max_new_tokens") or options.get("max_new_tokens") or 0)
