"""What a run costs: once for its passages, and again for each question; and when the first pays for itself.

Offline: encoding or compressing the passages and keeping the result. Online: retrieving, compressing, the prompt up to
the first token, and the tokens after it. Seconds are those of the records, without the first batch of each session,
which warms caches up; operations follow from the model's shape (`flops`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from clara_bench.analysis.flops import Shape, from_scratch
from clara_bench.records.manifest import Manifest
from clara_bench.records.results import Run
from clara_bench.types import FAILURES, Example, IndexStats, Record, Usage

PHASES = ("retrieve", "compress", "prefill", "decode")
FRAME = 3
"""Positions around a passage and its memories, of our own latent compressors."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of the questions."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Offline:
    """What was paid once for all passages."""

    passages: int
    tokens: int | None
    """Read by the encoder or compressor; None where nothing is encoded or the run does not say."""
    seconds: float | None
    """Of encoding; None where the run found it in the cache and does not say what it took."""
    bytes: int
    cached: bool
    """Whether the run itself read the index from the cache."""
    peak_memory: int | None
    peak_accelerator: int | None


@dataclass(frozen=True, slots=True)
class Online:
    """What is paid for each question."""

    questions: int
    warm_up: int
    """Questions left out, of the first batch of each session."""
    phases: Mapping[str, Spread]
    first_token: Spread | None
    """Retrieving, compressing and reading the prompt together."""
    total: Spread | None
    mean: float | None
    """Seconds of a question, on average."""
    batch: int
    threads: int | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """What is left of the text, in all spellings."""

    nominal: float | None
    fold: float
    """Tokens of text per position."""
    kept: float
    removed: float
    positions_per_passage: float | None
    stored_vectors: int | None
    """Of all passages, at most."""
    source_tokens: int | None


@dataclass(frozen=True, slots=True)
class Operations:
    """Floating-point operations: of a passage once, of a question on average."""

    passage: float | None
    """Of compressing a passage ahead, or of encoding it for a dense retriever; None where neither is known."""
    retrieve: float | None
    """Of the reasoner or the encoder that reads the question; None where another retriever searches."""
    prefill: float
    decode: float

    @property
    def question(self) -> float:
        """All that a question takes."""
        return (self.retrieve or 0.0) + self.prefill + self.decode


@dataclass(frozen=True, slots=True)
class Costs:
    """Everything that is known of what a run costs."""

    run: Run
    name: str
    """Its label, with the ratio asked and the one reached."""
    offline: Offline
    online: Online
    ratio: Ratio | None
    operations: Operations | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When compressing passages ahead is cheaper than reading their text."""

    text: str
    compressed: str
    unit: str
    """seconds or operations."""
    passage: float | None
    """Of compressing one; None where it is not known."""
    saved: float
    """Of each question."""
    questions: float | None
    """For each passage; None where a question saves nothing, or compressing is not known."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """The model of a dense retriever."""

    shape: Shape
    count: Callable[[str], int]
    """Tokens of a text, with those that begin and end it."""


def costs(run: Run, shape: Shape | None = None, encoder: Encoder | None = None) -> Costs:
    """What a run costs.

    Args:
        run: the run.
        shape: of its model, where the manifest does not tell it.
        encoder: of its retriever, where that is `dense`.

    Raises:
        BenchError: its files cannot be read.
    """
    examples, records = run.answered()
    answered = [record for record in records if record.answer.status not in FAILURES]
    ratio = _ratio(run.manifest, answered)
    known = from_scratch(_backbone(run.manifest["models"])) or shape
    return Costs(
        run,
        _name(run.manifest, ratio),
        _offline(run.manifest),
        _online(run.manifest, records),
        ratio,
        None
        if known is None or not answered
        else _with_encoder(_operations(run.manifest, answered, known), run, encoder, examples),
    )


def _backbone(models: Mapping[str, Any]) -> str:
    """What a manifest calls the backbone of the system, or of its reader."""
    reader = models.get("reader")
    return str(models.get("backbone") or (reader.get("backbone") if isinstance(reader, Mapping) else "") or "")


def _name(manifest: Manifest, ratio: Ratio | None) -> str:
    label = manifest["system"]["label"]
    if ratio is None or ratio.nominal is None:
        return label
    return f"{label} ({ratio.nominal:g}x nominal, {ratio.fold:.1f}x measured)"


def _offline(manifest: Manifest) -> Offline:
    sessions = manifest["sessions"]
    stats: list[Any] = [session["index"] for session in sessions]
    told = [_stats(one) for one in stats] or [IndexStats(0, 0.0, 0)]
    last = told[-1]
    fresh = next((one for one in told if not one.cached and one.passages == last.passages), None)
    seconds = next((one.encoding_seconds for one in told if one.encoding_seconds is not None), None)
    if seconds is None and fresh is not None and (fresh.encoded_tokens or manifest["traits"].get("offline")):
        seconds = fresh.seconds
    memory = [session["peak_memory_bytes"] for session in sessions if "peak_memory_bytes" in session]
    devices = [session["peak_accelerator_bytes"] for session in sessions if "peak_accelerator_bytes" in session]
    return Offline(
        passages=last.passages,
        tokens=last.encoded_tokens or None,
        seconds=seconds,
        bytes=last.bytes,
        cached=all(one.cached for one in told),
        peak_memory=max(memory, default=None),
        peak_accelerator=max(devices, default=None),
    )


def _stats(said: Any) -> IndexStats:
    """An index's cost as a manifest holds it."""
    return said if isinstance(said, IndexStats) else IndexStats(**said)


