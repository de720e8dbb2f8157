"""Redaction of credentials and home folders from text that others will read.

Labels, manifests, records and messages pass through here, so that no password of an address and no token of an
exception reaches a published file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "***"

_USER_INFO = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_NAMED = re.compile(
    r"(?i)((?:api[-_]?key|authorization|password|passwd|client[-_]?secret|access[-_]?token|auth[-_]?token|[?&](?:key|token|sig))"
    r"['\"]?\s*[=:]\s*['\"]?)(?:(?:bearer|basic)\s+)?[^\s,;&'\"\]}]+"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}")
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[\w-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
)
"""As providers make them: Hugging Face, OpenAI and its kin, GitHub, GitLab, Slack, Amazon, Google."""
_SECRET_KEY = re.compile(
    r"(?i)(?:^|[._-])(?:api_?key|authorization|password|passwd|secret|token|access_token|auth_token|hf_token)$"
)


def without_secrets(text: str) -> str:
    """The text without credentials.

    >>> without_secrets("GET https://me:word@host/v1?api_key=abc failed for sk-0123456789abcdef0")
    'GET https://host/v1?api_key=*** failed for ***'
    """
    text = _USER_INFO.sub("", text)
    text = _NAMED.sub(rf"\g<1>{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, _BEARER.sub(rf"\g<1>{HIDDEN}", text))


def redacted(value: Any) -> Any:
    """A plain value without credentials, and with `~` for the folder of the person who runs this."""
    if isinstance(value, str):
        return _from_home(without_secrets(value))
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(one, str) and one and _SECRET_KEY.search(str(key)) else redacted(one)
            for key, one in value.items()
        }
    return [redacted(one) for one in value] if isinstance(value, list | tuple) else value


def at_home(value: Any) -> Any:
    """A redacted value with the home of the person who runs this in place of `~`."""
    if isinstance(value, str):
        return f"{_home() or '~'}{value[1:]}" if value.startswith("~/") else value
    if isinstance(value, Mapping):
        return {key: at_home(one) for key, one in value.items()}
    return [at_home(one) for one in value] if isinstance(value, list | tuple) else value


def _from_home(text: str) -> str:
    home = _home()
    return re.sub(rf"(?<!\w){re.escape(home)}(?![\w.-])", "~", text) if home else text


def _home() -> str:
    """The home of the person who runs this; "" where there is none."""
    try:
        return str(Path.home()).rstrip("/\\")
    except RuntimeError:  # no $HOME, and a user that the system does not know
        return ""
