"""A language model behind an OpenAI-compatible server that writes pretraining data for one document at a time."""

from __future__ import annotations

import os
import re
from typing import Any

import msgspec

from clara_bench import BackendError, ConfigError, MissingDependency
from reference.synthesis import prompts
from reference.synthesis.prompts import KINDS, MISSING, BadReply, Kind, read_list, read_verdict, spoken

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection."""
_UNFIT = frozenset({400, 413, 422})
"""HTTP statuses that say something about the request alone, such as a document that is too long."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which model writes, and how.

    Raises:
        ConfigError: a value out of its range.
    """

    model: str
    """Name of the model as the server knows it."""
    base_url: str = "http://localhost:8000/v1"
    """Address of the server, up to and with /v1."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; need not be set for servers that ask for none."""
    kinds: tuple[Kind, ...] = KINDS
    """What to write for each document."""
    rounds: int = 10
    """Maximum number of rounds of questions, or of paraphrases (paper: 10)."""
    temperature: float = 0.7
    """Temperature of questions and paraphrases; answers and judgements use 0."""
    max_tokens: int = 2048
    """Longest reply."""
    concurrency: int = 8
    """Documents processed concurrently."""
    timeout_seconds: float = 120.0
    retries: int = 5
    """Further tries, each after a longer pause, when the server is busy or fails."""

    def __post_init__(self) -> None:
        for name in ("rounds", "max_tokens", "concurrency", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"synthesize: {name} is {getattr(self, name)}, expected above 0")
        if not self.kinds or not self.model:
            raise ConfigError("synthesize: name a model, and one kind or more of simple, complex, paraphrase")
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(f"synthesize: base_url is '{self.base_url}', expected http:// or https://")


class Written(msgspec.Struct):
    """The result for one document and one kind."""

    kind: Kind
    questions: list[str] = []
    answers: list[str] = []
    """As many; for a paraphrase the one text."""
    dropped: str = ""
    """Why nothing was kept; "" if something was."""
    rounds: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejected: int = 0
    """Pairs or texts that were judged wrong or not in the document."""


class Teacher:
    """Writes questions with answers, and paraphrases; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet.

        Raises:
            MissingDependency: the package openai is not installed.
        """
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingDependency("synthesis", str(error.name), "openai") from error
        self.settings = settings
        self._openai = openai
        self._key = os.environ.get(settings.api_key_env) or "none"
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=settings.base_url,
            timeout=openai.Timeout(settings.timeout_seconds, connect=min(CONNECT_SECONDS, settings.timeout_seconds)),
            max_retries=settings.retries,
        )

    def write(self, kind: Kind, document: str) -> Written:
        """Questions and answers that cover a document, or a paraphrase that is faithful to it.

        A document that does not succeed within the rounds is dropped, with the reason of the last round.

        Raises:
            BackendError: the server cannot be reached, refuses every request, or speaks another protocol.
        """
        written = Written(kind, dropped="no round was made")
        task = _Paraphrase(self, written, document) if kind == "paraphrase" else _Questions(self, written, document)
        try:
            while written.dropped and written.rounds < self.settings.rounds:
                written.rounds += 1
                try:
                    written.dropped = task.round()
                except BadReply as error:
                    written.dropped = str(error)
        except _Unfit as error:
            written.dropped = str(error)
        return written

    def ask(self, written: Written, prompt: str, temperature: float) -> str:
        """Ask for a reply and add its cost to the result.

        Raises:
            BadReply: an empty reply, or one that was cut.
            BackendError: as `write`.
        """
        try:
            completion = self._client.chat.completions.create(
                model=self.settings.model,
                messages=[{"role": "user", "content": prompt}],
                temperature=temperature,
                max_tokens=self.settings.max_tokens,
            )
        except self._openai.APIStatusError as error:
            reason = f"HTTP {error.status_code}: {self._clean(error)}"
            if error.status_code in _UNFIT:
                raise _Unfit(reason) from error
            raise BackendError(
                f"{self.settings.base_url} refuses requests for '{self.settings.model}': {reason}. "
                f"Check the model's name and the key in ${self.settings.api_key_env}, then run again to go on"
            ) from error
        except self._openai.APIConnectionError as error:
            raise BackendError(
                f"cannot reach {self.settings.base_url}: {self._clean(error.__cause__ or error)}. "
                "Start the server or set base_url, then run again to go on"
            ) from error
        except (self._openai.APIError, ValueError) as error:
            raise self._not_compatible(self._clean(error)) from error
        return self._reply(written, completion)

    def _reply(self, written: Written, completion: Any) -> str:
        try:
            choice, usage = completion.choices[0], completion.usage
            text = choice.message.content or ""
            written.prompt_tokens += int(usage.prompt_tokens)
            written.completion_tokens += int(usage.completion_tokens)
        except (AttributeError, IndexError, TypeError, ValueError) as error:  # the client checks no reply itself
            raise self._not_compatible("its reply lacks choices or token usage") from error
        written.calls += 1
        if choice.finish_reason == "length":
            raise BadReply(f"a reply was cut after {self.settings.max_tokens} tokens (max_tokens)")
        if not spoken(text):
            raise BadReply("an empty reply")
        return text

    def _not_compatible(self, reason: str) -> BackendError:
        return BackendError(f"{self.settings.base_url} is no OpenAI-compatible server: {reason}. Check base_url")

    def _clean(self, error: BaseException) -> str:
        """The error in one line, without the key."""
        text = " ".join(str(error).split()) or type(error).__name__
        return text[:300] if self._key == "none" else text.replace(self._key, "***")[:300]


