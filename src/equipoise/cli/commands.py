"""How a command begins and ends: it is imported by its name, and what is wrong is one line on stderr, exit code 1."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

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


class Later(TyperCommand):
    """A command of which only name and summary are known: ``warm-up`` is the function of ``cli/warm_up.py``."""

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **more: Any) -> Any:
        """Read the arguments as the command itself does, which is the one that runs then."""
        called = str(self.name).replace("-", "_")
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(getattr(import_module(f"equipoise.cli.{called}"), called))
        return typer.main.get_command(alone).make_context(info_name, args, *others, **more)


def _as_option(name: str, value: str | None) -> str:
    """Return a setting as it is typed: ``--max-moves``, or ``--locality soft``."""
    option = "--" + CALLED.get(name, name).replace("_", "-")
    return option if value is None else f"{option} {unquoted(value)}"
