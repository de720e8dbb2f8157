"""Progress of a synthesis run on disk: one line per document and kind, safe against a kill."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from clara_bench import ConfigError, DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.parsing import decode, decode_lines
from reference.synthesis.prompts import VERSION
from reference.synthesis.teacher import Written

Line = TypeVar("Line", bound=msgspec.Struct)
MEND = "Move the journal away, or choose another file to write"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all lines of a journal have in common."""

    model: str
    rounds: int
    temperature: float
    max_tokens: int
    prompts: int = VERSION
    schema: int = 1


class Numbered(msgspec.Struct, frozen=True):
    """One line of a journal."""

    number: int
    """The place, from 0, of what it is about."""


class Done(Numbered, frozen=True):
    """A document and a kind of which all is written, or which is dropped."""

    text: str
    """Digest of the document."""
    written: Written


def resume(path: Path, header: Header, documents: list[str]) -> dict[tuple[int, str], Written]:
    """The journal's lines about these documents; starts a new one if needed, and drops an incomplete last line.

    Raises:
        ConfigError: it was begun with other settings.
        DataError: it is no journal, or one of other documents.
    """
    done = begun(path, header, Done)
    for one in done:
        if one.number < len(documents) and one.text != digest(documents[one.number]):
            raise DataError(f"{path}: document {one.number} is another one than when the file was begun")
    return {(one.number, one.written.kind): one.written for one in done if one.number < len(documents)}


def begun(path: Path, header: msgspec.Struct, line: type[Line]) -> list[Line]:
    """The lines of a journal; starts a new journal if there is none, and drops an incomplete last line.

    Raises:
        ConfigError: it was begun with other settings.
        DataError: it is no journal.
    """
    whole, _, broken = read_bytes(path).rpartition(b"\n") if path.exists() else (b"", b"", b"")
    if not whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as journal:
            note(journal, header)
        return []
    lines = whole.split(b"\n")
    found = decode(lines[0], type(header), f"{path}: not a journal", MEND)
    done = [value for _, value in decode_lines(lines[1:], line, f"{path}: not a journal", MEND, first=2)]
    _agree(path, found, header)
    if broken:
        with path.open("r+b") as journal:
            journal.truncate(len(whole) + 1)
    return done


def _agree(path: Path, found: msgspec.Struct, wanted: msgspec.Struct) -> None:
    differing = [
        f"{name} {getattr(found, name)!r}, now {getattr(wanted, name)!r}"
        for name in wanted.__struct_fields__
        if getattr(found, name) != getattr(wanted, name)
    ]
    if differing:
        raise ConfigError(
            f"{path}: begun with {'; '.join(differing)}. Choose another file to write, or the old setting"
        )


def note(journal: IO[bytes], line: msgspec.Struct) -> None:
    """Append a line and flush it."""
    journal.write(msgspec.json.encode(line) + b"\n")
    journal.flush()


def digest(document: str) -> str:
    """Digest of a document's text."""
    return hashlib.sha256(document.encode()).hexdigest()[:16]
