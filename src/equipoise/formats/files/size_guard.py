"""How much memory a file may ask for: in proportion to what the file itself takes, and never beyond a limit.

Every reader asks here before it allocates, by what the file says of itself: a header, a directory, a table of contents.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

ALWAYS = 2**22
FOR_EACH_BYTE = 2**7  # 1024 bytes for one: about what deflate makes of nothing but zeros, so that idle loads pass
AT_MOST = 2**28
BYTES_OF_A_NUMBER = 8


def check_numbers(numbers: int, path: Path | Sequence[Path]) -> None:
    """Refuse numbers, of eight bytes each, that are too many to come out of this file in good faith.

    A few bytes can name expert 10**9, or a tensor of 10**12 numbers that all are the same one. Several files, and
    those in a folder, count together.

    Raises
    ------
    InputError
        If they are more than 2**22 and 128 for each byte of the file, or more than 2**28.
    """
    size = _size_on_disk(path)
    most = min(ALWAYS + FOR_EACH_BYTE * size, AT_MOST)
    if numbers > most:
        raise InputError(f"stands for {numbers} numbers in {size} bytes; expected at most {most} in such a file")


def check_bytes(size: int, path: Path) -> None:
    """Refuse bytes, by :func:`check_numbers`, that would take the place of too many numbers."""
    check_numbers(-(-size // BYTES_OF_A_NUMBER), path)


def _size_on_disk(path: Path | Sequence[Path]) -> int:
    if isinstance(path, Path):
        path = list(path.iterdir()) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in path)
