"""clara-bench list, show: what there is, and what each thing means."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import click

from clara_bench.cli.catalogue import COMPONENTS, KINDS, SETTINGS, Meaning, kind_named, meanings
from clara_bench.io.terminal import note, print_table, say
from clara_bench.systems.skeleton import write_skeleton


@click.command("list")
@click.argument("kind", required=False)
def list_(kind: str | None) -> None:
    """List systems, tasks, metrics and all else by name.

    KIND is systems, retrievers, compressors, readers, prompts, tasks, settings, metrics or suites. Without it all are
    listed except metrics.

    \b
    Examples:
      clara-bench list
      clara-bench list metrics
    """
    if kind is not None:
        _list(kind_named(kind))
        return
    for each in KINDS:
        if each != "metric":
            say(f"{each}s")
            _list(each)
            say("")
    say("Metrics: clara-bench list metrics. One of them in full: clara-bench show NAME")


def _list(kind: str) -> None:
    entries = KINDS[kind]()
    outside = any(entry.package for entry in entries)
    print_table([kind, "what it is", *["package"] * outside], [entry[: 2 + outside] for entry in entries])


@click.command()
@click.argument("name")
@click.option("--kind", metavar="KIND", help="What the name names, where several things are called so.")
def show(name: str, kind: str | None) -> None:
    """Show one thing in full: options, definition, source.

    NAME may be of any kind, such as a system, metric, task or suite, or a plug-in FILE.py:CLASS.

    Names that the field uses lead to ours: oracle, open, closed-book, reranking, exact-match.

    \b
    Examples:
      clara-bench show rag
      clara-bench show recall@5
      clara-bench show oracle
      clara-bench show quick --kind suite
    """
    found = meanings(name, kind and kind_named(kind))
    exact = [one for one in found if one.name == name]
    shown = exact or found
    for one in shown:
        _show(one)
    others = [one for one in found if one not in shown]
    if others:
        say("See also: " + ", ".join(f"{one.kind} {one.name}" for one in others))


def _show(one: Meaning) -> None:
    from clara_bench.metrics import plugin

    say(f"{one.kind} {one.name}")
    if one.kind in COMPONENTS or (one.kind == "metric" and one.name in plugin.names()):
        _show_component(one.kind, one.name)
    else:
        shows = {
            "task": _show_task, "metric": _show_metric, "prompt": _show_prompt, "suite": _show_suite,
            "setting": _show_setting,
        }  # fmt: skip
        shows[one.kind](one.name)
    say("")


def _show_component(kind: Any, name: str) -> None:
    from clara_bench.components.registry import load, plugin_errors

    component = load(kind, name)
    say((component.__doc__ or "").strip())
    options = getattr(component, "Options", None)
    if options is None:
        say("It takes no options.")
        return
    docs = _attribute_docs(options)
    with plugin_errors(f"{kind} '{name}': its Options must be a dataclass with known types"):
        hints = get_type_hints(options)
    rows = [[field.name, _type(field, hints), _default(field), docs.get(field.name, "")]
            for field in dataclasses.fields(options)]  # fmt: skip
    print_table(["option", "type", "default", "meaning"], rows)


def _type(field: dataclasses.Field[Any], hints: dict[str, Any]) -> str:
    """A field's type as its class writes it; of a choice that has a name of its own, the choices."""
    if get_origin(hints[field.name]) is Literal:
        return str(hints[field.name]).removeprefix("typing.")
    return getattr(field.type, "__name__", str(field.type))


def _show_task(name: str) -> None:
    from clara_bench.metrics import get
    from clara_bench.tasks import definitions

    task = definitions.load(name)
    for metric in (*task.metrics, task.main_metric):
        get(metric, task.answer_scorer)
    _fields(task)


def _show_metric(name: str) -> None:
    from clara_bench import metrics

    metric = metrics.get(name.replace("@k", "@5"))
    better = "higher" if metric.higher_is_better else "lower"
    rows = [["family", metric.family], ["unit", metric.unit], ["better", better]]
    rows += [["definition", metric.description], ["source", metric.citation]]
    print_table(["metric", metric.name], rows)


def _show_prompt(name: str) -> None:
    from clara_bench.read.prompts import get_prompt

    _fields(get_prompt(name))


def _show_setting(name: str) -> None:
    say(f"{SETTINGS[name]}. Choose it with: clara-bench run --setting {name}")


def _show_suite(name: str) -> None:
    from clara_bench.running import suites

    suite = suites.load(name)
    limit = "all" if suite.limit is None else str(suite.limit)
    say(f"{suite.description}\n{limit} questions of each of: {', '.join(suite.tasks)}")
    rows = [[entry.label, entry.setting, entry.system, _pairs(entry.options), ", ".join(entry.tasks or ("all",))]
            for entry in suite.entries]  # fmt: skip
    print_table(["label", "setting", "system", "options", "tasks"], rows)
    say(f"Run it with: clara-bench run --suite {name}")


def _pairs(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())


@click.group()
def systems() -> None:
    """Start a system of your own."""


@systems.command("new")
@click.argument("name")
@click.option("--folder", default=".", type=click.Path(path_type=Path), help="Where to put it.")
def new_system(name: str, folder: Path) -> None:
    """Write a working system of your own with its test. Example: clara-bench systems new my_system."""
    for path in write_skeleton(name, folder):
        say(path)


@click.group(hidden=True)
def tasks() -> None:
    """Tasks, by their first names: see clara-bench list tasks."""


@click.group(hidden=True)
def metrics() -> None:
    """Metrics, by their first names: see clara-bench list metrics."""


def _first_names(group: click.Group, kinds: Sequence[str]) -> None:
    """The commands `list` and `show` of a group as they were called first; they say what they are called now."""

    def list_kinds() -> None:
        note("'" + f"{group.name} list" + "' is now: clara-bench list " + f"{kinds[0]}s")
        for kind in kinds:
            _list(kind)

    def show_kind(name: str, kind: str) -> None:
        note(f"'{group.name} show' is now: clara-bench show {name}")
        for one in meanings(name, kind_named(kind))[:1]:
            _show(one)

    said = f"Its name now: clara-bench list {kinds[0]}s. Example: clara-bench list {kinds[0]}s."
    group.add_command(click.Command("list", callback=list_kinds, help=said, hidden=True))
    parameters = [click.Argument(["name"]), click.Option(["--kind"], default=kinds[0], help="What the name names.")]
    said = "Its name now: clara-bench show NAME. Example: clara-bench show NAME."
    group.add_command(click.Command("show", params=parameters, callback=show_kind, help=said, hidden=True))


for _group, _kinds in ((systems, COMPONENTS), (tasks, ("task",)), (metrics, ("metric",))):
    _first_names(_group, _kinds)


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
