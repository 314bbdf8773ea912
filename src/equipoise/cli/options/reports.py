"""Where a command writes its report and its picture, and what they say of the command."""

from __future__ import annotations

import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


WRITTEN = {"--output": "placement", "--csv": "table", "--report": "report", "--png": "picture"}
ENDINGS = {"--csv": (".csv",), "--report": (".html", ".htm"), "--png": (".png",)}
NEEDS = {"--report": "equipoise.report", "--png": "equipoise.report.picture"}


def check_files(
    written: dict[str, Path | None], read: Mapping[str, Path | Sequence[Path] | None], as_json: bool
) -> bool:
    """Refuse files that cannot be written, before the work is done that they shall hold.

    Return whether one of them is standard output, on which nothing else may be then.

    Parameters
    ----------
    written : dict of str to path or None
        The files to write, by their options.
    read : mapping of str to path, paths or None
        The files that are read, by what they are; none may be replaced.
    as_json : bool
        Whether JSON is printed on standard output.

    Raises
    ------
    typer.BadParameter
        If a name does not end as such files do, a file is there already for something else, or two of them, or one and
        JSON, are to be standard output.
    InputError
        If a folder is missing or may not be written to, or a package that is needed is not installed.
    """
    from equipoise.formats.files.atomic import STANDARD_OUTPUT, check_writable

    files = {what: [paths] if isinstance(paths, Path) else paths or () for what, paths in read.items()}
    taken = {path.resolve(): what for what, paths in files.items() for path in paths}
    for option, path in written.items():
        if path is None or path == STANDARD_OUTPUT:
            continue
        if path.resolve() in taken:
            raise typer.BadParameter(
                f"the {WRITTEN[option]} would replace the {taken[path.resolve()]}", param_hint=option
            )
        taken[path.resolve()] = WRITTEN[option]
        if option in ENDINGS and path.suffix.lower() not in ENDINGS[option]:
            raise typer.BadParameter(f"{path} does not end in {ENDINGS[option][0]}", param_hint=option)
        check_writable(path)
        if option in NEEDS:
            import_module(NEEDS[option])
    printed = [option for option, path in written.items() if path == STANDARD_OUTPUT]
    if len(printed) + as_json > 1:
        raise typer.BadParameter(
            f"the {WRITTEN[printed[0]]} is on standard output; write it to a file", param_hint=[*printed, "--json"][1]
        )
    return bool(printed)


def this_command() -> str:
    """Return the command as it was given, as a shell takes it."""
    return shlex.join(["equipoise", *sys.argv[1:]])
