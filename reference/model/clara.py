"""CLaRa: documents compressed to memory vectors, retrieved and read in one latent space (arXiv 2511.18659, section 3).

One backbone plays three roles (roles.py). The compressor reads a document followed by trained memory embeddings; its
final states at those places, after the last normalisation, are the document's memory. The query reasoner does the
same to a question. The generator reads memories instead of token embeddings, followed by the question as text.

Shapes: B rows, T tokens, M memory slots, H hidden, E = M*H, S memory vectors of a row, P places, V vocabulary.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clara_bench import ConfigError
from reference.model import decoding, layout, passes, recurrent
from reference.model.backbone import Loaded
from reference.model.decoding import Generated
from reference.model.gated import Gated
from reference.model.passes import Memories, Predictions
from reference.model.projector import projected, projector_of
from reference.model.prompts import Encoded, Prompt, Prompter
from reference.model.roles import Role, copy_role, make_role, state
from reference.selection.similarity import cosine, laid_out, late_interaction
from reference.selection.words import Chooser
from reference.settings.config import ModelConfig

STANDARD = ("after", "tokens", "causal")
"""Forms of memory that fingerprints leave out, so that those of older weights stay."""


class Clara(nn.Module):
    """Compressor, reasoner and generator over one backbone, with the vectors that belong to no vocabulary."""

    def __init__(
        self, backbone: Loaded, config: ModelConfig, roles: Sequence[str] = ("compressor", "generator"), seed: int = 0
    ) -> None:
        super().__init__()
        if config.memory.unfit:
            raise ConfigError(config.memory.unfit)
        self.config = config
        self.tokenizer = backbone.tokenizer
        self.prompter = Prompter(backbone.tokenizer, config.backbone.template)
        self._chooser = Chooser(backbone.tokenizer)
        self.backbone_fingerprint = backbone.fingerprint
        self._backbone = (backbone.model,)  # a tuple keeps it out of this module's own parameters
        self.roles = nn.ModuleDict()
        for name in roles:
            self.add_role(name, seed=seed)
        embeddings_VH = backbone.model.get_input_embeddings().weight
        drawn_XH = _like(embeddings_VH, config.memory.slots + 2, seed)
        learn_markers = config.adapters.kind == "full"
        self.memory = nn.Parameter(drawn_XH[2:].clone())
        """Embeddings that ask for the memory vectors (M, H), float32."""
        self.opening = nn.Parameter(drawn_XH[0].clone(), requires_grad=learn_markers)
        """Opens what is to be compressed; with LoRA it stays as drawn, as in the released code."""
        self.separator = nn.Parameter(drawn_XH[1].clone(), requires_grad=learn_markers)
        """Stands behind each document's memories in a prompt; with LoRA it stays as drawn."""
        width = self.memory.shape[1]
        self.projector = projector_of(config.memory.form, width, seed)
        """Makes memories of pooled states, in the forms that have one."""
        if config.memory.bare:
            self.separator.data = _mean_embedding(embeddings_VH, self.prompter.gap)
        self.centres: Tensor
        """Mean memory of documents and of questions (2, M, H), which a centred similarity leaves out; see `centre`."""
        self.register_buffer("centres", torch.zeros(2, *self.memory.shape), persistent=False)
        self.eval()

    def add_role(self, name: str, like: str | None = None, seed: int = 0) -> None:
        """Add a role to the model, or reinitialise it: from the backbone, or as an exact copy of the role `like`."""
        layers = 0 if name == "generator" else self.config.memory.layers
        role = make_role(self.backbone, self.config.adapters, name, seed, layers)
        if like is not None:
            copy_role(self.role(like), role)
        if self.roles:
            role.to(self.device)
        self.roles[name] = role.train(self.training)

    def role(self, name: str) -> Role:
        """The role of that name.

        Raises:
            ConfigError: the model has no such role.
        """
        if name not in self.roles:
            raise ConfigError(f"the model has no role '{name}', only {', '.join(self.roles)}: load or add it first")
        return self.roles[name]  # type: ignore[return-value]

    @property
    def backbone(self) -> Any:
        """The transformers model behind all roles; with LoRA, they share its parameters."""
        return self._backbone[0]

    def vectors(self) -> dict[str, Tensor]:
        """The vectors that belong to no vocabulary and no role, and the projector's weights if there is one."""
        vectors: dict[str, Tensor] = {"memory": self.memory, "opening": self.opening, "separator": self.separator}
        projector = self.projector.named_parameters(prefix="projector") if self.projector is not None else ()
        return vectors | dict(projector) | ({"centres": self.centres} if self.config.memory.centred else {})

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.roles.parameters()).device

    def checkpoint_activations(self, enabled: bool = True) -> None:
        """Trade time for memory in training: recompute activations in the backward pass."""
        for name in self.roles:
            self.role(name).checkpoint_activations(enabled)

    def slots_of(self, documents: Sequence[Sequence[int]]) -> list[int]:
        """Number of memory vectors per document."""
        memory = self.config.memory
        if memory.count == "nominal":
            most = [len(ids) or 1 for ids in documents] if memory.form == "chosen" else [memory.slots] * len(documents)
            return [min(memory.slots, tokens) for tokens in most]
        return [min(memory.slots, max(1, -(-len(ids) // memory.rate))) for ids in documents]

    def encode(self, role: str, documents: Sequence[Sequence[int]]) -> Memories:
        """Memories of documents (token ids without specials), with gradients where the module's parameters have them.

        Rows of similar length go through the backbone together, in a number of passes that depends on the number of
        rows alone. Longer documents than the config allows are cut, and then lose their closing token, as in the
        released code.
        """
        if not documents:
            none = self.memory.new_zeros(0, *self.memory.shape)
            return Memories(none, none[:, :, 0].bool(), none[:, 0])
        rows, counts = [self._framed(ids) for ids in documents], self.slots_of(documents)
        if self.config.memory.layout == "padded":
            groups = [list(range(len(rows)))]
        else:
            groups = self._parts([len(row) + count for row, count in zip(rows, counts, strict=True)])
        done = [self._encoded(role, [rows[r] for r in rows_], [counts[r] for r in rows_]) for rows_ in groups]
        if len(groups) == 1 and groups[0] == sorted(groups[0]):
            return done[0]
        back_B = torch.tensor([row for group in groups for row in group], device=self.device).argsort()
        return Memories(*(torch.cat(parts).index_select(0, back_B) for parts in zip(*done, strict=True)))

    def _parts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Rows that go through the backbone together: few on a CPU, where padding costs more than another pass."""
        return layout.parts(lengths, 4 if self.device.type == "cpu" else 16)

    def _framed(self, ids: Sequence[int]) -> list[int]:
        """A document with its special tokens; of its own tokens alone where the memory is made of their embeddings."""
        if self.config.memory.bare:
            return list(ids[: self.config.memory.document_tokens]) or list(self.prompter.gap[:1])
        start, end = self.prompter.start, self.tokenizer.eos_token_id
        row = [*start, *ids[: self.config.memory.document_tokens + 2]]
        return (row if end is None else [*row, end])[: self.config.memory.document_tokens + 2]

    def _layout(self, rows: Sequence[Sequence[int]], counts: Sequence[int]) -> layout.Documents:
        memory = self.config.memory
        left = memory.document_tokens + 3 if memory.layout == "padded" else None
        spread, pooled = memory.positions == "spread", memory.form == "projected" or not memory.asks
        chosen = map(self._chooser.places, rows, counts) if memory.form == "chosen" else ()
        bare, last = memory.bare, memory.form == "last"
        return layout.documents(rows, counts, memory.slots, left, spread, pooled, bare, last=last, chosen=tuple(chosen))

    def _encoded(self, role: str, rows: Sequence[Sequence[int]], counts: Sequence[int]) -> Memories:
        asking = self.opening, self.memory
        if self.config.memory.form == "recurrent":
            return recurrent.encode(self.role(role), rows, counts, *asking, self.config.memory)
        residual = self.projector if self.config.memory.bare else None
        where, both = self._layout(rows, counts), self.config.memory.mask == "bidirectional"
        memories = passes.encode(self.role(role), where, *asking, residual=residual, bidirectional=both)
        if self.projector is None or residual is not None:
            return memories
        return projected(memories, self.projector)

    @torch.no_grad()
    def compress(self, texts: Sequence[str], batch_tokens: int = 8192, role: str = "compressor") -> list[Tensor]:
        """Compress documents to memories (m, H), one per text, in order; in evaluation mode, without gradients.

        Args:
            texts: title and text of each document.
            batch_tokens: most positions in one pass, padding included.
            role: who compresses.
        """
        ids = self.prompter.documents(texts)
        rows, counts = [self._framed(row) for row in ids], self.slots_of(ids)
        lengths = [len(row) + count + 1 for row, count in zip(rows, counts, strict=True)]
        if self.config.memory.layout == "padded":
            lengths = [self.config.memory.document_tokens + 3 + self.config.memory.slots] * len(rows)
        out: dict[int, Tensor] = {}
        with self._evaluating(role):
            for batch in layout.batches(lengths, batch_tokens):
                states_BMH = self._encoded(role, [rows[r] for r in batch], [counts[r] for r in batch]).states_BMH
                out |= {r: states_MH[: counts[r]] for r, states_MH in zip(batch, states_BMH, strict=True)}
        return [out[row].clone() for row in range(len(rows))]

    def query(self, questions: Sequence[str] | Sequence[Sequence[int]], role: str = "reasoner") -> Memories:
        """Memories of questions by the reasoner, with gradients."""
        texts = [question for question in questions if isinstance(question, str)]
        ids = self.prompter.documents(texts) if texts else questions
        return self.encode(role, ids)  # type: ignore[arg-type]

    @torch.no_grad()
    def centre(self, documents: Sequence[str], questions: Sequence[str]) -> None:
        """Set the means that a centred similarity subtracts, over these documents and questions."""
        for row, (texts, role) in enumerate([(documents, "compressor"), (questions, "reasoner")]):
            states = self.compress(texts, role=role)
            states_BMH = nn.utils.rnn.pad_sequence(states, batch_first=True).float()
            holders_M = torch.tensor([sum(len(own) > m for own in states) for m in range(states_BMH.shape[1])])
            self.centres[row, : len(holders_M)] = states_BMH.sum(0) / holders_M[:, None].to(states_BMH)

    def flatten(
        self, memories: Memories | Sequence[Tensor], of: Literal["documents", "questions"] = "documents"
    ) -> Tensor:
        """What `score` compares: all memory vectors concatenated (B, M*H), zeros for missing ones; or their mean.

        Args:
            memories: of a batch, or what `compress` gave.
            of: which mean a centred similarity subtracts.
        """
        if isinstance(memories, Memories):
            states_BMH, mask_BM = memories.states_BMH, memories.mask_BM
        else:
            states_BMH = nn.utils.rnn.pad_sequence(list(memories), batch_first=True)
            counts_B = torch.tensor([len(states_MH) for states_MH in memories], device=states_BMH.device)
            mask_BM = torch.arange(states_BMH.shape[1], device=states_BMH.device) < counts_B[:, None]
        return laid_out(states_BMH, mask_BM, self.config.memory, self.centres[int(of == "questions")])

    def score(self, queries_BE: Tensor, keys_BNE: Tensor) -> Tensor:
        """Similarity of each question to each of its candidates (B, N), from what `flatten` returned for both."""
        if self.config.memory.similarity == "late":
            return late_interaction(queries_BE, keys_BNE, self.memory.shape[1])
        return cosine(queries_BE, keys_BNE)

    def read(
        self,
        rows: Sequence[Encoded],
        memories: Sequence[Tensor] | Tensor | None = None,
        role: str = "generator",
        gates: Gated | None = None,
    ) -> Predictions:
        """Predict the targets of rows; logits are computed only at positions whose next token is a target.

        Args:
            rows: prompts with their targets.
            memories: for each row, the vectors (S, H) for its memory places in order, or one tensor (B, S, H) for all;
                None for rows of plain text.
            role: who reads.
            gates: where all candidates stand in the prompts, best first, and each is seen as its gate says.

        Raises:
            ValueError: a row has more or fewer memory places than vectors.
        """
        groups = self._parts([len(row.ids) for row in rows])
        seen = self.separator, self.config.attention
        done = [passes.read(self.role(role), rows, memories, group, *seen, gates) for group in groups]
        if len(done) == 1 and groups[0] == sorted(groups[0]):
            return done[0]
        joined = Predictions(*(torch.cat(parts) for parts in zip(*done, strict=True)))
        back_P = joined.rows_P.argsort(stable=True)
        return Predictions(*(part.index_select(0, back_P) for part in joined))

    @torch.no_grad()
    def answer(
        self,
        prompts: Sequence[Prompt],
        memories: Sequence[Tensor] | Tensor | None = None,
        max_new_tokens: int = 32,
        batch_tokens: int = 16384,
        role: str = "generator",
    ) -> list[Generated]:
        """Continue prompts greedily, in evaluation mode, in left-padded batches of similar length.

        Args:
            prompts: with MEMORY and SEPARATOR where vectors go.
            memories: as for `read`.
            max_new_tokens: at least 1.
            batch_tokens: most prompt positions in one batch, padding included.
            role: who answers.

        Raises:
            ValueError: a prompt has more or fewer memory places than vectors.
        """
        out: dict[int, Generated] = {}
        with self._evaluating(role):
            for batch in layout.batches([len(prompt) for prompt in prompts], batch_tokens):
                out |= zip(batch, self._answer(self.role(role), prompts, memories, batch, max_new_tokens), strict=True)
        return [out[row] for row in range(len(prompts))]

    def _answer(self, role: Role, prompts: Any, memories: Any, batch: list[int], most: int) -> list[Generated]:
        rows = [prompts[row] for row in batch]
        start = decoding.clock(self.device)
        segments_BT = layout.pad([row.segments for row in rows], layout.PADDING, left=True)
        ids_BT = layout.pad([row.ids for row in rows], left=True)
        embeddings_BTH = passes.filled(role, ids_BT, memories, batch, self.separator)
        there_BT = passes.on(self.device, segments_BT != layout.PADDING).long()
        seen = passes.sight(self.config.attention, segments_BT, embeddings_BTH)
        spans = decoding.greedy(role, embeddings_BTH, there_BT, self.prompter.ends, most, start, *seen)
        texts = self.tokenizer.batch_decode([span.ids for span in spans], skip_special_tokens=True)
        return [Generated(text.strip(), *span) for text, span in zip(texts, spans, strict=True)]

    def fingerprint(self, role: str = "compressor") -> str:
        """SHA-256 of everything that affects a document's memory, except the text."""
        memory, adapters = self.config.memory, self.config.adapters
        parts = [self.backbone_fingerprint, str(next(self.roles.parameters()).dtype), self.prompter.tokenizer_digest]
        parts += [str(memory.rate), str(memory.document_tokens), memory.count, adapters.kind, str(adapters.alpha)]
        parts += [value for value in (memory.positions, memory.form, memory.mask) if value not in STANDARD]
        parts += [str(memory.segment_tokens)] if memory.form == "recurrent" else []
        seen = hashlib.sha256("\n".join(parts).encode())
        vectors = {name: tensor for name, tensor in self.vectors().items() if name not in ("separator", "centres")}
        tensors = {**state(self.role(role)), **vectors}
        if self.config.backbone.scratch is not None and adapters.kind == "lora":  # named by its shape and seed alone
            tensors |= {f"backbone.{name}": weight for name, weight in self.backbone.named_parameters()}
        for name in sorted(tensors):
            seen.update(name.encode())
            seen.update(tensors[name].detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return seen.hexdigest()

    @contextlib.contextmanager
    def _evaluating(self, role: str) -> Iterator[None]:
        """Put a role in evaluation mode for the block, and restore every module's mode afterwards."""
        modes = [(module, module.training) for module in self.role(role).modules()]
        self.role(role).eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def _like(embeddings_VH: Tensor, number: int, seed: int) -> Tensor:
    """New rows with the mean and spread of the old ones in every dimension, float32."""
    generator = torch.Generator().manual_seed(seed)
    known_VH = embeddings_VH.detach().float().cpu()
    noise_XH = torch.randn(number, known_VH.shape[1], generator=generator)
    return known_VH.mean(0) + known_VH.std(0) * noise_XH


def _mean_embedding(embeddings_VH: Tensor, ids: Sequence[int]) -> Tensor:
    return embeddings_VH[torch.tensor(list(ids))].detach().float().mean(0)
