"""Words of the field for what this harness calls otherwise; `show` and error messages lead from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ALIASES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "setting": {
        "oracle": ("gold", "injected"), "normal": ("retrieved",), "open": ("corpus",), "open-domain": ("corpus",),
        "fullwiki": ("corpus",), "full-wiki": ("corpus",), "closed-book": ("closed",), "no-context": ("closed",),
    },
    "system": {
        "no-rag": ("closed-book",), "llm-only": ("closed-book",), "parametric": ("closed-book",),
        "naive-rag": ("rag",), "vanilla-rag": ("rag",), "standard-rag": ("rag",), "ircot": ("iterative",),
        "iter-retgen": ("iterative",), "multi-hop": ("iterative",), "kvpress": ("kv",), "kv-cache": ("kv",),
        "turborag": ("kv",), "block-attention": ("kv",), "cache-augmented": ("kv",),
    },
    "retriever": {
        "reranking": ("rerank",), "reranker": ("rerank",), "cross-encoder": ("rerank",), "sparse": ("bm25",),
        "lexical": ("bm25",), "okapi": ("bm25",), "dpr": ("dense",), "contriever": ("dense",), "bi-encoder": ("dense",),
        "embeddings": ("dense",), "rrf": ("hybrid",), "fusion": ("hybrid",), "trec": ("run-file",),
    },
    "compressor": {
        "recomp": ("recomp-extractive", "recomp-abstractive"), "summarization": ("recomp-abstractive",),
        "extractive": ("recomp-extractive", "exit", "provence"), "pruning": ("provence", "llmlingua2"),
    },
    "reader": {
        "transformers": ("hf",), "huggingface": ("hf",), "vllm": ("openai",), "ollama": ("openai",),
        "llama.cpp": ("openai",), "api": ("openai",),
    },
    "task": {
        "hotpot": ("hotpotqa",), "natural-questions": ("nq",), "nq-open": ("nq",), "2wiki": ("2wikimultihopqa",),
        "2wikimqa": ("2wikimultihopqa",),
    },
    "metric": {
        "exact-match": ("em",), "exact_match": ("em",), "accuracy": ("cover_substring",), "acc": ("cover_substring",),
        "latency": ("seconds",), "tokens": ("context_positions",),
        "context-tokens": ("context_positions",), "context_tokens": ("context_positions",),
        "compression-ratio": ("effective_ratio_micro",), "ratio": ("effective_ratio_micro",),
        "hits": ("hit@k",), "recall": ("recall@k",), "ndcg": ("ndcg@k",),
    },
})  # fmt: skip


def meant(kind: str, word: str) -> tuple[str, ...]:
    """What a word of the field names here; () for one that is not known.

    >>> meant("setting", "oracle"), meant("metric", "exact_match")
    (('gold', 'injected'), ('em',))
    """
    return ALIASES.get(kind, {}).get(word.lower(), ())
