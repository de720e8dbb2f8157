"""The system `kv`: the reader's own keys and values of the passages, compressed without training.

Ranks passages with any retriever. Each passage is read by itself, after the beginning of the prompt, and what a press
keeps of its keys and values stands before the question in place of its text. Passages do not see each other and are
moved to consecutive places, as in block attention (arXiv 2409.15355) and TurboRAG (arXiv 2410.07590), so that they can
be compressed before any question; or (`encode=together`) all passages of a question are read as one text, with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

from clara_bench.components import checks, seen
from clara_bench.components.registry import OPERATIONAL, Component, create
from clara_bench.compress.shared.spans import passage_text
from clara_bench.errors import BackendError, ConfigError, MissingDependency
from clara_bench.io.progress import progress
from clara_bench.systems.describe import prepare, reading
from clara_bench.types import Answer, IndexStats, Passage, Question, Ranked, Reading, Retriever, Traits, Usage

try:
    from clara_bench.kv import prompts
    from clara_bench.kv.evidence import before, put_together
    from clara_bench.kv.passages import Method, Positions, Pressed, Presser, Start
    from clara_bench.kv.presses import PressName
    from clara_bench.kv.prompts import Asked, Prompts
    from clara_bench.kv.rotary import Rotary
    from clara_bench.kv.store import Folder, Memory, opened
    from clara_bench.read.generate import Generated, generate
    from clara_bench.read.hf import HFReader
except ModuleNotFoundError as error:
    raise MissingDependency("system 'kv'", str(error.name), "hf") from error


class Kv:
    """Reads passages as compressed keys and values of the reader."""

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `kv`; a dotted key such as `reader.model` reaches the nested component."""

        press: PressName = "snapkv"
        """Chooses what is kept; `random` is the control."""
        rate: float = 4.0
        """Compression rate: 4 keeps a quarter of each passage's positions; 1 keeps all."""
        encode: Literal["alone", "together"] = "alone"
        """How passages are read: each by itself, which can be done ahead; or all that a question needs, with it."""
        positions: Positions = "original"
        """Where what is kept stands: as in the full text, or `consecutive`, without gaps."""
        seed: int = 0
        """Of the press `random`."""
        store: str = field(default="none", metadata=OPERATIONAL)
        """Where compressed passages stay: `none` compresses when a question needs it; `memory`, `cache` (in the user's
        cache) or a folder compress all passages before the first question."""
        retriever: Component = Component("bm25")
        """Ranks the passages; `given` for gold passages."""
        reader: Component = Component("hf")
        """A language model run in this process: `hf`, or one made from it, such as `tuned`."""
        k: int = 5
        """Passages that are read."""
        depth: int = 20
        """Passages ranked and recorded, so that recall can be measured beyond k."""

        def __post_init__(self) -> None:
            if self.k < 1 or self.depth < 1:
                raise ValueError(f"k and depth must be at least 1, got k={self.k}, depth={self.depth}")
            if not self.rate >= 1:
                raise ValueError(f"rate must be at least 1, got {self.rate}")
            if self.encode == "together" and self.store != "none":
                raise ValueError("passages read together cannot be stored: set store=none or encode=alone")

    def __init__(self, options: Options | None = None) -> None:
        """Find retriever and reader.

        Raises:
            ConfigError: the reader is no language model run in this process.
        """
        self.options = options or self.Options()
        self.retriever: Retriever = create("retriever", self.options.retriever)
        reader = create("reader", self.options.reader)
        if not isinstance(reader, HFReader):
            raise ConfigError(
                f"system 'kv' cannot use reader '{self.options.reader.name}', whose keys and values it cannot see. "
                "Expected hf, or a reader made from it, such as tuned"
            )
        self.reader = reader
        self._corpus: Mapping[str, Passage] = {}
        self._store: Memory | Folder | None = None

    @property
    def traits(self) -> Traits:
        """Columns of the leaderboard."""
        return replace(
            reading(self.reader),
            compressor=f"kv-{self.options.press}",
            nominal_ratio=self.options.rate,
            offline=self.options.encode == "alone",
            query_dependent=False,
        )

    @cached_property
    def _presser(self) -> Presser:
        weights, name, options = self.reader.weights, self.reader.model.name, self.options
        kinds = set(getattr(weights.config.get_text_config(), "layer_types", None) or ())
        if other := kinds - {"full_attention", "sliding_attention"}:
            raise BackendError(f"model '{name}' has layers of {', '.join(sorted(other))}. Expected attention alone")
        method = Method(options.press, options.rate, options.positions, options.seed)
        return Presser(weights, Rotary.of(weights, name), method, prompts.repeat(self.reader))

    @cached_property
    def _start(self) -> Start:
        """What stands before the passages, read once."""
        return self._presser.start(prompts.start(self.reader))

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts(self.reader, prompts.limit(self.reader), self._presser.method.length)

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Index the corpus with the retriever; compress every passage if they are stored."""
        began = time.perf_counter()
        self._corpus = corpus
        prepare(self.reader)
        _ = self._start
        ranking = self.retriever.index(corpus)
        if self.options.store == "none" or not corpus:
            return ranking
        return self._stored(ranking, list(dict.fromkeys(map(passage_text, corpus.values()))), began)

    def _stored(self, ranking: IndexStats, texts: Sequence[str], began: float) -> IndexStats:
        """Compress passages into the store; what that and the retriever's index cost."""
        passages = [ids for text in texts if (ids := self._prompts.passage(text))]
        self._store = store = self._opened(passages)
        seconds, size, tokens = ranking.encoding_seconds or 0.0, ranking.bytes, ranking.encoded_tokens
        with progress("compressing", len(passages)) as advance:
            for ids in passages:
                pressed = store.get(ids, partial(self._presser, self._start, ids))
                seconds, size, tokens = seconds + pressed.seconds, size + pressed.bytes, tokens + pressed.tokens
                advance(1)
        return replace(
            ranking,
            seconds=time.perf_counter() - began,
            bytes=size,
            encoded_tokens=tokens,
            cached=ranking.cached and not store.made,
            encoding_seconds=seconds,
        )

    def _opened(self, passages: Sequence[Sequence[int]]) -> Memory | Folder:
        position = 2 * self._start.keys_LHPD[:, :, :1].nbytes
        needed = position * sum(self._presser.method.budget(len(ids)) for ids in passages)
        described, presser = self.reader.describe(), self._presser
        parts = [described.get(key) for key in ("fingerprint", "adapter", "dtype")]
        identity = [*parts, presser.method, self._start.ids, presser.repeat]
        return opened(self.options.store, needed, [str(part) for part in identity])

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Retrieve, compress what is not stored, read; seconds of a batch are shared among its questions."""
        return checks.in_order(self._answer_each(questions))

    def _answer_each(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        """Answers with the places of their questions, batch by batch."""
        began, most = time.perf_counter(), max(self.options.k, self.options.depth)
        who = f"retriever '{self.options.retriever.name}'"
        rankings = checks.rankings(self.retriever.retrieve(questions, most), questions, most, self._corpus, who)
        spent = (time.perf_counter() - began) / len(questions)
        asked = [self._asked(*pair) for pair in zip(questions, rankings, strict=True)]
        lengths = {place: self._length(one) for place, one in enumerate(asked) if self._fits(one)}
        for place in lengths.keys() ^ range(len(asked)):
            error = f"instructions and question alone take more than {self._prompts.limit} tokens"
            usage = Usage(0, asked[place].whole.context_positions)
            yield place, Answer("", rankings[place], usage, "error", error)
        for batch in self.reader.batches(lengths):
            for place, read in zip(batch, self._read([(questions[p], asked[p]) for p in batch]), strict=True):
                usage = replace(read.usage, seconds={"retrieve": spent, **read.usage.seconds})
                yield place, Answer(read.text, rankings[place], usage, read.status, read.error, thinking=read.thinking)

    def _asked(self, question: Question, ranking: Sequence[Ranked]) -> Asked:
        texts = [passage_text(self._corpus[ranked.passage_id]) for ranked in ranking[: self.options.k]]
        return self._prompts.asked(question.text, texts, self.options.encode == "together")

    def _length(self, asked: Asked) -> int:
        """Positions that the model reads and keeps for a question."""
        kept = sum(self._presser.method.budget(len(ids)) for ids in asked.passages)
        return len(asked.before) + kept + len(asked.question)

    def _read(self, batch: Sequence[tuple[Question, Asked]]) -> Iterator[Reading]:
        store, rows, seconds = self._store or Memory(), [], []
        for question, asked in batch:
            began = time.perf_counter()
            rows.append([store.get(ids, partial(self._presser, self._start, ids)) for ids in asked.passages])
            seconds.append(time.perf_counter() - began)
            seen.tell(question.id, prompt=partial(self._shown, asked, rows[-1]))
        together = [(asked, row) for (_, asked), row in zip(batch, rows, strict=True)]
        found = self.reader.in_halves(together, self._generated)
        for (asked, row), spent, generated in zip(together, seconds, found, strict=True):
            kept = sum(passage.size for passage in row)
            usage = Usage(kept, asked.whole.context_positions, self._length(asked), 0, {"compress": spent})
            yield self.reader.reading(usage, asked.cut, generated)

    def _fits(self, asked: Asked) -> bool:
        return self._prompts.limit is None or len(asked.before) + len(asked.question) <= self._prompts.limit

    def _generated(self, batch: Sequence[tuple[Asked, Sequence[Pressed]]]) -> list[Generated]:
        """Continue each question after its passages."""
        presser, start = self._presser, self._start
        nothing = Start((), start.keys_LHPD[:, :, :0], start.values_LHPD[:, :, :0])
        rows = [put_together(start if asked.whole.context else nothing, row, presser.rotary) for asked, row in batch]
        most = self.reader.options.max_new_tokens
        return generate(presser.model, [asked.question for asked, _ in batch], self.reader.stop, most, before(rows))

    def _shown(self, asked: Asked, row: Sequence[Pressed]) -> str:
        """The prompt as text, a passage by the number of its positions."""
        decode: Callable[[Any], str] = self.reader.tokenizer.decode
        passages = "\n\n".join(f"<kv x {passage.size}>" for passage in row)
        return decode(asked.before) + passages + decode(asked.question)
