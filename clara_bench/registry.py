"""Where components were looked up before `clara_bench.components.registry`: plug-ins that import it go on working."""

from __future__ import annotations

from clara_bench.components.registry import Component, create

__all__ = ["Component", "create"]
