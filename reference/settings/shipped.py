"""Configs and trained weights that ship with the package, found by a short name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from clara_bench import ConfigError

_PACKAGE = Path(__file__).parents[1]
CONFIGS = _PACKAGE / "configs"
RECIPES = _PACKAGE / "rows" / "recipes"
ADAPTERS = _PACKAGE / "adapters"
CHECKPOINTS = _PACKAGE / "checkpoints"


def config_file(name: str) -> Path:
    """The config file of that path or short name, such as `tiny`.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    return _shipped("config", name, CONFIGS / f"{name}.toml", configs())


def recipe_file(name: str) -> Path:
    """The recipe of training rows of that path or short name, such as `reader`.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    return _shipped("recipe", name, RECIPES / f"{name}.toml", sorted(path.stem for path in RECIPES.glob("*.toml")))


def checkpoint_folder(name: str) -> Path:
    """The checkpoint folder of that path or short name, such as `tiny-8x`.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    return _shipped("checkpoint", name, CHECKPOINTS / name, checkpoints())


def adapter_folder(name: str) -> Path:
    """The folder of LoRA weights of that path or short name, such as `reader`.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    return _shipped("adapter", name, ADAPTERS / name, adapters())


def start_folder(name: str) -> Path:
    """The folder of a checkpoint, or of LoRA weights, of that path or short name, such as `tiny-8x` or `reader`.

    Raises:
        ConfigError: there is none.
    """
    return adapter_folder(name) if name in adapters() else checkpoint_folder(name)


def adapters() -> list[str]:
    """Names of the LoRA weights that ship."""
    return sorted(path.parent.name for path in ADAPTERS.glob("*/adapter_config.json"))


def configs() -> list[str]:
    """Names of the configs that ship."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def checkpoints() -> list[str]:
    """Names of the checkpoints that ship."""
    return sorted(path.parent.name for path in CHECKPOINTS.glob("*/manifest.json"))


def _shipped(kind: str, name: str, path: Path, known: Iterable[str]) -> Path:
    names = list(known)
    if name in names:
        return path
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listing = f" Shipped: {', '.join(names)}" if names else ""
    raise ConfigError(f"{kind} '{name}': no such path, and none of that name ships.{hint}{listing}")
