"""The reader `tuned`: SmolLM2-135M-Instruct, fine-tuned for short answers from real passages, with `hf`'s prompts.

It is the reader `hf` with LoRA weights that ship (configs/reader.toml trains them); any other adapter goes by
`-o reader=hf -o reader.adapter=FOLDER`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clara_bench import OPERATIONAL
from clara_bench.read.hf import HFReader
from reference.settings.shipped import adapter_folder


class TunedReader(HFReader):
    """Answers with a language model and the LoRA weights that ship."""

    @dataclass(frozen=True, slots=True)
    class Options(HFReader.Options):
        """Options of the reader `tuned`: those of `hf`."""

        adapter: str | None = field(default="reader", metadata=OPERATIONAL)
        """Name of LoRA weights that ship, or a folder or hub id of others."""

    def __init__(self, options: Options | None = None) -> None:
        """Find the model and the adapter.

        Raises:
            ConfigError: no adapter of that name ships.
            BackendError: the model cannot be found.
        """
        chosen = options or self.Options()
        name = chosen.adapter or "reader"
        found = name if "/" in name else str(adapter_folder(name))
        super().__init__(replace(chosen, adapter=found))