class _Unfit(Exception):
    """The server refuses this one document."""


class _Task:
    """What is done again, round after round, until a round returns "" rather than why another one is needed."""

    def __init__(self, teacher: Teacher, written: Written, document: str) -> None:
        self.written, self.document = written, document
        self._teacher = teacher

    def create(self, prompt: str) -> str:
        return self._teacher.ask(self.written, prompt, self._teacher.settings.temperature)

    def judge(self, prompt: str) -> str:
        return self._teacher.ask(self.written, prompt, 0.0)

    def round(self) -> str:
        raise NotImplementedError


class _Questions(_Task):
    """Further questions until the model finds nothing left to ask; a pair that was judged is not judged again."""

    def __init__(self, teacher: Teacher, written: Written, document: str) -> None:
        super().__init__(teacher, written, document)
        self._seen: set[str] = set()

    def round(self) -> str:
        fresh = self._proposed()
        if not fresh:
            return "" if self.written.questions else "no question was proposed"
        answers = read_list(self.judge(prompts.answers(self.document, fresh)), len(fresh))
        pairs = [(one, answer) for one, answer in zip(fresh, answers, strict=True) if _told(answer)]
        right = self._right(pairs)
        self._seen.update(map(_key, fresh))  # only now: what failed on the way may be proposed again
        self.written.questions += [one for one, _ in right]
        self.written.answers += [answer for _, answer in right]
        self.written.rejected += len(fresh) - len(right)
        return "the last round still found something to ask"

    def _proposed(self) -> list[str]:
        kind, asked = self.written.kind, self.written.questions
        some = prompts.missing(kind, self.document, asked) if asked else prompts.questions(kind, self.document)
        proposed = {_key(one): one for one in read_list(self.create(some))}
        return [one for key, one in proposed.items() if key and key not in self._seen]

    def _right(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        if not pairs:
            return []
        reply = self.judge(prompts.verdicts(self.written.kind, self.document, pairs))
        verdicts = [read_verdict(verdict, "correct", "incorrect") for verdict in read_list(reply, len(pairs))]
        return [pair for pair, correct in zip(pairs, verdicts, strict=True) if correct]


class _Paraphrase(_Task):
    """Other words, until they are judged to say the same."""

    def round(self) -> str:
        text = spoken(self.create(prompts.paraphrase(self.document)))
        if _key(text) != _key(self.document):
            if read_verdict(self.judge(prompts.faithful(self.document, text)), "yes", "no"):
                self.written.answers = [text]
                return ""
        self.written.rejected += 1
        return "no paraphrase was judged to state the same facts in other words"


def _told(answer: str) -> bool:
    return bool(answer) and MISSING.lower() not in answer.lower()


def _key(text: str) -> str:
    """What two questions that differ only in case, blanks and punctuation share."""
    return re.sub(r"\W+", " ", text.lower()).strip()
