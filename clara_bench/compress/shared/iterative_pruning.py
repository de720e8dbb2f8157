"""LLMLingua's iterative pruning: token by token in segments, each scored after what was kept before it.

Jiang et al. 2023, "LLMLingua", arXiv:2310.05736, Algorithm 2; the contrast with the question is that of Jiang et al.
2024, "LongLLMLingua", arXiv:2310.06839.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clara_bench.compress.shared.budget import fill
from clara_bench.compress.shared.prefix import Prefix
from clara_bench.compress.shared.spans import SEPARATOR, Span
from clara_bench.compress.shared.surprisal import LanguageModel, Piece, all_ids, means


def prune(
    lm: LanguageModel,
    found: Sequence[Sequence[Piece]],
    allowed: Sequence[int],
    segment: int,
    question: Sequence[int] = (),
) -> list[list[Span]]:
    """The kept part of each passage.

    Args:
        lm: judges the tokens.
        found: the passages in pieces, in the order in which they will be read.
        allowed: tokens that may stay, one number a passage; met but for the last character's tokens.
        segment: tokens after which the judging begins anew with what was kept until then; at most half of what the
            model's window has room for.
        question: its tokens; given these, a token's worth is how much less surprising the question makes it.
    """
    prefixes = [Prefix(lm)] + ([Prefix(lm, question)] if question else [])
    segment = min(segment, (lm.window - len(question) - 1) // 2)
    kept: list[list[Span]] = []
    for pieces, tokens in zip(found, allowed, strict=True):
        spans: list[Span] = []
        size, seen, spent = sum(len(piece.ids) for piece in pieces), 0, 0
        for part in _segments(pieces, segment):
            ids = all_ids(part)
            seen += len(ids)
            scores = _worth(prefixes, part, ids)
            taken = fill(scores, [len(piece.ids) for piece in part], max(0, tokens * seen // size - spent))
            stays = [piece for piece, amount in zip(part, taken, strict=True) if amount]
            spent += len(all_ids(stays))
            _keep(prefixes, all_ids(stays))
            spans += [piece.span for piece in stays]
        _keep(prefixes, lm.ids(SEPARATOR))
        kept.append(spans)
    return kept


def _segments(pieces: Sequence[Piece], tokens: int) -> Iterator[list[Piece]]:
    part: list[Piece] = []
    size = 0
    for piece in pieces:
        part.append(piece)
        size += len(piece.ids)
        if size >= tokens:
            yield part
            part, size = [], 0
    if part:
        yield part


def _worth(prefixes: Sequence[Prefix], part: Sequence[Piece], ids: Sequence[int]) -> list[float]:
    """Surprisal of each piece given the kept prefix, minus that given the question too if there is one."""
    blind, *asked = (prefix.nats(ids) for prefix in prefixes)
    return means(part, [one - sum(given) for one, *given in zip(blind, *asked, strict=True)])


def _keep(prefixes: Sequence[Prefix], ids: Sequence[int]) -> None:
    for prefix in prefixes:
        prefix.keep(ids)
