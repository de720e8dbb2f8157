import sys

import pytest

from clara_bench.io import progress as module
from clara_bench.io.progress import progress


def test_a_log_file_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 4.0, 12.0, 13.0, 24.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress("dense index", 2000) as advance:
        for _ in range(4):
            advance(300)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "dense index: 600 of 2,000 passages, 50 per second, 28 s left",
        "dense index: 1,200 of 2,000 passages, 50 per second, 16 s left",
    ]


def test_a_quick_job_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("dense index", 0):
        pass
    with progress("dense index", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(module, "BAR_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress("dense index", 10) as advance:
        advance(4)
        advance(6)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "dense index" in captured.err and "10/10" in captured.err and "passages/s" in captured.err
