"""The workers that a command line asks for."""

from __future__ import annotations

from clara_bench.workers import Pool
from clara_bench.workers.processes import Processes
from clara_bench.workers.ray_actors import RayActors


def pool(workers: int | None, ray: str | None) -> Pool | None:
    """What --workers and --ray ask for; None for this process alone."""
    if ray is not None:
        return RayActors(ray, workers)
    return Processes(workers) if workers and workers > 1 else None
