"""Yes-or-no questions to a causal language model, many of them about the same text.

The common prefix of the prompts is read once. Shapes: B prompts, S tokens of the longest remainder.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from clara_bench.errors import BackendError, MissingDependency

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependency("a compressor with a language model", str(error.name), "hf") from error

from clara_bench.compress.shared.checkpoints import check_finite
from clara_bench.compress.shared.surprisal import LanguageModel
from clara_bench.read.attention import kept, passed
from clara_bench.read.render import message_parts
from clara_bench.tokens import Part, encode

BATCH = 16
"""Prompts judged at once."""
_MESSAGE = "\ue000message\ue001"


def message_ids(lm: LanguageModel, message: str) -> tuple[int, ...]:
    """Tokens of a message and of the place where its answer begins, in the model's own chat form if it has one."""
    if not lm.tokenizer.chat_template:
        return (lm.start, *lm.ids(f"{message}\nAnswer:"))
    parts = message_parts(lm.tokenizer, _MESSAGE, _MESSAGE)
    return tuple(encode(lm.tokenizer, [Part(message) if part.text == _MESSAGE else part for part in parts]).ids)


def first_tokens(lm: LanguageModel, words: Sequence[str]) -> list[int]:
    """The first token of each word as an answer after `message_ids`.

    Raises:
        BackendError: two words start with the same token.
    """
    blank = "" if lm.tokenizer.chat_template else " "
    tokens = [lm.ids(blank + word)[0] for word in words]
    if len(set(tokens)) < len(tokens):
        said = " and ".join(f"'{word}'" for word in words)
        raise BackendError(f"model '{lm.model.name}' begins {said} with the same token. Use another model")
    return tokens


@torch.inference_mode()
def log_odds(lm: LanguageModel, prompts: Sequence[Sequence[int]], yes: int, no: int) -> list[float]:
    """The logarithm of p(yes) / p(no) as the next token of each prompt, of at least one token each."""
    if not prompts:
        return []
    shared = _shared(prompts)
    # of the shared tokens only the memory of them is wanted
    cache = kept(_read(lm, torch.tensor([prompts[0][:shared]]), **lm.keeping(1))) if shared else None
    odds: list[float] = []
    for start in range(0, len(prompts), BATCH):
        rests = [list(prompt[shared:]) for prompt in prompts[start : start + BATCH]]
        odds += _odds(lm, rests, cache, shared, yes, no)
    return odds


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all prompts begin with, one being left of each.

    >>> _shared([(1, 2, 3), (1, 2)]), _shared([(1, 2)]), _shared([(1,), (2,)])
    (1, 1, 0)
    """
    shortest = min(map(len, prompts)) - 1
    return next((place for place in range(shortest) if len({prompt[place] for prompt in prompts}) > 1), shortest)


def _odds(lm: LanguageModel, rests: Sequence[list[int]], cache: Any, shared: int, yes: int, no: int) -> list[float]:
    width = max(map(len, rests))
    ids_BS = torch.tensor([rest + [0] * (width - len(rest)) for rest in rests])
    mask = torch.tensor([[1] * (shared + len(rest)) + [0] * (width - len(rest)) for rest in rests])  # (B, shared + S)
    if cache is not None:
        cache = copy.deepcopy(cache)
        cache.batch_repeat_interleave(len(rests))
    ends_B = torch.tensor([len(rest) - 1 - width for rest in rests])  # counted from the end: what is kept is at the end
    more = {**passed(lm.weights, cache), **lm.keeping(-int(ends_B.min()))}
    logits_BSV = _read(lm, ids_BS, attention_mask=mask.to(lm.weights.device), **more).logits
    logits_BV = logits_BSV[torch.arange(len(rests)), ends_B].float()
    odds_B: list[float] = check_finite(logits_BV[:, yes] - logits_BV[:, no], lm.model).tolist()
    return odds_B


def _read(lm: LanguageModel, ids: torch.Tensor, **more: Any) -> Any:
    return lm.weights(input_ids=ids.to(lm.weights.device), use_cache=True, **more)
