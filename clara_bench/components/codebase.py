"""The code of a component: its file, the user's modules that it imports, and the packages they use.

Import statements are parsed, also inside functions; nothing is imported or executed. The user's modules are hashed and
their imports followed; installed packages count by version. clara-bench itself and the standard library are left out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

from clara_bench.io.cache import digest, file_digest

PLUGIN = "clara_bench_plugin_"
"""Prefix of the module name of a plug-in file."""
_NOT_COUNTED = frozenset({"clara_bench", "clara_bench_tasks", *sys.stdlib_module_names})
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Codebase(NamedTuple):
    """What decides how a component behaves, its options and models left out."""

    files: str
    """SHA-256 over the names and contents of the plug-in's modules; "" for a built-in component."""
    packages: dict[str, str]
    """Versions of the packages that these import."""

    @property
    def key(self) -> str:
        """A short form for file names."""
        return digest([self.files, *(f"{name} {version}" for name, version in self.packages.items())])


class _Module(NamedTuple):
    name: str
    """In imports; for a plug-in given as a file the file's name alone, so that its place does not count."""
    file: Path
    package: str
    """What relative imports in it are relative to."""


def of_component(component: type) -> Codebase:
    """The code behind a class."""
    module = sys.modules.get(component.__module__)
    file = getattr(module, "__file__", None)
    if file is None or component.__module__.partition(".")[0] in _NOT_COUNTED:
        return Codebase("", {})
    if component.__module__.startswith(PLUGIN):
        return of_file(Path(file))
    return _walk(list(_modules(component.__module__)), own=component.__module__.partition(".")[0])


def of_file(file: Path) -> Codebase:
    """The code behind a plug-in given as a file, which is not run."""
    return _walk([_Module(file.name, file, "")], own="")


def _walk(waiting: list[_Module], own: str) -> Codebase:
    """Follow imports from some modules on; `own` is the package that counts by its files even where it is installed."""
    hashes: dict[str, str] = {}
    others = {own} - {""}
    while waiting:
        module = waiting.pop()
        if module.name in hashes:
            continue
        hashes[module.name] = file_digest(module.file)
        for found in _imported(module):
            top = found.name.partition(".")[0]
            if top != own and _INSTALLED & set(found.file.parts):
                others.add(top)
            else:
                waiting.append(found)
    return Codebase(digest(part for item in sorted(hashes.items()) for part in item), _versions(others))


def _imported(module: _Module) -> Iterator[_Module]:
    """The modules that a module imports, and scripts in its folder; modules that cannot be found are left out."""
    if module.file.suffix != ".py":
        return
    try:
        tree = ast.parse(module.file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for name in _names(node, module.package):
            yield from _modules(name)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            beside = module.file.parent / node.value
            if beside.is_file():
                yield _Module(beside.name, beside, "")


def _names(node: ast.AST, package: str) -> list[str]:
    """The modules that one statement or call imports; of `from a import b` also a.b, which may be one."""
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(module=name, names=aliases, level=level):
            base = _absolute("." * level + (name or ""), package)
            return [base, *(f"{base}.{alias.name}" for alias in aliases)] if base else []
        case ast.Call(
            func=ast.Name(id=function) | ast.Attribute(attr=function), args=[ast.Constant(value=str(name)), *_]
        ):
            return [_absolute(name, package)] if function in {"import_module", "__import__"} else []
    return []


def _absolute(name: str, package: str) -> str:
    """A module's full name; "" where a relative one goes beyond the package."""
    try:
        return importlib.util.resolve_name(name, package) if name.startswith(".") else name
    except ImportError:
        return ""


def _modules(name: str) -> Iterator[_Module]:
    """A module and its parent packages, if they are files of the user."""
    if not name or name.partition(".")[0] in _NOT_COUNTED:
        return
    spec: ModuleSpec | None = None
    for part in name.split("."):
        spec = _found(part, spec)
        if spec is None:
            return
        if spec.has_location and spec.origin and Path(spec.origin).is_file():
            package = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
            yield _Module(spec.name, Path(spec.origin), package)


def _found(part: str, parent: ModuleSpec | None) -> ModuleSpec | None:
    """The file of a module; unlike `find_spec` of a dotted name, this does not import the parent package."""
    try:
        if parent is None:
            return importlib.util.find_spec(part)
        if parent.submodule_search_locations is None:
            return None
        name = f"{parent.name}.{part}"
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        specs = (find(name, parent.submodule_search_locations) for find in finders if find is not None)
        return next((spec for spec in specs if spec is not None), None)
    except (ImportError, ValueError, AttributeError):  # ValueError: a module that was made by hand and has no spec
        return None


def _versions(packages: set[str]) -> dict[str, str]:
    """The versions of the distributions that some packages came with."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if found.keys() != packages:  # slow, and only for those that are called otherwise than what they came with
        came_with = packages_distributions()
        found |= {name: version(name) for package in packages - found.keys() for name in came_with.get(package, ())}
    return dict(sorted(found.items()))
