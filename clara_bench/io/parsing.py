"""Parsing of JSON, JSON lines and TOML into checked values.

A caller gets a value of the requested type, or an error that names the file and the place. Data are never executed,
and no key is lost silently (see unknown_keys.py).
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clara_bench.errors import BenchError, ConfigError, DataError
from clara_bench.io.opening import read_bytes
from clara_bench.io.unknown_keys import key_check

T = TypeVar("T")

DEEPEST = 60
"""Tables within tables that a TOML file may hold."""
LARGEST_NUMBER = 2**63
"""Whole numbers that any other reader of TOML or JSON can hold are below it."""


@contextlib.contextmanager
def in_bulk() -> Iterator[None]:
    """In the block, or the function that this decorates, Python looks for no garbage in cycles.

    Each search passes over all records read so far, none of which is garbage: half of the time of scoring 12,576
    questions, and more with more of them.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def decode(
    data: bytes | str,
    kind: type[T],
    where: str,
    mend: str = "",
    error: type[BenchError] = DataError,
    strict: bool = True,
) -> T:
    """JSON as a value of a type.

    Args:
        data: the JSON.
        kind: the type.
        where: file and place, which begin the message.
        mend: what to do when it is refused, which ends the message.
        error: what to raise.
        strict: False takes "3" for 3.

    Raises:
        BenchError: of the kind asked for.
    """
    with refusing(where, mend, error):
        return decoder(kind, strict)(data)


def read_json(
    path: Path,
    kind: type[T],
    mend: str = "Check the path",
    error: type[BenchError] = DataError,
    strict: bool = True,
) -> T:
    """The value in a JSON file.

    Raises:
        BenchError: of the kind asked for.
    """
    return decode(read_bytes(path, mend, error), kind, str(path), mend, error, strict)


def decode_lines(
    lines: Iterable[bytes], kind: type[T], where: str, mend: str = "", first: int = 1, whole: bool = False
) -> Iterator[tuple[int, T]]:
    """JSON lines as values of a type, each with its number; blank lines are passed over.

    Args:
        lines: the lines, with or without their ends.
        kind: the type.
        where: the file, which begins a message.
        mend: what to do when a line is refused, which ends it.
        first: number of the first line.
        whole: refuse records that lack a key (see `key_check`).

    Raises:
        DataError: names the line.
    """
    decoded = decoder(kind, whole=whole)
    for number, line in enumerate(lines, first):
        if line and not line.isspace():
            with refusing(f"{where}: line {number}", mend):
                value = decoded(line)
            yield number, value


def decode_again(lines: Iterable[bytes], kind: type[T], where: str) -> list[T]:
    """JSON lines that `decode_lines` has read before, by the same code from the same bytes: several times faster.

    Raises:
        DataError: a line is not of that type after all.
    """
    decode = msgspec.json.Decoder(kind).decode
    with refusing(where, "Put the file back as it was written"):
        return [decode(line) for line in lines if line and not line.isspace()]


def decoder(kind: type[T], strict: bool = True, whole: bool = False) -> Callable[[bytes | str], T]:
    """What decodes values of one type; to be called within `refusing`.

    A line that the value gives again to the byte has exactly the keys it should: it is ours, and needs no other check.
    """
    typed = msgspec.json.Decoder(kind, strict=strict).decode
    if key_check(kind) is None:
        return typed
    plain, converted = msgspec.json.Decoder(), converter(kind, strict, whole)

    def decoded(data: bytes | str) -> T:
        if whole:
            with contextlib.suppress(ValueError, RecursionError, OverflowError):  # said by the other way, with its key
                value = typed(data)
                if msgspec.json.encode(value) == data:
                    return value
        return converted(plain.decode(data))

    return decoded


def converter(kind: type[T], strict: bool = True, whole: bool = False) -> Callable[[Any], T]:
    """What makes values out of JSON or TOML ones of one type; to be called within `refusing`."""
    check = key_check(kind, whole)

    def converted(value: Any) -> T:
        if check is not None:
            check(value)
        return msgspec.convert(value, kind, strict=strict)

    return converted


