"""Files that are written whole or not at all; ``-`` is standard output."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from equipoise.errors import InputError
from equipoise.formats.files.refusals import naming

STANDARD_OUTPUT = Path("-")


def check_writable(path: str | Path) -> None:
    """Refuse a path that :func:`write_whole` could not write to, before the work is done that it shall hold.

    Raises
    ------
    InputError
        If its folder is missing or may not be written to, or the path is a folder or a device.
    """
    if Path(path) == STANDARD_OUTPUT:
        return
    target = Path(path).resolve()
    with naming(Path(path)):
        if target.exists() and not target.is_file():
            raise InputError("not an ordinary file; expected the name of a file to write")
        if not target.parent.is_dir():
            raise InputError(f"there is no folder {target.parent}; create it first")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise InputError(f"the folder {target.parent} may not be written to")


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, so that the file holds, at any moment, all of it or what it held before.

    The content goes to a new file beside it, which then takes the name. A link is followed, not replaced.

    Raises
    ------
    InputError
        If the file cannot be written; nothing is left behind.
    """
    written = content.encode() if isinstance(content, str) else content
    if Path(path) == STANDARD_OUTPUT:
        sys.stdout.buffer.write(written)
        return
    check_writable(path)
    target = Path(path).resolve()
    draft = target.with_name(f".equipoise-{secrets.token_hex(8)}")
    with naming(Path(path)):
        try:
            with draft.open("xb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
