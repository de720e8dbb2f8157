"""A prefix that a language model has read, so that continuations are scored without reading it again.

Shapes: T tokens to judge, V the vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from clara_bench.errors import MissingDependency

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependency("a compressor with a language model", str(error.name), "hf") from error

from clara_bench.compress.shared.checkpoints import check_finite
from clara_bench.compress.shared.surprisal import LanguageModel
from clara_bench.read.attention import kept, passed


class Prefix:
    """The context of the tokens to score: start token, given prefix, and pieces kept since.

    Where all that would overflow the model's window, the older part of what was kept is forgotten: half of the room
    stays filled.

    Args:
        lm: reads and judges.
        given: tokens that always stay at the front, shorter than the window.
    """

    def __init__(self, lm: LanguageModel, given: Sequence[int] = ()) -> None:
        self._lm, self._front = lm, [lm.start, *given]
        self._begin([])

    @torch.inference_mode()
    def nats(self, ids: Sequence[int]) -> list[float]:
        """Surprisal of each token, at least one, after the prefix and the tokens before it."""
        self._make_room(len(ids))
        after_TV = self._read(ids, copy.deepcopy(self._cache), len(ids)).logits[0, -len(ids) :]
        logits_TV = torch.cat([self._next_V[None], after_TV[:-1]]).float()
        targets_T = torch.tensor(ids, device=logits_TV.device)
        nats_T = torch.nn.functional.cross_entropy(logits_TV, targets_T, reduction="none")
        nats: list[float] = check_finite(nats_T, self._lm.model).tolist()
        return nats

    def keep(self, ids: Sequence[int]) -> None:
        """These tokens belong to the prefix from now on."""
        self._make_room(len(ids))
        self._kept += ids
        self._extend(ids)

    def _make_room(self, tokens: int) -> None:
        free = self._lm.window - len(self._front) - tokens
        if len(self._kept) > free:
            self._begin(self._kept[len(self._kept) - max(0, free) // 2 :])

    def _begin(self, kept: Sequence[int]) -> None:
        self._kept, self._cache = list(kept), None
        self._extend([*self._front, *kept])

    @torch.inference_mode()
    def _extend(self, ids: Sequence[int]) -> None:
        if ids:
            out = self._read(ids, self._cache, 1)
            self._cache, self._next_V = kept(out), out.logits[0, -1]

    def _read(self, ids: Sequence[int], cache: Any, last: int) -> Any:
        ids_1T = torch.tensor([list(ids)], device=self._lm.weights.device)
        more = {**passed(self._lm.weights, cache), **self._lm.keeping(last)}
        return self._lm.weights(input_ids=ids_1T, use_cache=True, **more)