def _online(manifest: Manifest, records: Sequence[Record]) -> Online:
    warm = _warm(manifest, records)
    counted = [record for record in warm if record.answer.status not in FAILURES]
    seconds = [record.answer.usage.seconds for record in counted]
    whole = [record.seconds for record in counted if record.seconds is not None]
    first = [sum(one.get(phase, 0.0) for phase in PHASES[:3]) for one in seconds if "prefill" in one]
    threads = [session["threads"] for session in manifest["sessions"] if "threads" in session]
    return Online(
        questions=len(counted),
        warm_up=len(records) - len(warm),
        phases={
            phase: found for phase in PHASES if (found := _spread([one[phase] for one in seconds if phase in one]))
        },
        first_token=_spread(first),
        total=_spread(whole),
        mean=fmean(whole) if whole else None,
        batch=manifest["request"]["batch"],
        threads=threads[-1] if threads else None,
    )


def _warm(manifest: Manifest, records: Sequence[Record]) -> list[Record]:
    """The records without the first batch of each session, as far as sessions account for all of them."""
    counts, batch = [session["questions"] for session in manifest["sessions"]], manifest["request"]["batch"]
    starts = [sum(counts[:place]) for place in range(len(counts))] if sum(counts) == len(records) else [0]
    left_out = {place for start in starts for place in range(start, start + batch)}
    kept = [record for place, record in enumerate(records) if place not in left_out]
    return kept or list(records)


def _spread(values: Sequence[float]) -> Spread | None:
    import numpy as np

    return Spread(*(float(one) for one in np.percentile(values, [50, 95]))) if len(values) else None


def _ratio(manifest: Manifest, records: Sequence[Record]) -> Ratio | None:
    usages = [record.answer.usage for record in records]
    text, positions = (sum(getattr(u, name) for u in usages) for name in ("context_text_tokens", "context_positions"))
    if not text or not positions:
        return None
    slots, stats = manifest["models"].get("slots"), _stats(manifest["sessions"][-1]["index"])
    read = _passages_read(manifest, records)
    return Ratio(
        nominal=manifest["traits"].get("nominal_ratio"),
        fold=text / positions,
        kept=positions / text,
        removed=1 - positions / text,
        positions_per_passage=positions / read if read else None,
        stored_vectors=stats.passages * slots if isinstance(slots, int) else None,
        source_tokens=stats.encoded_tokens or None,
    )


def _with_encoder(found: Operations, run: Run, encoder: Encoder | None, examples: Sequence[Example]) -> Operations:
    """The operations with those of a dense retriever, which encodes every passage once and each question."""
    retriever = run.manifest["system"]["options"].get("retriever")
    if encoder is None or not isinstance(retriever, Mapping) or retriever.get("name") != "dense":
        return found
    stats = _stats(run.manifest["sessions"][-1]["index"])
    passage = encoder.shape.forward(stats.encoded_tokens / stats.passages, logits=0) if stats.encoded_tokens else None
    longest = run.manifest["models"].get("retriever", {}).get("max_seq") or float("inf")
    asked = [min(longest, encoder.count(example.question.text)) for example in examples]
    retrieve = fmean(encoder.shape.forward(tokens, logits=0) for tokens in asked)
    return replace(
        found, passage=passage if found.passage is None else found.passage + (passage or 0.0), retrieve=retrieve
    )


