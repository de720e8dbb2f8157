"""From a name to a component, through entry points, with options checked.

Every component, built-in or from a plug-in, is found in the same way: an entry point in one of the
groups `clara_bench.systems`, `.retrievers`, `.compressors`, `.readers`, `.tasks`, or a file
path such as `./mine.py:Mine`. Nothing is imported before it is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast, get_type_hints

from clara_bench.components import codebase
from clara_bench.errors import BenchError, ConfigError, UnknownName
from clara_bench.io.cache import digest
from clara_bench.io.escaping import one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind = Literal["system", "retriever", "compressor", "reader", "metric", "tracker"]

OPERATIONAL = MappingProxyType({"operational": True})
"""Metadata of an Options field that cannot change an answer: `field(default=8, metadata=OPERATIONAL)`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Component:
    """A component chosen by name, with the options given to it; the type of an Options field that nests one."""

    name: str
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """The name, with any options in brackets."""
        given = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}[{given}]" if given else self.name

    @property
    def short(self) -> Component:
        """As people see it: a plug-in by its file and class, without its folders, wherever it is named.

        >>> str(Component("plugins/own.py:Own", {"reader": "hf"}).short)
        'own-Own[reader=hf]'
        """
        return Component(_without_folders(self.name), {k: _without_folders(v) for k, v in self.options.items()})


def _without_folders(name: str) -> str:
    return Path(name).name.replace(".py:", "-") if ".py:" in name else name


def discover(kind: str) -> dict[str, EntryPoint]:
    """All entry points of one kind by name.

    Raises:
        ConfigError: two installed packages register the same name.
    """
    from importlib.metadata import entry_points  # slow to import, and --help needs none of it

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"clara_bench.{kind}s"):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise ConfigError(
                f"{kind} '{point.name}' is registered twice: {other.value} and {point.value}. "
                "Uninstall one of the two packages"
            )
        found[point.name] = point
    return found


def load(kind: Kind, name: str) -> type:
    """The class of a name or a `file.py:Class` path.

    Raises:
        UnknownName: nobody registered the name.
        ConfigError: the plug-in does not import or the file lacks the class.
    """
    if ".py:" in name:
        return _from_file(kind, name)
    if name.endswith(".py"):
        raise ConfigError(f"{kind} '{name}' names a file without a class. Expected PATH/FILE.py:CLASS")
    points = discover(kind)
    if name not in points:
        raise UnknownName(kind, name, points)
    with plugin_errors(f"{kind} '{name}' ({points[name].value}) does not import"):
        return cast(type, points[name].load())


def _from_file(kind: Kind, name: str) -> type:
    path_text, _, attribute = name.rpartition(":")
    path = Path(path_text)
    if not path.is_file():
        raise ConfigError(f"{kind} '{name}': no such file {path}. Expected PATH/FILE.py:CLASS")
    module_name = f"{codebase.PLUGIN}{path.stem}_{digest([str(path.absolute())])[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None, f"no loader for {path}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up by name
    with plugin_errors(f"{kind} '{name}' does not import"), _neighbours(path):
        spec.loader.exec_module(module)
    classes = [
        key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module_name
    ]
    if attribute not in classes:
        raise UnknownName("class", attribute, classes, where=str(path))
    return cast(type, getattr(module, attribute))


@contextlib.contextmanager
def _neighbours(file: Path) -> Iterator[None]:
    """Say how a module that lies beside a plug-in file is found."""
    try:
        yield
    except ModuleNotFoundError as error:
        top = str(error.name).partition(".")[0]
        if not any((file.parent / name).exists() for name in (top, f"{top}.py")):
            raise
        said = f"{file}: cannot import '{top}', which is beside it but not on Python's path"
        raise ConfigError(f"{said}. Set PYTHONPATH={file.parent}") from error


