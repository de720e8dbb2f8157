"""Reading speed with SmolLM2-135M, compared with the library's own generate, one question at a time.

Run as a script it prints the numbers; `make perf` puts them into its table.
"""

from __future__ import annotations

import time

import torch

from clara_bench.read.hf import HFReader
from clara_bench.types import Question

QUESTIONS = 8
PASSAGES = 5
WORDS = "river bridge founded city painter novel written by the in of 1912 north theatre born company".split()


def measure() -> dict[str, float]:
    """Tokens and seconds of questions with five passages of about 100 words, and the ratio to `generate`."""
    reader = HFReader(HFReader.Options(max_new_tokens=16))
    questions = [Question(str(i), f"Who founded the theatre of city {i}?") for i in range(QUESTIONS)]
    contexts = [tuple(_passage(i * PASSAGES + j) for j in range(PASSAGES)) for i in range(QUESTIONS)]
    reader.read(questions[:1], [()])  # loads the model
    start = time.perf_counter()
    readings = reader.read(questions, contexts)
    took = time.perf_counter() - start
    prefill = sum(reading.usage.seconds["prefill"] for reading in readings)
    return {
        "prefill_tokens_per_second": sum(reading.usage.prompt_tokens for reading in readings) / prefill,
        "reading_seconds_per_question": took / QUESTIONS,
        "reading_over_generate": took / QUESTIONS / _generate_seconds(reader, questions, contexts),
    }


def _passage(seed: int) -> str:
    return f"Title {seed}\n" + " ".join(WORDS[(seed * 7 + i * i) % len(WORDS)] for i in range(100 + seed % 20))


def _generate_seconds(reader: HFReader, questions: list[Question], contexts: list[tuple[str, ...]]) -> float:
    """Seconds per question of `model.generate` on the same prompts, one by one, for the first four."""
    model, tokenizer = reader.weights, reader.tokenizer
    prompts = [reader.render(*pair).ids for pair in zip(questions[:4], contexts[:4], strict=True)]
    start = time.perf_counter()
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False)
        tokenizer.decode(out[0, len(prompt) :])
    return (time.perf_counter() - start) / len(prompts)


if __name__ == "__main__":
    print(measure())
