"""LLMLingua-2 with a classifier that you train: `clara-bench compressors train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from clara_bench.components.registry import OPERATIONAL
from clara_bench.compress.llmlingua2 import LLMLingua2
from clara_bench.compress.shared.budget import check_rate, check_tokens
from clara_bench.errors import ConfigError


class LLMLingua2Style(LLMLingua2):
    """Keeps the words with the highest probability under a small classifier trained on questions.

    Its labels are not LLMLingua-2's (see `labels`), and it is not to be taken for it.
    """

    weights = "ours"

    @dataclass(frozen=True, slots=True)
    class Options:
        """Options of `llmlingua2-style`."""

        model: str = field(default="runs/llmlingua2-style", metadata=OPERATIONAL)
        """Folder that `clara-bench compressors train` has written."""
        rate: float = 4.0
        """Words before per word after."""
        tokens: int | None = None
        """Tokens of the reader that may stay of all passages together, whatever `rate` says; none: `rate` decides."""
        label: str | None = "keep"
        """The label that means "keep"."""
        device: str = field(default="auto", metadata=OPERATIONAL)
        """A torch device; auto: the GPU if there is one."""

        def __post_init__(self) -> None:
            check_rate(self.rate)
            check_tokens(self.tokens)

    def __init__(self, options: Options) -> None:
        if not (Path(options.model) / "training.json").is_file():
            raise ConfigError(
                f"llmlingua2-style: '{options.model}' holds no trained classifier. Make one with: "
                f"clara-bench compressors train {options.model} --data hotpotqa=hotpot_train_v1.1.json"
            )
        super().__init__(options)  # type: ignore[arg-type]
