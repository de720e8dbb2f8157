"""The benchmark of growth tells cost that grows with size from cost that grows faster."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import growth

SIZES = (100, 1_000, 10_000, 100_000)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_the_exponent_is_that_of_the_cost(power: float) -> None:
    costs = [3e-5 * size**power for size in SIZES]
    assert growth.exponent(SIZES, costs, floor=0) == pytest.approx(power)


def test_what_cannot_be_told_from_constant_cost_is_not_fitted() -> None:
    assert growth.exponent(SIZES, [0.0, 0.0, 1.0, 10.0], floor=0.5) == pytest.approx(1)
    assert growth.exponent(SIZES, [0.1, 0.1, 0.1, 9.0], floor=0.5) == 0


def test_a_step_that_grows_faster_breaks_the_promise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "SIZES", {"questions": SIZES})
    for power, kept in ((1.0, True), (1.2, False)):
        monkeypatch.setattr(growth, "measured", lambda _, n, __, p=power: {"load": {"s": n**p, "MB": n * 1.0}})
        assert growth.report("questions", tmp_path) is kept


def test_the_steps_of_both_axes_run_on_what_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "SIZES", {"passages": (20,), "questions": (12,)})
    monkeypatch.setenv("CLARA_BENCH_CACHE", str(tmp_path / "cache"))
    growth.write(tmp_path)
    for axis, steps in growth.AXES.items():
        meter = growth.Meter()
        steps(tmp_path, growth.SIZES[axis][0], meter)
        assert len(meter.used) >= 4 and all(seconds >= 0 for seconds, _ in meter.used.values())
