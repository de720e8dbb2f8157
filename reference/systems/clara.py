"""CLaRa as a system of the harness: `-s clara`.

Ranks passages by their memories (or with any retriever) and reads the memories of the k best. It answers from the
question alone where there are no passages, and leaves out the reasoning before an answer.
Documents are compressed before the first question and kept in a store; with `store=none` they are compressed when a
question needs them, which then shows as seconds of compression.

Shapes: E numbers of a memory laid end to end, H hidden, M memory slots, N candidates.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clara_bench import (
    OPERATIONAL,
    Answer,
    Component,
    ConfigError,
    IndexStats,
    MissingDependency,
    Passage,
    Question,
    Ranked,
    Retriever,
    Traits,
    create,
)
from clara_bench.components.codebase import of_component
from clara_bench.io.cache import cache_dir, digest
from clara_bench.io.progress import progress

try:
    from torch import Tensor

    from reference.memory.store import Store
    from reference.model.clara import Clara
    from reference.systems.answering import answers, latent_prompt, tell_prompts
    from reference.systems.serving import (
        Engine,
        Estimator,
        Phases,
        Remembered,
        Weights,
        at_least_one,
        document,
        retrieved,
        text_of,
    )
except ModuleNotFoundError as error:
    raise MissingDependency("this system", str(error.name), "reference") from error

if TYPE_CHECKING:
    from reference.memory.search import Searcher


class ClaraSystem:
    """Compresses passages to memory vectors ahead of time, finds them by these, answers from the vectors."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `clara`."""

        checkpoint: str = field(metadata=OPERATIONAL)
        """Folder from training, or the name of one that ships, such as tiny-8x."""
        rate: int | None = field(default=None, metadata=OPERATIONAL)
        """Compression rate that the checkpoint must have; by default any."""
        estimator: Estimator | None = field(default=None, metadata=OPERATIONAL)
        """How its choice of documents must have been trained; by default however it was. Answers come from a hard
        choice of the k best in any case."""
        retriever: Component | None = None
        """Ranks the passages instead of the cosine of memories; `given` for gold passages."""
        k: int = 5
        """Passages whose memories are read."""
        depth: int = 20
        """Passages ranked and recorded, so that recall can be measured beyond k."""
        store: str | None = field(default="cache", metadata=OPERATIONAL)
        """Folder of compressed passages; cache: one in the user's cache; none: compress when a question needs it."""
        precision: Literal["float32", "bfloat16", "float16", "int8"] = "float16"
        """Number format of the store."""
        reasoner: Literal["trained", "compressor"] = "trained"
        """What reads questions; compressor: a question is compressed as a passage is, as before joint training."""
        search: Literal["pca", "random", "mean", "vectors", "none"] = "pca"
        """Short vectors for search in a corpus; vectors: all memory vectors, for late interaction; none: questions have
        candidates."""
        search_index: str = "Flat"
        """A FAISS index factory string, such as IVF1024,PQ16."""
        search_depth: int = 100
        """Passages found by short vectors, then scored by their full memories."""
        max_new_tokens: int = 64
        """Longest answer with the reasoning before it, in tokens."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""
        engine: Engine = "transformers"
        """What the generator runs in; vllm reads memories as embeddings, with causal attention only."""
        method: str = field(default="clara", metadata=OPERATIONAL)
        """What the leaderboard calls the compressor: weights do not say by which method they were trained, unless they
        were imported from PISCO or COCOM."""

        def __post_init__(self) -> None:
            at_least_one(self, "k", "depth", "search_depth", "max_new_tokens")

    def __init__(self, options: Options, model: Clara | None = None) -> None:
        """Build the system from a checkpoint, or around a model in training.

        Raises:
            ConfigError: no such checkpoint, or not one of the rate, estimator or roles that are wanted.
        """
        self.options = options
        self.retriever: Retriever | None = create("retriever", options.retriever) if options.retriever else None
        asks = not self.retriever and options.reasoner == "trained"
        roles = ("compressor", "reasoner", "generator") if asks else ("compressor", "generator")
        self._weights = Weights(options.checkpoint, roles, options.device, model, options.engine)
        self._weights.require(options.rate, options.estimator)
        self._corpus: Mapping[str, Passage] = {}
        self._store: Store | None = None
        self._ids: list[str] = []
        self._searcher: Searcher | None = None

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        return Traits(
            backbone=self._weights.backbone,
            reader="tuned",
            compressor=self._weights.method or self.options.method,
            offline=self.options.store is not None,
            query_dependent=False,
            weights=self._weights.origin,
            nominal_ratio=float(self._weights.config.memory.rate),
        )

    def describe(self) -> Mapping[str, Any]:
        """Description of the weights and stored memories for the manifest."""
        memory = self._weights.config.memory
        kept = {"rate": memory.rate, "slots": memory.slots, "count": memory.count, "similarity": memory.similarity}
        return {**self._weights.describe(), **kept, "stored": self.options.store is not None}

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Compress every passage that the store does not hold yet, and index the short vectors."""
        start = time.perf_counter()
        self._corpus = corpus
        self._weights.prepare()  # now, so that no question pays for it
        ranking = self.retriever.index(corpus) if self.retriever else IndexStats(len(corpus), 0.0, 0, cached=True)
        size, encoded, cached, spent = 0, 0, False, None
        if corpus and self.options.store is not None:
            self._ids = sorted(corpus)
            texts = [document(corpus[passage_id]) for passage_id in self._ids]
            self._store = self._opened()
            encoded, cached = self._compress(self._store, texts)
            each = self._store.seconds_per_document
            spent = None if each is None else each * len(set(texts))
            size = round(self._store.bytes_per_document * len(set(texts))) + self._index_search(self._store, texts)
        return IndexStats(
            passages=len(corpus),
            seconds=time.perf_counter() - start,
            bytes=ranking.bytes + size,
            encoded_tokens=ranking.encoded_tokens + encoded,
            cached=ranking.cached and cached,
            cut_passages=ranking.cut_passages,
            encoding_seconds=spent if ranking.encoding_seconds is None else ranking.encoding_seconds + (spent or 0.0),
        )

    def _opened(self) -> Store:
        model, precision = self._weights.model, self.options.precision
        if self.options.store == "cache":
            name = digest([model.fingerprint("compressor"), precision, of_component(type(self)).key])
            return Store.create(cache_dir("memories") / name[:32], model, precision)
        return Store.create(Path(str(self.options.store)).expanduser(), model, precision)

    def _compress(self, store: Store, texts: Sequence[str]) -> tuple[int, bool]:
        """Fill the store; how many tokens its memories are of, and whether all of them were there before."""
        model, longest, done = self._weights.model, self._weights.config.memory.document_tokens, 0
        with progress("compressing", len(texts)) as advance:

            def told(count: int) -> None:
                nonlocal done
                advance(count - done)
                done = count

            built = store.build(model, texts, told)
        tokens = sum(min(len(ids), longest) for ids in model.prompter.documents(list(dict.fromkeys(texts))))
        return tokens, not built.added

    def _index_search(self, store: Store, texts: Sequence[str]) -> int:
        """Make the passages searchable; how many bytes on disk that takes."""
        if self.retriever is not None or self.options.search == "none":
            return 0
        from reference.memory.search import Reduction, Searcher

        reduction = Reduction(kind=self.options.search, index=self.options.search_index)
        folder = store.folder / f"search-{self.options.search}-{digest([reduction.index, *texts])[:16]}"
        self._searcher = Searcher(self._weights.model, store, texts, reduction, folder)
        return sum(file.stat().st_size for file in folder.iterdir())

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Rank, read the memories of the best, answer; shared time is split evenly over the questions."""
        phases, chosen = Phases(len(questions), self._weights.device), self.options
        remembered = Remembered(self._weights.model, self._store, phases)
        if self.retriever is not None:
            with phases("retrieve"):
                rankings = retrieved(self.retriever, questions, max(chosen.k, chosen.depth), self._corpus)
        else:
            rankings = self._ranked(questions, remembered, phases)
        texts = [[self._text(ranked.passage_id) for ranked in ranking[: chosen.k]] for ranking in rankings]
        lengths = self._lengths(texts)
        remembered([text for best in texts for text in best])
        prompts = [
            latent_prompt(self._weights, question.text, remembered(best), [lengths[text] for text in best])
            for question, best in zip(questions, texts, strict=True)
        ]
        tell_prompts(self._weights, questions, prompts)
        return answers(self._weights, prompts, rankings, phases.shares, chosen.max_new_tokens, self._weights.answer)

    def _ranked(
        self, questions: Sequence[Question], remembered: Remembered, phases: Phases
    ) -> Sequence[Sequence[Ranked]]:
        """Rankings by similarity of memories: of a question's candidates if it has any, else of the corpus."""
        if not self._corpus and not any(question.candidates for question in questions):
            return [()] * len(questions)
        model = self._weights.model
        candidates = [[self._text(passage_id) for passage_id in question.candidates or ()] for question in questions]
        remembered([text for texts in candidates for text in texts])
        with phases("retrieve"):
            role = "reasoner" if self.options.reasoner == "trained" else "compressor"
            memories = model.compress([question.text for question in questions], role=role)
            queries_BE = model.flatten(memories, "questions")
            return [
                self._searched(query_E, question)
                if question.candidates is None
                else self._best(query_E, question.candidates, remembered(texts))
                for query_E, question, texts in zip(queries_BE, questions, candidates, strict=True)
            ]

    def _best(self, query_E: Tensor, candidates: Sequence[str], memories: Sequence[Tensor]) -> list[Ranked]:
        if not candidates:
            return []
        keys_NE = self._weights.model.flatten(memories)
        scores = self._weights.model.score(query_E[None].float(), keys_NE[None].float())[0].tolist()
        best = dict(zip(candidates, scores, strict=True))  # one that is given twice counts once
        ranked = sorted(best.items(), key=lambda pair: -pair[1])
        return [Ranked(*pair) for pair in ranked[: max(self.options.k, self.options.depth)]]

    def _searched(self, query_E: Tensor, question: Question) -> list[Ranked]:
        if self._searcher is None:
            raise ConfigError(
                f"question '{question.id}' has no candidates, and there is nothing to search: set store to a folder or "
                "to cache, and search to pca, random or mean"
            )
        depth = max(self.options.k, self.options.depth)
        [found] = self._searcher.search(query_E[None].float(), depth, max(depth, self.options.search_depth))
        pairs = zip(found.rows_K.tolist(), found.scores_K.tolist(), strict=True)
        return [Ranked(self._ids[row], score) for row, score in pairs]

    def _text(self, passage_id: str) -> str:
        return text_of(self._corpus, passage_id)

    def _lengths(self, chosen: Sequence[Sequence[str]]) -> dict[str, int]:
        """Tokens of each passage that is read."""
        texts = list(dict.fromkeys(text for best in chosen for text in best))
        return dict(zip(texts, map(len, self._weights.model.prompter.documents(texts)), strict=True))
