"""Training of a token classifier on labelled words, for `llmlingua2-style`.

OUT/config.json, model.safetensors, tokenizer files    as transformers saves them
OUT/training.json                                      settings, data, labels, and how it does on held-out passages
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clara_bench.compress.shared.budget import budget
from clara_bench.compress.shared.spans import words
from clara_bench.compress.shared.token_classifier import TokenClassifier, mean_keep, window
from clara_bench.compress.shared.word_labels import Labelled, Split
from clara_bench.errors import ConfigError, MissingDependency
from clara_bench.io.cache import write_atomic
from clara_bench.io.quiet import without_bars
from clara_bench.read.models import Model, find, load_tokenizer, loading
from clara_bench.tokens import for_texts

try:
    import torch
    import transformers
except ModuleNotFoundError as error:
    raise MissingDependency("training a compressor", str(error.name), "hf") from error

LABELS = {0: "drop", 1: "keep"}
UNLABELLED = -100
"""Of special tokens and padding; cross-entropy leaves it out."""
ALIKE = 16
"""Batches that are sorted by length together, so that little is padded."""
RATES = (2.0, 4.0)
"""At which held-out passages are judged."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a classifier is trained."""

    body: str
    """Folder or hub id of an encoder with safetensors weights."""
    epochs: int = 3
    batch: int = 16
    """Passages per step."""
    learning_rate: float = 5e-5
    longest: int = 256
    """Maximum tokens of a passage; the rest is not used for training."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"learning rate {self.learning_rate}: expected a number above 0, at most 1")


def train(rows: Split, settings: Settings, out: Path, data: Mapping[str, Any], advance: Callable[[int], None]) -> Any:
    """Train, save and judge; what training.json holds. The same rows and settings give the same weights on one thread.

    Args:
        rows: to learn from, and held-out ones.
        settings: of training.
        out: folder to write to.
        data: where the rows are from, for training.json.
        advance: told of passages as they are learned from; `epochs` times `len(rows.train)` in all.

    Raises:
        BackendError: the body cannot be loaded.
    """
    body = find(settings.body)
    torch.manual_seed(settings.seed)
    tokenizer, model = _loaded(body)
    out.mkdir(parents=True, exist_ok=True)
    longest = window(tokenizer, model.config, settings.longest)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    steps = settings.epochs * -(-len(rows.train) // settings.batch)
    fading = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    model.train()
    for batch in _batches(rows.train, settings):
        loss = model(**_encoded(tokenizer, batch, longest)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        fading.step()
        advance(len(batch))
    model.eval()
    with without_bars():
        model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    report = {
        "settings": {**asdict(settings), "body": body.fingerprint},
        "data": data,
        "labels": counts(rows),
        "held_out": judge(rows.held_out, out),
    }
    write_atomic(out / "training.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    return report


def _loaded(body: Model) -> tuple[Any, Any]:
    spoken = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # that the head is new is what is wanted
    try:
        with loading(body, "an encoder"):
            model = transformers.AutoModelForTokenClassification.from_pretrained(
                body.folder, use_safetensors=True, id2label=LABELS, label2id={name: n for n, name in LABELS.items()}
            )
    finally:
        transformers.logging.set_verbosity(spoken)
    return load_tokenizer(body), model


def _batches(rows: Sequence[Labelled], settings: Settings) -> Iterator[Sequence[Labelled]]:
    """Batches of one epoch in random order; rows of similar length are batched together."""
    dice = random.Random(settings.seed)
    for _ in range(settings.epochs):
        order, batches = dice.sample(rows, len(rows)), []
        for start in range(0, len(order), ALIKE * settings.batch):
            alike = sorted(order[start : start + ALIKE * settings.batch], key=lambda row: len(row.text))
            batches += [alike[at : at + settings.batch] for at in range(0, len(alike), settings.batch)]
        yield from dice.sample(batches, len(batches))


def _encoded(tokenizer: Any, batch: Sequence[Labelled], longest: int) -> dict[str, torch.Tensor]:
    """Ids, mask and the label of each token (rows, tokens): that of the word in it, which a blank may precede."""
    texts = [row.text for row in batch]
    encoded = for_texts(tokenizer, *texts)(
        texts, truncation=True, max_length=longest, padding=True, return_offsets_mapping=True, return_tensors="pt"
    )
    places = encoded.pop("offset_mapping").tolist()
    labels = [_token_labels(row, place) for row, place in zip(batch, places, strict=True)]
    return {**encoded, "labels": torch.tensor(labels)}


def _token_labels(row: Labelled, places: Sequence[Sequence[int]]) -> list[int]:
    of = [UNLABELLED] * len(row.text)
    for (start, end), kept in zip(words(row.text), row.kept, strict=True):
        of[start:end] = [int(kept)] * (end - start)
    return [next((label for label in of[start:end] if label != UNLABELLED), UNLABELLED) for start, end in places]


def counts(rows: Split) -> dict[str, float]:
    """How many passages and words there are, and the share of words that should stay."""
    kept = [kept for row in (*rows.train, *rows.held_out) for kept in row.kept]
    return {
        "passages": len(rows.train),
        "held_out_passages": len(rows.held_out),
        "words": len(kept),
        "share_kept": round(sum(kept) / len(kept), 4),
    }


def judge(rows: Sequence[Labelled], folder: Path) -> dict[str, float]:
    """The share of labelled words kept at each rate: by the classifier, by truncation, at random."""
    judged = TokenClassifier(str(folder), "keep", False, "cpu").judge([row.text for row in rows])
    scores = [mean_keep(tokens, words(row.text)) for row, tokens in zip(rows, judged, strict=True)]
    places = [[-float(place) for place in range(len(row.kept))] for row in rows]
    found = {}
    for rate in RATES:
        found[f"classifier_at_{rate:g}x"] = _recall(rows, scores, rate)
        found[f"first_words_at_{rate:g}x"] = _recall(rows, places, rate)
        found[f"chance_at_{rate:g}x"] = round(1 / rate, 4)
    return found


def _recall(rows: Sequence[Labelled], scores: Sequence[Sequence[float]], rate: float) -> float:
    stayed = wanted = 0
    for row, score in zip(rows, scores, strict=True):
        best = sorted(range(len(row.kept)), key=lambda place: -score[place])[: budget(len(row.kept), rate)]
        stayed, wanted = stayed + sum(row.kept[place] for place in best), wanted + sum(row.kept)
    return round(stayed / wanted, 4) if wanted else 0.0
