"""Permission to repeat a manifest: what it would execute, download or send, listed before anything happens.

A manifest is untrusted data. It may name a code file, a model on the hub, an address to send questions to, and an
environment variable whose value is sent along.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clara_bench.components import codebase
from clara_bench.components.registry import Component, Kind, kind_of, unbuilt
from clara_bench.errors import ConfigError
from clara_bench.io.cache import file_digest
from clara_bench.io.redaction import HIDDEN
from clara_bench.records.manifest import Manifest
from clara_bench.running.run_config import Request

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def effects(request: Request) -> list[str]:
    """Effects of a request beyond reading files and running installed code, one line each; [] for none.

    Raises:
        UnknownName, ConfigError: an option or a name that installed components do not have.
    """
    found = [*_of_component("system", request.system), *_of_component("retriever", request.first_stage.retriever)]
    if request.source.on_hub:
        found.append(f"fetches the data set '{request.source.data}' from the Hugging Face hub")
    found += _of_option("tokenizer", request.source.chunk.get("tokenizer", ""), given=True)
    return list(dict.fromkeys(found))


def _of_component(kind: Kind, chosen: Component) -> Iterator[str]:
    """Of an installed component by its options in force; of a file by those given, for it must not be run to tell."""
    if ".py:" in chosen.name:
        yield f"runs the Python file {chosen.name.rpartition(':')[0]}"
        for name, value in chosen.options.items():
            yield from _of_option(name, value, given=True)
        return
    options = unbuilt(kind, chosen).options
    for field in () if options is None else dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Component):
            yield from _of_component(kind_of(field), value)
        else:
            yield from _of_option(field.name, value, given=field.name in chosen.options)


def _of_option(name: str, value: Any, given: bool) -> Iterator[str]:
    text = str(value)
    if ".py:" in text:
        yield f"runs the Python file {text.rpartition(':')[0]}"
    if "remote_code" in name and text.lower() == "true":
        yield "runs the Python code that comes with a model"
    if "://" in text:
        yield f"sends questions and passages to {text}"
    if name.endswith("_env"):
        for pair in filter(None, text.split(",")):
            yield f"sends the value of ${pair.rpartition('=')[2].strip()} with them"
    if given and _HUB_ID.fullmatch(text) and not Path(text).exists():
        yield f"fetches '{text}' from the Hugging Face hub, unless it is in the cache"


def refuse_hidden(request: Request) -> None:
    """Refuse a request some of whose options were secret.

    Raises:
        ConfigError: names them.
    """
    hidden = sorted(name for name, value in request.system.options.items() if value == HIDDEN)
    if hidden:
        raise ConfigError(
            f"the manifest does not contain the option {', '.join(hidden)}, which was secret. "
            "Start the run with its options instead of --manifest"
        )


def refuse_other_code(request: Request, expected: Manifest) -> None:
    """Refuse files of code that are not those which the manifest's run has run; none is run to find out.

    Raises:
        ConfigError: names the file.
    """
    known = set(_strings(expected["identity"]))
    for file in sorted(set(_files(request))):
        if file.is_file() and not {codebase.of_file(file).files, file_digest(file)} & known:
            raise ConfigError(
                f"this run differs from its manifest in: {file}, or a file that it imports. It was not run. "
                "The same plug-ins are needed"
            )


def _files(request: Request) -> Iterator[Path]:
    for component in (request.system, request.first_stage.retriever):
        for name in (component.name, *component.options.values()):
            if ".py:" in name:
                yield Path(name.rpartition(":")[0])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
