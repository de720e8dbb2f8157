"""Equality of vLLM with transformers over the same prompts: answers, and log-probabilities of the first token.

    .venv-engines/bin/python -m benchmarks.engines text DATA CORPUS
    .venv-engines/bin/python -m benchmarks.engines memories DATA CORPUS --checkpoint FOLDER
    python -m benchmarks.engines checkpoint --checkpoint FOLDER

DATA and CORPUS are those of NQ with gold passages. `checkpoint` writes one to FOLDER whose memories need no training:
the means of two input embeddings, read by the reader that ships.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clara_bench.components.registry import Component
from clara_bench.conformance.engines import Transformers
from clara_bench.engines.reader import VLLMReader
from clara_bench.engines.vllm import VLLM
from clara_bench.read.generate import generate
from clara_bench.read.hf import HFReader
from clara_bench.tasks import definitions, sources
from clara_bench.types import Question
from reference.model import backbone
from reference.model.clara import Clara
from reference.settings.config import load
from reference.settings.shipped import adapter_folder, config_file
from reference.systems.answering import latent_prompt
from reference.systems.clara import ClaraSystem
from reference.systems.serving import document
from reference.weights import checkpoint
from reference.weights.adapter import as_checkpoint

ADAPTER = adapter_folder("reader")
TOP, NEW_TOKENS = 20, 32


class Asked(NamedTuple):
    """A question with its gold passages as text."""

    question: Question
    texts: tuple[str, ...]


def asked(data: str, corpus: str, limit: int) -> list[Asked]:
    """The first questions whose gold passages are there."""
    found = sources.load(definitions.load("nq"), sources.Source(data, corpus))
    whole = [one for one in found.examples if one.question.id not in found.missing_gold and one.gold.supporting]
    return [
        Asked(one.question, tuple(document(found.corpus[id]) for id in sorted(one.gold.supporting)))
        for one in whole[:limit]
    ]


def text(rows: Sequence[Asked]) -> None:
    """Prompts of text, as the readers `hf` and `vllm` send them."""
    options = {"adapter": str(ADAPTER), "max_new_tokens": NEW_TOKENS, "dtype": "float32"}
    ours, theirs = HFReader(HFReader.Options(**options)), VLLMReader(VLLMReader.Options(**options))
    prompts = [ours.render(row.question, row.texts).ids for row in rows]
    said = [generate(ours.weights, [prompt], ours.stop, NEW_TOKENS)[0].ids for prompt in prompts]
    shown(prompts, said, theirs.engine, Transformers(ours.weights))


def memories(rows: Sequence[Asked], folder: Path) -> None:
    """Prompts of memories, as the system `clara` sends them."""
    options = {"checkpoint": str(folder), "retriever": Component("given"), "engine": "vllm"}
    weights = ClaraSystem(ClaraSystem.Options(**options))._weights
    model, lengths = weights.model, {}
    for row in rows:
        lengths |= zip(row.texts, map(len, model.prompter.documents(row.texts)), strict=True)
    readings = [
        latent_prompt(weights, row.question.text, model.compress(row.texts), [lengths[one] for one in row.texts])
        for row in rows
    ]
    prompts = [weights.served.embedded(one.prompt, one.memories_SH).detach() for one in readings]
    said = [model.answer([one.prompt], [one.memories_SH], NEW_TOKENS)[0].ids for one in readings]
    shown(prompts, said, weights.served._engine, Transformers(model.role("generator").lm), model.prompter.ends)


def shown(prompts: Sequence[Any], said: Sequence[Any], engine: VLLM, here: Transformers, ends: Any = ()) -> None:
    """Print how far the engine is from transformers."""
    found = engine.continued(prompts, NEW_TOKENS, ends, logprobs=TOP)
    equal = sum(tuple(one) == other.ids for one, other in zip(said, found, strict=True))
    apart = [_apart(here, prompt, other.first) for prompt, other in zip(prompts, found, strict=True)]
    print(f"prompts: {len(prompts)}, of {min(map(len, prompts))} to {max(map(len, prompts))} positions")
    print(f"equal answers, token by token: {equal} of {len(prompts)}")
    print(f"largest difference of a log-probability of the first token, of the likeliest 5: {max(apart):.2e} nats")


def _apart(here: Transformers, prompt: Any, first: Any) -> float:
    expected = here.read_embeddings(prompt) if hasattr(prompt, "shape") else here.read_ids(prompt)
    best = sorted(expected, key=expected.__getitem__, reverse=True)[:5]
    return max(abs(expected[token] - first.get(token, float("inf"))) for token in best)


def write_checkpoint(folder: Path) -> None:
    """A compressor that does not learn, and the reader that ships as generator."""
    settings = load(config_file("real")).model
    start = as_checkpoint(ADAPTER, settings)
    settings = msgspec.structs.replace(settings, backbone=msgspec.structs.replace(settings.backbone, dtype="float32"))
    model = Clara(backbone.load(settings.backbone), settings, ["compressor", "generator"])
    checkpoint.restore(model, start, ["generator"], vectors=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, folder, {"stage": "untrained", "step": 0})
    print(f"{folder}: {msgspec.to_builtins(model.config.memory)}")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["text", "memories", "checkpoint"])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--limit", type=int, default=40)
    given = parser.parse_args()
    if given.part == "checkpoint":
        write_checkpoint(given.checkpoint)
    elif given.part == "text":
        text(asked(*given.files, given.limit))
    else:
        memories(asked(*given.files, given.limit), given.checkpoint)


if __name__ == "__main__":
    main()
