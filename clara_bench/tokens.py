"""Untrusted text as token ids: a control token spelled in it, such as `</s>` or `<|im_end|>`, stays text.

A tokenizer looks for its control tokens in whatever it is given, so a passage that spells one could end a turn. Here
only those are taken for such that a template means. Texts that spell none are encoded as the tokenizer does it.
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

_NOTHING = [chr(code) for code in range(0xF0000, 0xFFFFE)]
"""An empty span of characters."""


class Part(NamedTuple):
    """A stretch of a prompt."""

    text: str
    meant: bool = False
    """Whether control tokens in it are intended, as in a template; other text is untrusted."""


class Encoded(NamedTuple):
    """Token ids and the character span [start, end) of each."""

    ids: list[int]
    places: list[tuple[int, int]]


def encode(tokenizer: Any, parts: Sequence[Part], added: bool = False) -> Encoded:
    """A prompt, given in parts, as token ids; `added` adds what the tokenizer puts around a text."""
    control, texts = _control(tokenizer), [part.text for part in parts]
    back: Mapping[int, int] = {}
    if control.spelled(*(part.text for part in parts if not part.meant)):
        tokenizer, names, back = control.renamed
        texts = [control.pattern.sub(lambda found: names[found[0]], p.text) if p.meant else p.text for p in parts]
    found = tokenizer("".join(texts), add_special_tokens=added, return_offsets_mapping=True, verbose=False)
    return Encoded([back.get(token, token) for token in found["input_ids"]], found["offset_mapping"])


def encode_all(tokenizer: Any, prompts: Sequence[Sequence[Part]]) -> list[list[int]]:
    """The ids of several prompts, nothing added."""
    if _control(tokenizer).spelled(*(part.text for parts in prompts for part in parts if not part.meant)):
        return [encode(tokenizer, parts).ids for parts in prompts]
    return _ids(tokenizer, ["".join(part.text for part in parts) for parts in prompts])


def text_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of untrusted texts, without added tokens."""
    return _ids(for_texts(tokenizer, *texts), texts)


def for_texts(tokenizer: Any, *texts: str) -> Any:
    """The tokenizer for these untrusted texts: the original unless a text spells a control token."""
    control = _control(tokenizer)
    return control.as_text if control.spelled(*texts) else tokenizer


def only_text(tokenizer: Any) -> Any:
    """The tokenizer itself, changed to take whatever it is given for text; what it adds around that, it still adds."""
    _control(tokenizer).switch_off(tokenizer)
    return tokenizer


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def _control(tokenizer: Any) -> _Control:
    """Cached information on a tokenizer's control tokens; copying a large vocabulary takes a second."""
    held: _Control | None = vars(tokenizer).get("_control_tokens")
    if held is None or not held.of(tokenizer):
        held = vars(tokenizer)["_control_tokens"] = _Control(tokenizer)
    return held


class _Renamed(NamedTuple):
    """A copy of a tokenizer that knows its control tokens by other names."""

    tokenizer: Any
    names: Mapping[str, str]
    ids: Mapping[int, int]
    """From its own ids to those of the tokenizer."""


class _Control:
    """A tokenizer's control tokens: those that it calls special, and those that its chat template spells."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self._template = tokenizer, str(tokenizer.chat_template or "")
        added = tokenizer.added_tokens_decoder.values()
        self._all, self._added = len(added), {t.content: t for t in added if t.special or t.content in self._template}
        names = {*self._added, *tokenizer.all_special_tokens}
        self.tokens = sorted((name for name in names if name.strip()), key=lambda name: (-len(name), name))
        self.pattern = re.compile("|".join(map(re.escape, self.tokens)) or r"(?!)")

    def of(self, tokenizer: Any) -> bool:
        """Whether they are this tokenizer's as it is now: tokens and a template may have been added to it."""
        now = str(tokenizer.chat_template or ""), len(tokenizer.added_tokens_decoder)
        return self._tokenizer is tokenizer and (self._template, self._all) == now

    def spelled(self, *texts: str) -> bool:
        """Whether one of the texts spells a control token, as it is or as the tokenizer normalises it."""
        normalizer = self._tokenizer.backend_tokenizer.normalizer
        if any(one.normalized for one in self._added.values()) and normalizer is not None:
            texts = (*texts, *map(normalizer.normalize_str, texts))
        return any(map(self.pattern.search, texts))

    @cached_property
    def as_text(self) -> Any:
        """A copy to which what spells a control token is text."""
        made = _copied(self._tokenizer)
        self.switch_off(made)
        return made

    def switch_off(self, tokenizer: Any) -> None:
        """Let this tokenizer, or a copy of it, take what spells a control token for text."""
        tokenizer.split_special_tokens = True
        tokenizer.backend_tokenizer.add_special_tokens(
            [_like(one, one.content, special=True) for one in self._added.values() if not one.special]
        )
        # One that is in the vocabulary too is found there as a word is.
        found = _ids(tokenizer, self.tokens)
        ids = map(tokenizer.convert_tokens_to_ids, self.tokens)
        _break(tokenizer, [token for token, own, read in zip(self.tokens, ids, found, strict=True) if own in read])

    @cached_property
    def renamed(self) -> _Renamed:
        """A copy in which control tokens have unspellable names of the same length."""
        made = _copied(self.as_text)
        names = {token: "".join(secrets.choice(_NOTHING) for _ in token) for token in self.tokens}
        made.backend_tokenizer.add_tokens([_like(self._added.get(token), name) for token, name in names.items()])
        ids = {made.backend_tokenizer.token_to_id(names[token]): token for token in self.tokens}
        return _Renamed(made, names, {new: self._tokenizer.convert_tokens_to_ids(old) for new, old in ids.items()})


def _copied(tokenizer: Any) -> Any:
    """A copy without control tokens."""
    made = copy.copy(tokenizer)
    vars(made).pop("_control_tokens", None)
    made._tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
    return made


def _like(one: Any, name: str, special: bool = False) -> Any:
    """A token of another name that takes in the same blanks around it."""
    from tokenizers import AddedToken

    how = {} if one is None else {"lstrip": one.lstrip, "rstrip": one.rstrip, "single_word": one.single_word}
    return AddedToken(name, normalized=False, special=special, **how)


def _break(tokenizer: Any, tokens: Sequence[str]) -> None:
    """Part the first character of these tokens from the rest wherever a text spells one."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Sequence as InOrder
    from tokenizers.pre_tokenizers import Split

    if tokens:
        pattern = "|".join(f"{re.escape(token[:1])}(?={re.escape(token[1:])})" for token in tokens)
        backend = tokenizer.backend_tokenizer
        before = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
        backend.pre_tokenizer = InOrder([*before, Split(Regex(pattern), "merged_with_previous")])
