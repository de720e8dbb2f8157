"""clara-bench tasks, systems, metrics: what there is, and what each thing means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from clara_bench.io.terminal import print_table, say
from clara_bench.systems.skeleton import write_skeleton

KINDS = ("system", "retriever", "compressor", "reader")


@click.group()
def tasks() -> None:
    """Tasks: list them, show one."""


@tasks.command("list")
def list_tasks() -> None:
    """Every task, ours and those of installed plug-ins. Example: clara-bench tasks list."""
    from clara_bench.tasks import definitions as library

    loaded = [library.load(name) for name in library.names()]
    print_table(["task", "version", "title", "settings"],
           [[task.name, str(task.version), task.title, ", ".join(task.settings)] for task in loaded])  # fmt: skip


@tasks.command("show")
@click.argument("name")
def show_task(name: str) -> None:
    """Everything a task declares. Example: clara-bench tasks show hotpotqa."""
    from clara_bench.tasks import definitions as library

    _fields(library.load(name))


@click.group()
def systems() -> None:
    """Systems: list them, show one, start your own."""


@systems.command("list")
def list_systems() -> None:
    """Every system, and the parts that systems choose from. Example: clara-bench systems list."""
    from clara_bench.components.registry import discover

    rows = [
        [kind, name, point.value, point.dist.name if point.dist else ""]
        for kind in KINDS
        for name, point in sorted(discover(kind).items())
    ]
    print_table(["kind", "name", "class", "package"], rows)


@systems.command("show")
@click.argument("name")
@click.option("--kind", default="system", show_default=True, type=click.Choice(KINDS), help="What the name names.")
def show_system(name: str, kind: Any) -> None:
    """A component and its options. Example: clara-bench systems show rag."""
    from clara_bench.components.registry import load

    component = load(kind, name)
    say(f"{name}: {(component.__doc__ or '').strip()}")
    options = getattr(component, "Options", None)
    if options is None:
        say("It takes no options.")
        return
    docs = _attribute_docs(options)
    rows = [[field.name, getattr(field.type, "__name__", str(field.type)), _default(field), docs.get(field.name, "")]
            for field in dataclasses.fields(options)]  # fmt: skip
    print_table(["option", "type", "default", "meaning"], rows)


@systems.command("new")
@click.argument("name")
@click.option("--folder", default=".", type=click.Path(path_type=Path), help="Where to put it.")
def new_system(name: str, folder: Path) -> None:
    """Write a working system of your own with its test. Example: clara-bench systems new my_system."""
    for path in write_skeleton(name, folder):
        say(path)


@click.group()
def metrics() -> None:
    """Metrics: list them, show one."""


@metrics.command("list")
def list_metrics() -> None:
    """Every metric. Example: clara-bench metrics list."""
    from clara_bench import metrics as library

    found = [(name, library.get(name.replace("@k", "@5"))) for name in library.names()]
    rows = [[name, metric.family, metric.unit, metric.description] for name, metric in found]
    print_table(["metric", "family", "unit", "meaning"], rows)


@metrics.command("show")
@click.argument("name")
def show_metric(name: str) -> None:
    """One metric's definition and source. Example: clara-bench metrics show recall@5."""
    from clara_bench import metrics as library

    metric = library.get(name)
    better = "higher" if metric.higher_is_better else "lower"
    rows = [["family", metric.family], ["unit", metric.unit], ["better", better]]
    rows += [["definition", metric.description], ["source", metric.citation]]
    print_table(["metric", metric.name], rows)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return str(field.default)
    return "required" if field.default_factory is dataclasses.MISSING else str(field.default_factory())


def _attribute_docs(options: type) -> dict[str, str]:
    """The string literal below each field, as the source has it."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0]
    assert isinstance(body, ast.ClassDef), f"{options} is not a class"
    docs = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            docs[ast.unparse(field.target)] = str(text.value.value)
    return docs


def _fields(record: Any) -> None:
    import msgspec

    rows = [
        [key, _plain(value)] for key, value in msgspec.to_builtins(record).items() if value not in (None, "", [], {})
    ]
    print_table(["field", "value"], rows)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_plain(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
