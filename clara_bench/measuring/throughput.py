"""Questions a second at each batch size, and the operations that torch counts in each part of a system.

All batch sizes answer the same questions. One batch is answered before the clock starts (models load, caches fill), and
the device has finished when the clock is read. Nothing is recorded: answers are counted, not scored.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from clara_bench.components.registry import plugin_errors
from clara_bench.errors import BackendError, MissingDependency
from clara_bench.running import run_identity
from clara_bench.running.answering import answer_batch
from clara_bench.running.run_config import Request, check, control_of, controlled
from clara_bench.tasks.candidates import freeze, select
from clara_bench.tasks.sources import TaskData
from clara_bench.types import FAILURES, Question, System

PARTS = {"retriever": "retrieve", "compressor": "compress", "reader": "read"}
"""Components that a system may have, and the method by which each works; all else is the system's own."""
OWN = "own"


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a system is with so many questions at once."""

    batch: int
    questions: int
    """That were timed."""
    failed: int
    seconds: float
    """For all of them."""
    generated: int
    """Tokens that were written."""

    @property
    def rate(self) -> float:
        """Questions a second; those that failed do not count."""
        return (self.questions - self.failed) / self.seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """A system on a task."""

    speeds: tuple[Speed, ...]
    operations: Mapping[str, float]
    """Of a question on average, by part; {} where they were not counted."""
    threads: int | None
    device: str


Advance = Callable[[int], None]


def measure(
    request: Request, data: TaskData, batches: Sequence[int], operations: bool, advance: Advance = lambda _: None
) -> Measured:
    """Time a system at each batch size.

    Args:
        request: the system, the task and which questions; its own batch size is not used.
        data: the task's data.
        batches: questions handed over at once.
        operations: count operations too, over questions asked one by one; needs torch.
        advance: told of questions as they are answered.

    Raises:
        BenchError: the run is not possible, every question failed, or one whose operations are counted did.
    """
    check(request, data.task)
    request = controlled(request)
    made = run_identity.prepare(request, data)
    asked = select(data, request.limit, request.seed, request.complete_gold, request.sampling)
    frozen = freeze(data, asked, request.setting, request.first_stage, made.first_stage, control_of(request))
    system: System = made.system.instance
    with plugin_errors(f"system '{request.system.name}' cannot index"):
        system.index(frozen.corpus)
    questions = [example.question for example in frozen.examples]
    speeds = tuple(_timed(system, questions, batch, advance) for batch in batches)
    counted = _operations(system, questions, advance) if operations else {}
    torch = sys.modules.get("torch")
    return Measured(speeds, counted, torch.get_num_threads() if torch else None, _device(torch))


def _timed(system: System, questions: Sequence[Question], batch: int, advance: Advance) -> Speed:
    answer_batch(system, questions[:batch])
    _synchronise()
    failed = generated = 0
    start = time.perf_counter()
    for place in range(0, len(questions), batch):
        answers = answer_batch(system, questions[place : place + batch])
        failed += sum(answer.status in FAILURES for answer in answers)
        generated += sum(answer.usage.generated_tokens for answer in answers)
        advance(len(answers))
    _synchronise()
    seconds = time.perf_counter() - start
    if failed == len(questions):
        raise BackendError(f"all {failed} questions failed, the last with: {answers[-1].error}. Run the system first")
    return Speed(batch, len(questions), failed, seconds, generated)


def _synchronise() -> None:
    """Wait until the device has done what it was given."""
    accelerator = _accelerator(sys.modules.get("torch"))
    if accelerator is not None:
        accelerator.synchronize()


def _accelerator(torch: Any) -> Any:
    found = getattr(torch, "accelerator", None)  # since torch 2.6
    return found if found is not None and found.is_available() else None


def _device(torch: Any) -> str:
    accelerator = _accelerator(torch)
    return "cpu" if accelerator is None else str(accelerator.current_accelerator())


def _operations(system: System, questions: Sequence[Question], advance: Advance) -> dict[str, float]:
    """Operations of a question by part, as torch counts them: matrix products and attention, padding included."""
    counter = _counter()
    found: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        for part, method in PARTS.items():
            if (component := getattr(system, part, None)) is not None:
                stack.enter_context(_counting(component, method, found, counter))
        whole = stack.enter_context(counter())
        for question in questions:
            [answer] = answer_batch(system, [question])
            if answer.status in FAILURES:
                raise BackendError(f"question '{question.id}' failed while operations were counted: {answer.error}")
            advance(1)
    found[OWN] = whole.get_total_flops() - sum(found.values())
    return {name: value / len(questions) for name, value in found.items()}


def _counter() -> Callable[[], Any]:
    """Torch's counter, told to count attention also where a CPU computes it in one kernel."""
    try:
        import torch
        from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
    except ModuleNotFoundError as error:
        raise MissingDependency("counting operations", str(error.name), "hf") from error

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
        return operations

    missing = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    return partial(FlopCounterMode, display=False, custom_mapping=missing)


@contextlib.contextmanager
def _counting(component: Any, method: str, found: dict[str, int], counter: Callable[[], Any]) -> Iterator[None]:
    """In the block a component's method adds its operations to `found`."""
    work = getattr(component, method)

    def counted(*given: Any) -> Any:
        with counter() as inside:
            said = work(*given)
        found[method] = found.get(method, 0) + inside.get_total_flops()
        return said

    setattr(component, method, counted)
    try:
        yield
    finally:
        delattr(component, method)
