"""The records and Protocols that every part of the harness uses.

Records are frozen; plug-ins implement the Protocols. This module imports nothing of the harness, so a plug-in can
depend on it alone. Ranges are part of the types: msgspec checks them whenever a record is written or read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A count that other programs can read too, since many parse JSON integers as floats."""
Rank = Annotated[int, Meta(ge=1, le=2**53)]
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Seconds = Annotated[float, Meta(ge=0, le=sys.float_info.max)]
Dollars = Seconds
Id = Annotated[str, Meta(min_length=1)]

Status = Literal["ok", "empty", "truncated", "error", "out-of-memory", "timeout", "transport"]
"""The outcome of a question. `ok`, `empty` and `truncated` have a scored answer; the others are failures, scored 0.

`truncated`: evidence, question or answer was cut to fit, in whichever part of the system; empty answers included."""

FAILURES: frozenset[str] = frozenset({"error", "out-of-memory", "timeout", "transport"})
ASKED_AGAIN: frozenset[str] = frozenset({"timeout", "transport"})
"""Failures of a server or network, not of the question; resuming a run asks these questions again."""

Setting = Literal["closed", "gold", "distractor", "injected", "retrieved", "corpus"]
"""Which passages a system may see; one switch, the same for every system."""

SETTINGS: tuple[Setting, ...] = ("closed", "gold", "distractor", "injected", "retrieved", "corpus")

Control = Literal["shuffled", "random", "empty", "last", "first"]
"""Which evidence a system is given instead of a setting's own, to show how much of a score needs that evidence."""

CONTROLS: tuple[Control, ...] = ("shuffled", "random", "empty", "last", "first")


@dataclass(frozen=True, slots=True)
class Passage:
    """One unit of retrieval."""

    id: Id
    title: str
    text: str


class Corpus(Mapping[str, Passage]):
    """The passages that may be used, by id, and the collection they belong to; read-only.

    Retrievers compute statistics such as document frequency over `collection`, so that rankings do not depend on which
    other questions were sampled.
    """

    __slots__ = ("_passages", "collection")

    def __init__(self, passages: Mapping[str, Passage], collection: Mapping[str, Passage] | None = None) -> None:
        self._passages = passages
        self.collection: Mapping[str, Passage] = MappingProxyType(passages if collection is None else collection)

    def __reduce__(self) -> tuple[type[Corpus], tuple[dict[str, Passage], dict[str, Passage]]]:
        return Corpus, (dict(self._passages), dict(self.collection))  # for another process

    def __getitem__(self, passage_id: str) -> Passage:
        return self._passages[passage_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._passages)

    def __len__(self) -> int:
        return len(self._passages)


@dataclass(frozen=True, slots=True)
class Question:
    """The part of an example that a system sees. It never sees the Gold."""

    id: Id
    text: str
    candidates: tuple[Id, ...] | None = None
    """Passage ids that may be used, in the given order; () for no passage, None for the whole corpus."""


class Fact(NamedTuple):
    """A supporting sentence, as HotpotQA and 2WikiMultihopQA annotate it."""

    title: str
    sentence: Count
    """Index of the sentence in its passage, from 0."""


class Triple(NamedTuple):
    """One step of evidence, as 2WikiMultihopQA annotates it."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Gold:
    """The gold answer and annotations of one question. Whether a metric applies is decided from this alone."""

    answers: tuple[str, ...]
    """Every accepted answer, aliases included; the first is the one the annotators wrote."""
    supporting: frozenset[Id] = frozenset()
    """Ids of the supporting passages."""
    facts: tuple[Fact, ...] = ()
    hops: Count | None = None
    kind: str | None = None
    """The data set's own question type: bridge, comparison, compositional, ..."""
    evidences: tuple[tuple[Triple, ...], ...] = ()
    """One entry a step; each entry holds that triple in all its accepted spellings."""
    answerable: bool = True
    """False for MuSiQue-Full questions whose support was taken away."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its gold."""

    question: Question
    gold: Gold


