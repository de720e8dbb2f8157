"""Published weights as checkpoints of ours: converted once, then served, kept in stores and searched as any other.

Nobody has run them against what their authors report yet; until then the leaderboard says so (`Traits.weights`).
"""

from __future__ import annotations

from pathlib import Path

from clara_bench import ConfigError
from reference import backbone as backbones
from reference import checkpoint
from reference.apple import import_apple, read_apple
from reference.config import Config
from reference.weights import digest


def convert(config: Config, folder: Path, out: Path, unpickle: bool = False) -> tuple[str, ...]:
    """Write a checkpoint with the weights that Apple published (see `apple`); its roles.

    Args:
        config: backbone, rank, alpha, compression rate and longest document of the published weights.
        folder: theirs, of one compression rate.
        out: a new folder.
        unpickle: read `.pth` files.

    Raises:
        ConfigError: `out` is there already, pickles may not be read, or the config is not that of the weights.
        DataError: a file or tensor is missing, damaged or unexpected.
        BackendError: the backbone cannot be found.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already. Choose another folder")
    adapters, embeddings = read_apple(folder, unpickle)
    model = import_apple(adapters, embeddings, backbones.load(config.model.backbone), config.model)
    files = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.suffix in (".pth", ".safetensors")}
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, out, {"imported": {"layout": "apple/ml-clara", "files": files}})
    return tuple(model.roles)
