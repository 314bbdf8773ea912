"""Numbers of bytes, as people write and read them."""

from __future__ import annotations

import re
from decimal import Decimal

import typer

from equipoise.cli.console import counted
from equipoise.formats.refusals import shown

SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([a-z]*)", re.IGNORECASE)
DECIMAL_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
BINARY_UNITS = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
BYTES = {unit.lower(): size for unit, size in ({"": 1, "B": 1} | DECIMAL_UNITS | BINARY_UNITS).items()}


def parse_size(text: str) -> int:
    """Return the bytes that an option names, to the nearest whole one.

    Raises
    ------
    typer.BadParameter
        If it is no number, has an unknown unit, or is less than a byte.

    Examples
    --------
    >>> parse_size("44MB"), parse_size("1.5 KiB"), parse_size("4096")
    (44000000, 1536, 4096)
    """
    found = SIZE.fullmatch(text.strip())
    size = round(Decimal(found[1]) * BYTES.get(found[2].lower(), 0)) if found else 0
    if size < 1:
        raise typer.BadParameter(
            f"{shown(text)} is no size; expected bytes, or a number with a unit: 44000000, 44MB, 42MiB or 1.5GB"
        )
    return size


def size_in_words(size: int) -> str:
    """Return the size in the largest decimal unit that it fills.

    Examples
    --------
    >>> size_in_words(1_500_000_000), size_in_words(999), size_in_words(1)
    ('1.5 GB', '999 bytes', '1 byte')
    """
    for unit, unit_size in DECIMAL_UNITS.items():
        if size >= unit_size:
            return f"{size / unit_size:.1f} {unit}"
    return counted(size, "byte")