class Ranked(NamedTuple):
    """One retrieved passage. Lists are sorted best first and hold no passage twice."""

    passage_id: Id
    score: Finite


@dataclass(frozen=True, slots=True)
class Usage:
    """The cost of one answer."""

    context_positions: Count = 0
    """Positions of evidence the reader attends to: tokens for text, vectors for latents, separators included."""
    context_text_tokens: Count = 0
    """The same evidence as plain text, before any compression, in the reader's own tokenizer."""
    prompt_tokens: Count = 0
    """Everything the reader read, instructions and question included."""
    generated_tokens: Count = 0
    seconds: Mapping[str, Seconds] = field(default_factory=dict)
    """Seconds by phase: retrieve, compress, prefill, decode. Shares of a batch are split over its questions."""
    usd: Dollars | None = field(default=None, metadata={"later": True})
    """US dollars; None where no price is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A system's answer to one question, with its ranking and cost."""

    text: str
    retrieved: tuple[Ranked, ...] | None = None
    """The ranking, best first; may be longer than what the reader was given. () where a search found nothing, None
    without a search: then no ranking is scored."""
    usage: Usage = Usage()
    status: Status = "ok"
    error: str | None = None
    """Why it failed; None unless status is a failure."""
    support: tuple[Fact, ...] | None = None
    """Predicted supporting sentences; None when the system predicts none."""
    evidences: tuple[Triple, ...] | None = None
    answerable: bool | None = field(default=None, metadata={"later": True})
    """Predicted: whether the passages suffice for an answer (MuSiQue-Full); None if the system does not predict it."""
    thinking: str = field(default="", metadata={"later": True})
    """What a reasoning model wrote before the answer and a reader took out of it; never scored."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of records.jsonl: an answer, and facts about it that need the passages."""

    id: Id
    """Id of the question."""
    answer: Answer
    answer_ranks: tuple[Rank, ...] | None = None
    """Ranks, from 1, of the retrieved passages that contain an accepted answer; None where there was no search."""
    seconds: Seconds | None = None
    """Wall-clock seconds in the system, measured from outside; a batch's seconds are split evenly."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A reader's answer to one question, with the reader's part of the usage."""

    text: str
    usage: Usage
    status: Status = "ok"
    error: str | None = None
    thinking: str = ""
    """What a reasoning model wrote before the answer, where it is no part of `text`."""


class Answered(NamedTuple):
    """An answer with its question and its gold, as a metric or a judge sees it."""

    question: Question
    gold: Gold
    answer: Answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one answer."""

    value: Finite | None
    """None where the reply is no verdict, or there is no reply."""
    reply: str = ""
    """All that the judge said."""
    prompt: str = ""
    """All that it was asked."""
    error: str | None = None
    """Why there is no reply; such an answer is judged again by the next call."""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What indexing cost, once per corpus."""

    passages: Count
    seconds: Seconds
    bytes: Count
    """Size of the index, memory or disk, without the passages' text."""
    encoded_tokens: Count = 0
    """Tokens of passages that an encoder or compressor read for this index, now or when it filled the cache."""
    cached: bool = False
    """True when the index was read from the cache, in which case `seconds` is the loading time."""
    cut_passages: Count = 0
    """Passages whose end is not searched, because the encoder reads no more of them."""
    encoding_seconds: Seconds | None = field(default=None, metadata={"later": True})
    """Seconds that encoding these passages took, whenever that was; None where nothing is encoded or none were kept."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What must be known about a system to compare it; each field is a leaderboard column."""

    backbone: str = ""
    reader: Literal["", "frozen", "tuned"] = ""
    compressor: str = ""
    offline: bool | None = None
    """True when documents can be compressed before the question is known; None when nothing is compressed."""
    query_dependent: bool | None = None
    weights: Literal["", "official", "official, unverified", "ours", "zero-shot"] = ""
    nominal_ratio: Annotated[float, Meta(gt=0, le=sys.float_info.max)] | None = None
    """The requested compression ratio; the effective ratio is measured."""
    token_counts: Literal["", "approximate"] = ""
    """`approximate` when evidence is not counted by the reader's own tokenizer."""