@contextlib.contextmanager
def plugin_errors(what: str) -> Iterator[None]:
    """Around a plug-in's own code: whatever it raises becomes a ConfigError beginning with `what`; Ctrl-C does not."""
    try:
        yield
    except (BenchError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit included
        raise ConfigError(f"{what}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What was raised and where, in one line that any file can hold."""
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    known = frames and not isinstance(error, SyntaxError)  # which says its own place
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if known else ""
    try:
        said = one_line(str(error).encode(errors="backslashreplace").decode())
    except Exception as unsaid:
        said = f"what it says raises {type(unsaid).__name__}"
    return f"{type(error).__name__}{': ' + said if said else ''}{place}"


def parse_options(component: type, given: Mapping[str, str], where: str) -> Any:
    """The component's `Options`, built from strings such as `k=5` or `retriever.model=PATH`.

    A dotted key goes to the nested component that the field before the dot names. Returns
    None when the component has no Options.

    Raises:
        UnknownName: an option the component does not have.
        ConfigError: a value of the wrong type, or a required option that is not given.
    """
    options_class = getattr(component, "Options", None)
    if options_class is None:
        if given:
            raise ConfigError(f"{where} takes no options, got: {', '.join(sorted(given))}")
        return None
    with plugin_errors(f"{where}: its Options must be a dataclass with known types"):
        hints = get_type_hints(options_class)
        fields = {field.name: field for field in dataclasses.fields(options_class)}
    flat, nested = _split(given)
    for key in (*flat, *nested):
        if key not in fields:
            raise UnknownName("option", key, fields, where=where)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if _nests(hints[name]):
            values[name] = _component(field, flat.get(name), nested.get(name, {}), where)
        elif name in nested:
            raise ConfigError(f"{where}: option '{name}' is not a component, so '{name}.…' cannot be set")
        elif name in flat:
            values[name] = _convert(flat[name], hints[name], f"{where}: option '{name}'")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            how = f"{name}=VALUE in brackets behind its name" if where.startswith("metric ") else f"-o {name}=VALUE"
            raise ConfigError(f"{where}: option '{name}' is required: add {how}")
    with plugin_errors(where):
        try:
            return options_class(**values)
        except (ValueError, TypeError) as error:  # an Options may check itself in __post_init__
            raise ConfigError(f"{where}: {error}") from error


def _component(
    field: dataclasses.Field[Any], name: str | None, options: Mapping[str, str], where: str
) -> Component | None:
    default = field.default.name if isinstance(field.default, Component) else None
    chosen = name or default
    if chosen:
        return Component(chosen, options)
    if options:
        raise ConfigError(
            f"{where}: options for '{field.name}' are given but no {field.name} is chosen: add -o {field.name}=NAME"
        )
    return None


def _split(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    flat: dict[str, str] = {}
    nested: dict[str, dict[str, str]] = {}
    for key, value in given.items():
        head, dot, rest = key.partition(".")
        if dot:
            nested.setdefault(head, {})[rest] = value
        else:
            flat[head] = value
    return flat, nested


def _nests(hint: Any) -> bool:
    return hint is Component or Component in getattr(hint, "__args__", ())


def _convert(text: str, hint: Any, where: str) -> Any:
    from clara_bench.io.parsing import convert, sound

    optional = type(None) in getattr(hint, "__args__", ())
    if optional and text.lower() in {"none", ""}:
        return None
    return sound(convert(text, hint, where, f"Got '{text}'", ConfigError, strict=False), where)


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """A component that was built, with those that it had built in turn."""

    kind: Kind
    chosen: Component
    component: type
    options: Any
    """Its Options; None where it has none."""
    instance: Any
    """None for one that is chosen and not built."""
    parts: tuple[Built, ...] = ()
    models: tuple[str, ...] = ()
    """Fingerprints of the models that it found while it was built."""


_shared: ContextVar[tuple[frozenset[str], dict[str, Built]] | None] = ContextVar("shared", default=None)
_parts: ContextVar[list[Built] | None] = ContextVar("parts", default=None)
_models: ContextVar[list[str] | None] = ContextVar("models", default=None)


@contextlib.contextmanager
def sharing(*kinds: Kind) -> Iterator[None]:
    """Within the block, components of these kinds with equal names and options are built once.

    For components that keep nothing between calls, such as readers: a suite then loads a
    model once, not once a run.
    """
    token = _shared.set((frozenset(kinds), {}))
    try:
        yield
    finally:
        _shared.reset(token)


def create(kind: Kind, chosen: Component) -> Any:
    """Build a component with its options.

    Raises:
        UnknownName, ConfigError: see `load` and `parse_options`.
    """
    return build(kind, chosen).instance


def build(kind: Kind, chosen: Component) -> Built:
    """Build a component and take note of every component that it builds itself, so that none goes unnoticed.

    Raises:
        UnknownName, ConfigError: see `load` and `parse_options`.
    """
    kinds, held = _shared.get() or (frozenset[str](), {})
    key = f"{kind} {chosen}"
    built = held[key] if kind in kinds and key in held else _build(kind, chosen)
    held[key] = built
    around = _parts.get()
    if around is not None:
        around.append(built)
    return built


def _build(kind: Kind, chosen: Component) -> Built:
    blank = unbuilt(kind, chosen)
    parts: list[Built] = []
    models: list[str] = []
    tokens = _parts.set(parts), _models.set(models)
    try:
        with plugin_errors(f"{kind} '{chosen.name}' cannot be made"):
            instance = blank.component() if blank.options is None else blank.component(blank.options)
    finally:
        _parts.reset(tokens[0])
        _models.reset(tokens[1])
    return dataclasses.replace(blank, instance=instance, parts=tuple(parts), models=tuple(models))


def found_model(fingerprint: str) -> None:
    """Take note that the component which is being built uses this model, whether or not it says so itself."""
    models = _models.get()
    if models is not None:
        models.append(fingerprint)


def unbuilt(kind: Kind, chosen: Component) -> Built:
    """A component's class and options, as it would be built.

    Raises:
        UnknownName, ConfigError: see `load` and `parse_options`.
    """
    component = load(kind, chosen.name)
    return Built(kind, chosen, component, parse_options(component, chosen.options, f"{kind} '{chosen.name}'"), None)


def kind_of(field: dataclasses.Field[Any]) -> Kind:
    """The kind of component in a field of Options: the field's name, or field(metadata={"kind": "retriever"})."""
    return cast(Kind, field.metadata.get("kind", field.name))


def effective_options(kind: Kind, chosen: Component) -> dict[str, Any]:
    """Every option with its effective value, nested components resolved, for the manifest."""
    options = unbuilt(kind, chosen).options
    if options is None:
        return {}
    return {field.name: _effective(field, getattr(options, field.name)) for field in dataclasses.fields(options)}


def _effective(field: dataclasses.Field[Any], value: Any) -> Any:
    if isinstance(value, Component):
        return {"name": value.name, "options": effective_options(kind_of(field), value)}
    return str(value) if isinstance(value, Path) else value
