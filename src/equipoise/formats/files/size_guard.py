"""How much memory a file may ask for: in proportion to what the file itself takes, and never beyond a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS = 2**22
FOR_EACH_BYTE = 2**7
AT_MOST = 2**28


def check_numbers(numbers: int, path: Path) -> None:
    """Refuse numbers, of eight bytes each, that are too many to come out of this file in good faith.

    A few bytes can name expert 10**9, or a tensor of 10**12 numbers that all are the same one.

    Raises
    ------
    InputError
        If they are more than 2**22 and 128 for each byte of the file, or more than 2**28.
    """
    size = path.stat().st_size
    most = min(ALWAYS + FOR_EACH_BYTE * size, AT_MOST)
    if numbers > most:
        raise InputError(f"stands for {numbers} numbers in {size} bytes; expected at most {most} in such a file")