AnswerEach = Callable[[Sequence[Question]], Iterator[tuple[int, Answer]]]
"""Yields pairs of a question's index and its answer, in any order, each as soon as it is ready."""


class System(Protocol):
    """Answers questions over a corpus. This is the interface of a system.

    A system may nest a frozen dataclass `Options` (then it is built as `System(Options(...))`,
    else as `System()`), and may have an attribute or property `traits: Traits`.
    """

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Prepare the passages; called once, before any question."""
        ...

    def answer(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """Answer in the same order and number. An exception fails the questions, not the run.

        A system whose answers become ready one by one may have `answer_each` too, an `AnswerEach`, which is then
        called instead: what it has handed over is kept whatever happens next.
        """
        ...


@runtime_checkable
class Retriever(Protocol):
    """Ranks passages for questions."""

    def index(self, corpus: Mapping[str, Passage]) -> IndexStats:
        """Prepare the passages; called once, before any question. A run gives a `Corpus`."""
        ...

    def retrieve(self, questions: Sequence[Question], k: int) -> Sequence[Sequence[Ranked]]:
        """The best k passages of each question, best first.

        Only among `question.candidates` where these are not None, and only what was found: at most k, fewer where
        fewer match, and none where nothing does.
        """
        ...


@runtime_checkable
class Compressor(Protocol):
    """Shortens passages while keeping what the question needs.

    It may nest a frozen dataclass `Options`, and may have the attributes `rate: float | None`, the rate asked where
    the rate is an input, `offline: bool`, whether each passage is compressed by itself without the question, and
    `weights`, whose its own are, as in `Traits`. A method `prepare()`, if it has one, is called once before any
    question, to load what no question should be charged for.
    """

    query_dependent: ClassVar[bool]
    """Whether the question affects what is kept."""
    rate_is_input: ClassVar[bool]
    """Whether the user sets the rate; otherwise it is an outcome."""
    may_be_empty: ClassVar[bool]
    """Whether the result may be empty for passages with text."""

    def compress(self, question: Question, passages: Sequence[Passage]) -> Sequence[str] | str:
        """The texts for the prompt, in reading order.

        One per passage if passages stay separate, so that the reader is shown them like full passages; or one
        for all, such as a summary, which may be a plain str; () or "" if nothing is left.
        """
        ...


class MetricPlugin(Protocol):
    """Scores one answer. Its docstring's first sentence is the metric's definition.

    It may nest a frozen dataclass `Options`, and may have the attributes `unit` ("fraction", the default, "tokens",
    "seconds", ...), `higher_is_better` (True), `citation`, and a method `applies(gold) -> bool` that says which
    questions count; by default those with an accepted answer.
    """

    def score(self, answered: Answered) -> float | None:
        """The value; None where this answer cannot be scored. A failed answer never comes here: it counts 0."""
        ...


class Judge(Protocol):
    """A metric that is dear: its verdicts are asked for many answers at once, and kept in a file beside the records.

    It may have all that a `MetricPlugin` may have.
    """

    def judge(self, answers: Sequence[Answered]) -> Iterable[tuple[int, Verdict]]:
        """Pairs of an answer's place and the verdict on it, in any order, each as soon as it is there."""
        ...


@runtime_checkable
class Reader(Protocol):
    """Answers questions from contexts given as text."""

    def read(self, questions: Sequence[Question], contexts: Sequence[Sequence[str]]) -> Sequence[Reading]:
        """Answer in the same order and number; contexts[i] are the texts given for questions[i], () for none.

        As with a system's answers, a reader may have a method `read_each` too, which yields pairs of a question's
        place and its reading.
        """
        ...

    def context_tokens(self, contexts: Sequence[Sequence[str]]) -> Sequence[int]:
        """Tokens of each question's contexts, separators included: what `read` says of them, if it cuts nothing."""
        ...
