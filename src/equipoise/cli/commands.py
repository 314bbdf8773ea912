"""How a command ends: bad input, or an output that nobody takes, is one line on stderr and exit code 1."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

from equipoise.cli.terminal.printable import printable
from equipoise.errors import InputError, unquoted

# Options that are not called as the parameters that they stand for.
CALLED = {"format": "from"}


class Commands(TyperGroup):
    """The group of all commands; Typer itself ends wrong usage with 2 and Ctrl-C with 130."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command as Typer does, and say so in one line where what it prints cannot be written."""
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except OSError as error:
            # What is still to be written would fail again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(error, BrokenPipeError):  # whoever reads has seen enough
                where = printable(str(error.filename or "standard output cannot be written"))
                typer.echo(f"error: {where}: {error.strerror}", err=True)
            sys.exit(1)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # Typer hands over its own context
        """Run the command, and end with an error message where it refuses its input."""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a label may not be in the terminal's alphabet
        try:
            return super().invoke(ctx)
        except InputError as error:
            reason = error.said(_as_option)
        except MemoryError:
            reason = "this machine's memory is too small for that many layers, experts or slots"
        typer.echo(f"error: {printable(reason)}", err=True)
        raise typer.Exit(1)


def _as_option(name: str, value: str | None) -> str:
    """Return a setting as it is typed: ``--max-moves``, or ``--locality soft``."""
    option = "--" + CALLED.get(name, name).replace("_", "-")
    return option if value is None else f"{option} {unquoted(value)}"
