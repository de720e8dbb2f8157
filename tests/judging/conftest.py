"""A judge behind a real server on loopback: it compares the answer with the accepted ones, as far as it is told."""

from __future__ import annotations

import re
from typing import Any

import pytest


def by_letter(message: str) -> str:
    """Right where the answer is an accepted one, to the letter."""
    accepted = re.findall(r"^- (.*)$", message, flags=re.M)
    [answer] = re.findall(r"^Answer to be judged:\n(.*)$", message, flags=re.M)
    return f"It is compared by letter.\n**Verdict:** {'CORRECT' if answer in accepted else 'INCORRECT'}"


@pytest.fixture
def server(loopback: Any) -> Any:
    loopback.reply = by_letter
    return loopback
