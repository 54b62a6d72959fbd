"""The command line ``gxevent``: one file a command, each of which parses, calls one function below, and prints."""

from __future__ import annotations

import importlib
import keyword
import os
import sys
from typing import Any

import click

from gxevent import __version__

COMMANDS = (
    "demo",
    "info",
    "train",
    "import",
    "compile",
    "inspect",
    "run",
    "crosscheck",
    "graph",
    "chips",
    "map",
    "simulate",
    "events",
    "report",
    "bench",
    "zoo",
    "completion",
)


class LazyGroup(click.Group):
    """Imports a command's module only when it is asked for, so that ``gxevent --help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        return importlib.import_module(f"gxevent.cli.{module}").command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gxevent")
def cli() -> None:
    """Event-stream runtime for ternary neural networks.

    Try it: gxevent demo
    """


def main(args: list[str] | None = None) -> None:
    """Entry point: exit status 0 done, 1 a check failed, 2 bad input or usage (one line says what)."""
    from gxevent.errors import GxError

    args = sys.argv[1:] if args is None else args
    try:
        status: Any = cli.main(args, prog_name="gxevent", standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "gxevent"
        _fail(f"{error.format_message()} (see: {command} --help)", 2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except GxError as error:
        if "--debug" in args:
            raise
        _fail(_with_hint(str(error)), 2)
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, MemoryError) as error:
        if "--debug" in args:
            raise
        _fail(f"the system refused: {error or 'out of memory'}", 2)
    sys.exit(status if isinstance(status, int) else 0)


def _with_hint(message: str) -> str:
    """The message; where a file that is missing has the name of a shipped one, how to get that."""
    from gxevent.files import shipped_names

    name = os.path.basename(message.partition(":")[0])
    missing = "no such file" in message and name in shipped_names()
    return f"{message}; gxevent zoo {name} copies the shipped one here" if missing else message


def _fail(message: str, status: int) -> None:
    print(f"gxevent: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
