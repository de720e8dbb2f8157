"""The command line: each command parses, calls the library and prints.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any
from unicodedata import category

import click

from clara_bench import __version__
from clara_bench.__main__ import STOPPED
from clara_bench.cli.analysis.conformance import conformance
from clara_bench.cli.analysis.costs import costs
from clara_bench.cli.analysis.doctor import doctor
from clara_bench.cli.analysis.explain import explain
from clara_bench.cli.analysis.export import export
from clara_bench.cli.analysis.merge import merge
from clara_bench.cli.analysis.published import published
from clara_bench.cli.analysis.report import plot, report, view
from clara_bench.cli.analysis.throughput import throughput
from clara_bench.cli.board import compare, leaderboard
from clara_bench.cli.compressors import compressors
from clara_bench.cli.init import init
from clara_bench.cli.inspect import inspect
from clara_bench.cli.lists import list_, metrics, show, systems, tasks
from clara_bench.cli.run import run
from clara_bench.cli.score import publish, score
from clara_bench.cli.worlds import worlds
from clara_bench.errors import BenchError
from clara_bench.io.escaping import one_line
from clara_bench.io.terminal import degrade, note


class BadInput(click.ClickException):
    """A BenchError as shown by the command line: one line, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands may raise BenchError."""

    def main(self, *args: Any, **given: Any) -> Any:
        """Run the program. Characters that the console lacks are replaced; Ctrl-C ends it with one line."""
        degrade()
        alone = given.get("standalone_mode", True)
        try:
            code = super().main(*args, **{**given, "standalone_mode": False})
        except (click.Abort, KeyboardInterrupt):  # click's name for Ctrl-C
            said = "the same command goes on from there, or begins anew if nothing was written"
            note(f"Error: stopped. Nothing that was written is lost; {said}")
            sys.exit(STOPPED)
        except click.ClickException as error:
            if not alone:
                raise
            error.show()
            sys.exit(error.exit_code)
        return sys.exit(code) if alone else code

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Check that the arguments are text, then parse them."""
        for number, argument in enumerate(args, 1):
            refuse_strange(argument, f"argument {number}")
        with _plain_usage():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Errors that the user can fix have no traceback; a warning is one line."""
        try:
            with _told_in_one_line(), _plain_usage():
                return super().invoke(ctx)
        except BenchError as error:
            raise BadInput(one_line(str(error))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head` has seen enough; click ends in silence
                raise
            said = f"{os.fsdecode(error.filename or 'standard output')}: {error.strerror or error}. Check the path"
            raise BadInput(one_line(said)) from error


def refuse_strange(argument: str, where: str) -> None:
    """Refuse an argument that is not text: bytes that are not UTF-8, control characters, or an empty string.

    Raises:
        BadInput: the message shows the printable part of the argument.
    """
    if not argument:
        raise BadInput(f"{where} is empty, as from a variable that is not set. Give a value, or leave it out")
    strange = [character for character in argument if category(character) in _STRANGE and character not in "\n\t"]
    if strange:
        kind = "is not UTF-8" if category(strange[0]) == "Cs" else "holds a control character"
        raise BadInput(one_line(f"{where} {kind}: '{argument}'. Expected text"))


_STRANGE = ("Cc", "Cs")
"""Unicode's categories of controls and of halves of pairs, as which Python passes on bytes that are not UTF-8."""


@contextlib.contextmanager
def _plain_usage() -> Iterator[None]:
    """Quote what was given as everything is quoted."""
    try:
        yield
    except getattr(click.exceptions, "NoArgsIsHelpError", ()):  # shows the help, which is ours
        raise
    except click.UsageError as error:
        raise click.UsageError(one_line(error.format_message()), error.ctx) from error


@contextlib.contextmanager
def _told_in_one_line() -> Iterator[None]:
    """Warnings, and what ends a library's own thread, are a line each."""
    before = threading.excepthook
    with warnings.catch_warnings():
        warnings.showwarning, threading.excepthook = _one_line, _thread_ended
        try:
            yield
        finally:
            threading.excepthook = before


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    name = what.thread.name if what.thread else "a thread"
    note(f"warning: {name} ended: {what.exc_type.__name__}: {what.exc_value}")


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    note(f"warning: {message}")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clara-bench")
def main() -> None:
    """Compare text RAG, text compressors and latent compressors at equal backbone and equal candidates.

    \b
    Start here:
      clara-bench run --suite quick          run the quick suite on synthetic questions
      clara-bench leaderboard runs           rank what has been run
      clara-bench report runs                one HTML page of all of it, to look at
      clara-bench compare RUN OTHER          paired differences with 95 % CI
      clara-bench explain RUN                where answers are lost: retrieval, compression, reading
      clara-bench costs RUN OTHER            seconds, memory, operations, break-even
      clara-bench throughput -t nq -s rag    questions a second at each batch size
      clara-bench inspect RUN                read single questions and answers
      clara-bench list                       systems, retrievers, compressors, readers, tasks, suites
      clara-bench show NAME                  all about one of them, or about a metric
    """


for command in (
    init, run, merge, score, leaderboard, report, view, plot, compare, explain, costs, throughput, inspect, doctor,
    conformance, publish, published, export, list_, show, systems, compressors, worlds, tasks, metrics,
):  # fmt: skip
    main.add_command(command)
