"""Published weights as checkpoints of ours: converted once, then served, kept in stores and searched as any other.

They have not been compared with their authors' numbers; the leaderboard marks them as unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clara_bench import BackendError, ConfigError
from reference.model import backbone as backbones
from reference.model.clara import Clara
from reference.published.apple import import_apple, read_apple
from reference.published.naver import DType, read_naver
from reference.settings.config import Config
from reference.weights import checkpoint
from reference.weights.tensors import digest

_FILES = ("config.json", "*.safetensors", "adapters.pth", "decoder_first_last_layers.pth")
"""What is fetched from the hub: no code."""


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
    _check_new(out)
    adapters, embeddings = read_apple(folder, unpickle)
    model = import_apple(adapters, embeddings, backbones.load(config.model.backbone), config.model)
    return _saved(model, folder, out, {"layout": "apple/ml-clara"})


def convert_naver(
    source: str, out: Path, backbone: str = "", dtype: DType = "bfloat16", unpickle: bool = False
) -> tuple[str, ...]:
    """Write a checkpoint with the weights of PISCO or COCOM that naver published (see `naver`); its roles.

    Args:
        source: hub id or folder.
        out: a new folder.
        backbone: hub id or folder in the place of the one that the weights name.
        dtype: of the backbone's numbers.
        unpickle: read `.pth` files.

    Raises:
        ConfigError: `out` is there already, pickles may not be read, or the weights are of another kind.
        DataError: a file or tensor is missing, damaged, unexpected, or another backbone's.
        BackendError: the weights or the backbone cannot be found.
    """
    _check_new(out)
    folder = _found(source)
    model = read_naver(folder, backbone, dtype, unpickle)
    method = model.config.backbone.template
    return _saved(model, folder, out, {"layout": f"naver/{method}", "method": method, "source": source})


def _check_new(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"{out}: is there already. Choose another folder")


def _found(source: str) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=list(_FILES)))
    except Exception as error:  # the hub's client raises its HTTP library's errors, which changed between versions
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BackendError(
            f"weights '{source}': no such folder, and they cannot be fetched from the hub ({reason})"
        ) from error


def _saved(model: Clara, folder: Path, out: Path, imported: Mapping[str, str]) -> tuple[str, ...]:
    files = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.suffix in (".pth", ".safetensors")}
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, out, {"imported": {**imported, "files": files}})
    return tuple(model.roles)
