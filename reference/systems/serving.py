"""Shared parts of the systems: lazily loaded weights, memories by text, seconds by phase.

Shapes: H hidden, M memory slots.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import torch
from torch import Tensor

from clara_bench import ConfigError, DataError, Passage, Question, Ranked, Retriever
from clara_bench.components import checks
from clara_bench.engines.vllm import vllm_version
from clara_bench.io.cache import digest, file_digest
from clara_bench.read import models
from reference.memory.store import Store
from reference.model.clara import Clara
from reference.model.decoding import Generated, clock
from reference.model.prompts import Prompt, final
from reference.settings.shipped import checkpoint_folder
from reference.weights import checkpoint
from reference.weights.manifest import read_manifest

if TYPE_CHECKING:
    from reference.systems.engine import ServedGenerator

Engine = Literal["transformers", "vllm"]
"""What runs a generator."""
Estimator = Literal[
    "straight-through", "gumbel", "soft", "reinforce", "gates", "gumbel-mask", "posterior", "supervised"
]


def document(passage: Passage) -> str:
    r"""A passage as it is compressed, stored and read.

    >>> document(Passage("p1", "Oslo", "The capital of Norway."))
    'Oslo\nThe capital of Norway.'
    """
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def text_of(corpus: Mapping[str, Passage], passage_id: str) -> str:
    """A passage as it is compressed or read.

    Raises:
        DataError: the corpus has no such passage.
    """
    if passage_id not in corpus:
        raise DataError(f"passage '{passage_id}' is asked for and not in the corpus")
    return document(corpus[passage_id])


def retrieved(
    retriever: Retriever, questions: Sequence[Question], k: int, corpus: Mapping[str, Passage]
) -> Sequence[Sequence[Ranked]]:
    """A retriever's checked rankings, at most k long.

    Raises:
        ConfigError: it returned something else.
    """
    who = f"retriever '{type(retriever).__name__}'"
    return checks.rankings(retriever.retrieve(questions, k), questions, k, corpus, who)


def at_least_one(options: Any, *names: str) -> None:
    """Refuse options below 1.

    Raises:
        ValueError: one is; it is named.
    """
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")


class Weights:
    """A checkpoint, loaded at first use; or a model that is loaded already."""

    def __init__(
        self,
        name: str,
        roles: Sequence[str],
        device: str = "auto",
        model: Clara | None = None,
        engine: Engine = "transformers",
    ) -> None:
        """Read the checkpoint's manifest.

        Args:
            name: folder, or the short name of one that ships.
            roles: what will be used of it.
            device: a torch device; auto: the GPU if there is one.
            model: used instead of the checkpoint's.
            engine: what the generator runs in.

        Raises:
            ConfigError: no such checkpoint, or it lacks a role.
        """
        self.roles, self._device, self._given, self._engine = tuple(roles), device, model, engine
        if model is not None:
            self.config = model.config
            return
        self.folder = checkpoint_folder(name)
        self.manifest = read_manifest(self.folder)
        self.config = self.manifest.model
        missing = [role for role in roles if role not in self.manifest.roles]
        if missing:
            hint = ", or choose a retriever" if missing == ["reasoner"] else ""
            raise ConfigError(
                f"{self.folder}: has no role '{missing[0]}', only {', '.join(self.manifest.roles)}. "
                f"Train that stage first{hint}"
            )

    def require(self, rate: int | None, estimator: Estimator | None) -> None:
        """Refuse a checkpoint that is not what was asked for.

        Raises:
            ConfigError: it has another rate, or was trained by another estimator.
        """
        found = self.config.memory.rate
        if rate not in (None, found):
            raise ConfigError(f"{self.folder}: trained at compression rate {found}, {rate} is asked for")
        if estimator not in (None, self.estimator):
            trained = f"by '{self.estimator}'" if self.estimator else "for another stage than choosing documents"
            raise ConfigError(f"{self.folder}: trained {trained}, estimator '{estimator}' is asked for")

    @cached_property
    def model(self) -> Clara:
        """The model, on its device."""
        if self._given is not None:
            return self._given
        return checkpoint.load(self.folder, self.roles).to(self.device)

    def generated(self, prompts: Sequence[Prompt], memories: Sequence[Tensor], most: int) -> list[Generated]:
        """What the generator says to prompts, in `most` tokens at most."""
        answer = self.model.answer if self._engine == "transformers" else self.served.answer
        return answer(prompts, memories, most)

    @cached_property
    def served(self) -> ServedGenerator:
        """The generator in vLLM, started when first needed."""
        from reference.systems.engine import ServedGenerator

        return ServedGenerator(self.model)

    def prepare(self) -> None:
        """Load the model, and start the engine, now."""
        _ = self.model if self._engine == "transformers" else self.served

    @property
    def device(self) -> torch.device:
        """Where the model is, or will be."""
        return self._given.device if self._given is not None else models.device(self._device)

    @property
    def window(self) -> int | None:
        """Longest prompt, in positions, if the backbone has a limit."""
        return getattr(self.model.backbone.config.get_text_config(), "max_position_embeddings", None)

    @cached_property
    def between(self) -> int:
        """Tokens that follow each passage of a prompt of text."""
        ask = self.model.prompter.question_prompt
        return len(ask("", [[0], [0]])) - len(ask("", [[0]])) - 1

    @property
    def training(self) -> Mapping[str, Any]:
        """The training history, as far as the checkpoint records it."""
        return self.manifest.training if self._given is None else {}

    @property
    def origin(self) -> Literal["ours", "official, unverified"]:
        """The origin of the weights; imported ones have not been verified against their authors' numbers."""
        return "official, unverified" if "imported" in self.training else "ours"

    @property
    def method(self) -> str:
        """The method of imported weights; "" if unknown."""
        return str(self.training.get("imported", {}).get("method", ""))

    def answer(self, said: str) -> str:
        """The answer within the output: our weights may put reasoning first, published weights never do."""
        return final(said) if self.origin == "ours" else said

    @property
    def estimator(self) -> str:
        """The estimator that trained the reasoner's selection; "" if none did."""
        settings = self.training.get("settings", {})
        stage = str(settings.get("stage", ""))
        if stage == "joint":
            return str(settings.get("selection", {}).get("estimator", "straight-through"))
        return stage if stage in ("supervised", "reinforce") else ""

    @property
    def backbone(self) -> str:
        """The backbone's name, short enough for a table; layers and width if it was trained from scratch."""
        chosen = self.config.backbone
        if chosen.model or chosen.scratch is None:
            return chosen.model.rstrip("/").rsplit("/", 1)[-1]
        return f"scratch-{chosen.scratch.layers}x{chosen.scratch.hidden_size}"

    def describe(self) -> dict[str, Any]:
        """Everything that affects the answers, and the training history."""
        said = {"model": self.backbone, "dtype": self.config.backbone.dtype, "device": str(self.device)}
        said |= {"engine": f"vllm {vllm_version()}"} if self._engine == "vllm" else {}
        if self._given is not None:
            return said
        used = {f"{name}.safetensors" for name in (*self.roles, "memory", "backbone")}
        files = [(name, sha256) for name, sha256 in sorted(self.manifest.sha256.items()) if name in used]
        tokenizer = sorted((self.folder / "tokenizer").glob("*"))
        trained = {key: self.training[key] for key in ("stage", "step") if key in self.training}
        return {
            **said,
            "backbone": self.manifest.backbone,
            "fingerprint": f"sha256:{digest(text for file in files for text in file)}",
            "estimator": self.estimator,
            "settings": digest([msgspec.json.encode(self.config, order="deterministic")]),
            "tokenizer": digest(text for file in tokenizer for text in (file.name, file_digest(file))),
            **trained,
        }


class Phases:
    """Seconds by phase, split evenly among the questions of a batch."""

    def __init__(self, questions: int, device: torch.device) -> None:
        self._questions, self._device = questions, device
        self._seconds = {"retrieve": 0.0, "compress": 0.0}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to a phase."""
        start = clock(self._device)
        yield
        self._seconds[name] += clock(self._device) - start

    @property
    def shares(self) -> dict[str, float]:
        """Each question's seconds."""
        return {name: seconds / self._questions for name, seconds in self._seconds.items()}


class Remembered:
    """Memories of passages by their text, from the store or compressed now, once per batch of questions."""

    def __init__(self, model: Clara, store: Store | None, phases: Phases) -> None:
        self._model, self._store, self._phases = model, store, phases
        self._held: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        """One (M, H) memory per text, on the model's device."""
        new = list(dict.fromkeys(text for text in texts if text not in self._held))
        if new and self._store is not None:
            with self._phases("retrieve"):
                found = self._store.get(new, torch.float32)
                self._held |= zip(new, (memory_MH.to(self._model.device) for memory_MH in found), strict=True)
        elif new:
            with self._phases("compress"):
                self._held |= zip(new, self._model.compress(new), strict=True)
        return [self._held[text] for text in texts]
