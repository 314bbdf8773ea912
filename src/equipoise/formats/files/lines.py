"""Text by its lines, such as a prompt on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.files.refusals import naming

if TYPE_CHECKING:
    from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file, but for those of nothing but blanks.

    Raises
    ------
    InputError
        If it cannot be read, is not UTF-8, or has no such line.
    """
    with naming(path):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"byte {error.start} is not UTF-8 text") from None
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            raise InputError("has no line with text; expected one at least")
        return lines
