"""Where `clara_bench.compress.shared.surprisal` was before: plug-ins that import it go on working."""

from __future__ import annotations

from clara_bench.compress.shared.surprisal import LanguageModel

__all__ = ["LanguageModel"]