def _passages_read(manifest: Manifest, records: Sequence[Record]) -> int:
    k = manifest["system"]["options"].get("k")
    counts = (len(record.answer.retrieved or ()) for record in records)
    return sum(min(count, k) if isinstance(k, int) else count for count in counts)


def _operations(manifest: Manifest, records: Sequence[Record], shape: Shape) -> Operations:
    usages = [record.answer.usage for record in records]
    slots = manifest["models"].get("slots")
    memories = slots + FRAME if isinstance(slots, int) else 0 if _reads_ahead(manifest) else None
    asked = fmean(usage.prompt_tokens - usage.context_positions for usage in usages)
    length = _passage_tokens(manifest, records)
    searches = manifest["system"]["options"].get("retriever") is None and manifest["setting"] != "closed"
    return Operations(
        passage=None if memories is None or length is None else shape.forward(length + memories, logits=0),
        retrieve=None if memories is None or not searches else shape.forward(asked + memories, logits=0),
        prefill=fmean(_prefill(manifest, usage, shape) for usage in usages),
        decode=fmean(shape.decode(usage.prompt_tokens, usage.generated_tokens + 1) for usage in usages),  # and the end
    )


def _reads_ahead(manifest: Manifest) -> bool:
    """Whether the backbone has read the passages, as keys and values, before the question."""
    system = manifest["system"]
    return system["name"] == "kv" and system["options"].get("encode") == "alone"


def _prefill(manifest: Manifest, usage: Usage, shape: Shape) -> float:
    """Operations up to the first token; passages that `kv` reads together are read whole, then thinned."""
    asked = usage.prompt_tokens - usage.context_positions
    if _reads_ahead(manifest):
        return shape.forward(asked, usage.context_positions)
    return shape.forward(
        asked + usage.context_text_tokens if manifest["system"]["name"] == "kv" else usage.prompt_tokens
    )


def _passage_tokens(manifest: Manifest, records: Sequence[Record]) -> float | None:
    """Tokens of a passage: of those encoded where the run says so, else of those read."""
    stats = _stats(manifest["sessions"][-1]["index"])
    if stats.encoded_tokens and stats.passages:
        return stats.encoded_tokens / stats.passages
    read = _passages_read(manifest, records)
    return sum(record.answer.usage.context_text_tokens for record in records) / read if read else None


def break_even(text: Costs, compressed: Costs) -> list[BreakEven]:
    """Questions a passage from which on compressing ahead is cheaper than reading text, in seconds and operations."""
    found = []
    means = text.online.mean, compressed.online.mean
    if means[0] is not None and means[1] is not None:
        spent, count = compressed.offline.seconds, compressed.offline.passages
        each = None if spent is None or not count else spent / count
        found.append(_even(text.name, compressed.name, "seconds", each, means[0] - means[1]))
    ours, theirs = compressed.operations, text.operations
    if ours is not None and theirs is not None:
        saved = theirs.question - ours.question
        found.append(_even(text.name, compressed.name, "operations", ours.passage, saved))
    return found


def _even(text: str, compressed: str, unit: str, passage: float | None, saved: float) -> BreakEven:
    questions = passage / saved if passage is not None and saved > 0 else None
    return BreakEven(text, compressed, unit, passage, saved, questions)


def pairs(found: Sequence[Costs]) -> list[tuple[Costs, Costs]]:
    """Each run that compresses ahead with each over the same questions that reads text, in the same setting."""
    return [
        (text, one)
        for one in found
        for text in found
        if one.run.manifest["traits"].get("offline")
        and not text.run.manifest["traits"].get("compressor")
        and text.run.manifest["setting"] == one.run.manifest["setting"]
        and text.run.manifest["questions"]["hash"] == one.run.manifest["questions"]["hash"]
    ]
