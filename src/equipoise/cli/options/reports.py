"""Where a command writes its report and its picture, and what they say of the command."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path


def check_report_files(report: Path | None, png: Path | None, others: dict[str, Path | None]) -> None:
    """Refuse files that cannot be written, before the work is done that they shall show.

    Parameters
    ----------
    report, png : path or None
        The page and the picture to write.
    others : dict of str to path or None
        The other files of the command, by what they are; none may be replaced.

    Raises
    ------
    typer.BadParameter
        If the picture's name does not end in .png, or two files are the same.
    InputError
        If a folder is missing or may not be written to, or a package that is needed is not installed.
    """
    from equipoise.formats.files.atomic import check_writable

    if png is not None and png.suffix.lower() != ".png":
        raise typer.BadParameter(f"{png} does not end in .png", param_hint="--png")
    taken = {path.resolve(): what for what, path in others.items() if path is not None}
    for option, path, what in (("--report", report, "report"), ("--png", png, "picture")):
        if path is None:
            continue
        if path.resolve() in taken:
            raise typer.BadParameter(f"the {what} would replace the {taken[path.resolve()]}", param_hint=option)
        taken[path.resolve()] = what
        check_writable(path)
        import_module("equipoise.report" if path is report else "equipoise.report.picture")


def this_command() -> str:
    """Return the command as it was given, as a shell takes it."""
    return shlex.join(["equipoise", *sys.argv[1:]])


def print_files(files: dict[str, str | None]) -> None:
    """Say where what was written is."""
    from equipoise.cli.terminal.console import print_line

    for what, path in files.items():
        if path:
            print_line(f"The {what} is in {path}")