def convert(
    value: Any, kind: type[T], where: str, mend: str = "", error: type[BenchError] = DataError, strict: bool = True
) -> T:
    """A value out of JSON or TOML as one of a type, else as `decode`.

    Raises:
        BenchError: of the kind asked for.
    """
    with refusing(where, mend, error):
        return converter(kind, strict)(value)


def refuse_repeated_keys(data: bytes, where: str) -> None:
    """Refuse JSON objects with a repeated key, of which decoders silently keep the last.

    Raises:
        DataError: names the key.
    """

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        once = dict(found)
        if len(once) < len(found):
            names = [name for name, _ in found]
            raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' comes twice")
        return once

    with refusing(where, "Keep one of them"):
        json.loads(data, object_pairs_hook=pairs)


def read_toml(path: Path, mend: str = "Check the path", error: type[BenchError] = ConfigError) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        BenchError: of the kind asked for; see `decode_toml`.
    """
    return decode_toml(read_bytes(path, mend, error), str(path), error)


def decode_toml(data: bytes | str, where: str, error: type[BenchError] = ConfigError) -> dict[str, Any]:
    """TOML as tables.

    Raises:
        BenchError: of the kind asked for; it is not TOML in UTF-8, is nested too deeply, or holds a number that is
            not finite or of more than 64 bits.
    """
    with refusing(f"{where}: not TOML", "", error):
        text = data.decode() if isinstance(data, bytes) else data
        tables = tomllib.loads(text.removeprefix("\ufeff"))  # some editors open a file with a byte order mark
    return sound(tables, where, error)


def sound(value: T, where: str, error: type[BenchError] = ConfigError) -> T:
    """The value, if it is not nested too deeply and each of its numbers is finite and of at most 64 bits.

    Raises:
        BenchError: of the kind asked for.
    """
    with refusing(where, "", error):
        _refuse_strange(value)
    return value


def _refuse_strange(tables: Any) -> None:
    waiting: list[tuple[int, str, Any]] = [(0, "$", tables)]
    while waiting:
        depth, at, value = waiting.pop()
        if depth > DEEPEST:
            raise RecursionError
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"expected a finite number at {at}, got {value}")
        if isinstance(value, int) and not -LARGEST_NUMBER <= value < LARGEST_NUMBER:
            raise ValueError(f"expected a number of at most 64 bits at {at}")
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [(depth + 1, f"{at}.{key}", one) for key, one in inner]


@contextlib.contextmanager
def refusing(where: str, mend: str = "", error: type[BenchError] = DataError) -> Iterator[None]:
    """Turn decoder errors into an error that says where, what, and how to fix it."""
    try:
        yield
    except (ValueError, RecursionError, OverflowError) as raised:  # msgspec's, tomllib's and codecs' are ValueErrors
        raise error(f"{where}: {reason(raised)}{'. ' + mend if mend else ''}") from raised


_FINITE = re.compile(r"float [<>]= -?1\.7976931348623157e\+308")


def reason(error: Exception) -> str:
    """Why something cannot be decoded, in the words of the rest of our errors.

    >>> reason(msgspec.ValidationError("Expected `str`, got `int` - at `$.answer`"))
    'expected str at $.answer, got int'
    """
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte 0x{error.object[error.start]:02x})"
    if "set_int_max_str_digits" in str(error):
        return "a whole number of thousands of digits"
    text = str(error).replace("`", "")
    text = _FINITE.sub("a finite number", text)
    match = re.fullmatch(r"(?P<what>.*?)(?P<got>, got .*?)? - at (?P<path>\S+)", text)
    if match:
        text = f"{match['what']} at {match['path']}{match['got'] or ''}"
    text = text.removeprefix("JSON is malformed: ")
    not_json = isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError)
    return f"{'not JSON: ' if not_json else ''}{text[:1].lower()}{text[1:]}"
