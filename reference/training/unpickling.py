"""Restricted loading of DeepSpeed's own files: tensors, plain containers and four of its classes, never code.

Its saves are pickles and it loads them as such, so anybody who can write to the folder could run any code where
training goes on. torch's restricted unpickler reads the same files; here it is put in the other one's place.

    python -m reference.training.unpickling --input_folder STEP --output_folder OUT    DeepSpeed's converter, restricted
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""The variable that has torch restrict each load of the process, whatever the caller says."""


@contextmanager
def restricted() -> Iterator[None]:
    """Within the block, `torch.load` reads only tensors, plain containers and some of DeepSpeed's classes."""
    import torch

    before = os.environ.get(FORCE)
    os.environ[FORCE] = "1"
    try:
        with torch.serialization.safe_globals(_kept()):
            yield
    finally:
        if before is None:
            del os.environ[FORCE]
        else:
            os.environ[FORCE] = before


def _kept() -> list[Any]:
    """DeepSpeed's classes in its saves; each holds only numbers, and none has side effects when built."""
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, DynamicLossScaler, ZeroStageEnum, fragment_address]


def main() -> None:
    """Convert a save for any number of processes, in this process only: workers would not be restricted."""
    from deepspeed.checkpoint.ds_to_universal import main as convert
    from deepspeed.checkpoint.ds_to_universal import parse_arguments

    arguments = parse_arguments()
    arguments.num_extract_workers = arguments.num_merge_workers = 1
    with restricted():
        convert(arguments)


if __name__ == "__main__":
    main()
