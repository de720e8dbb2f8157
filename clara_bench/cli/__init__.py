"""The command line: each command parses, calls the library and prints.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import errno
import warnings
from typing import Any

import click

from clara_bench import __version__
from clara_bench.cli.board import leaderboard
from clara_bench.cli.compare import compare
from clara_bench.cli.compressors import compressors
from clara_bench.cli.inspect import inspect
from clara_bench.cli.lists import metrics, systems, tasks
from clara_bench.cli.output import printable
from clara_bench.cli.publish import publish
from clara_bench.cli.run import run
from clara_bench.cli.score import score
from clara_bench.cli.worlds import worlds
from clara_bench.errors import BenchError


class BadInput(click.ClickException):
    """A BenchError as the command line shows it: one line, exit code 2."""

    exit_code = 2


class Stopped(click.ClickException):
    """Ctrl-C as the command line shows it, with the exit code that shells give it."""

    exit_code = 130


class Commands(click.Group):
    """A group whose commands may raise BenchError."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what a user can mend is shown without a traceback, a warning in one line."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _one_line
                return super().invoke(ctx)
        except BenchError as error:
            raise BadInput(printable(" ".join(str(error).split()))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head` has seen enough; click ends in silence
                raise
            raise BadInput(
                f"{error.filename or 'standard output'}: {error.strerror or error}. Check the path"
            ) from error
        except KeyboardInterrupt:
            said = "the same command goes on from there, or begins anew if nothing was written"
            raise Stopped(f"stopped. Nothing that was written is lost; {said}") from None


def _one_line(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"warning: {message}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clara-bench")
def main() -> None:
    """Compare text RAG, text compressors and latent compressors at equal backbone and equal candidates.

    \b
    Start here:
      clara-bench run --suite quick          run the quick suite on made-up worlds
      clara-bench leaderboard runs           rank what has been run
      clara-bench compare RUN OTHER          by how much they differ
      clara-bench inspect RUN                read single questions and answers
    """


for command in (run, score, leaderboard, compare, inspect, publish, tasks, systems, compressors, metrics, worlds):
    main.add_command(command)
