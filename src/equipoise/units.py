"""Shares, numbers of moves, sizes and counts, as people write them: ``10%``, ``500``, ``44MB``, ``16,32``."""

from __future__ import annotations

import re
from decimal import Decimal
from reprlib import repr as shown

from equipoise.errors import InputError

SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([a-z]*)", re.IGNORECASE)
DECIMAL_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
BINARY_UNITS = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
BYTES = {unit.lower(): size for unit, size in ({"": 1, "B": 1} | DECIMAL_UNITS | BINARY_UNITS).items()}


def share_of(text: str) -> float:
    """Return the share that a text names, from 0 to 1.

    Raises
    ------
    InputError
        If it names none.

    Examples
    --------
    >>> share_of("5%"), share_of("0.05")
    (0.05, 0.05)
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{shown(text)} is no share; expected one such as 5% or 0.05")
    return share


def moves_of(text: str) -> float:
    """Return the moves that a text names: a whole number, or as a float the share of all slots, from 0 to 1.

    Raises
    ------
    InputError
        If it names neither.

    Examples
    --------
    >>> moves_of("500"), moves_of("10%"), moves_of("0.1")
    (500, 0.1, 0.1)
    """
    if text.isdecimal():
        return int(text)
    if text.endswith("%") or "." in text:
        return share_of(text)
    raise InputError(f"{shown(text)} is no number of moves; expected one such as 500, or a share such as 10% or 0.1")


def counts_of(text: str) -> list[int]:
    """Return the whole numbers of at least 1 that a text lists, each once, in rising order.

    Raises
    ------
    InputError
        If one is none.

    Examples
    --------
    >>> counts_of("4096,128")
    [128, 4096]
    """
    listed = text.replace(" ", "").split(",")
    if not all(number.isascii() and number.isdecimal() and len(number) < 19 and int(number) for number in listed):
        raise InputError(
            f"{shown(text)} is no list of counts; expected whole numbers of at least 1 with commas, such as 8,16"
        )
    return sorted({int(number) for number in listed})


def size_of(text: str) -> int:
    """Return the bytes that a text names, to the nearest whole one.

    Raises
    ------
    InputError
        If it is no number, has an unknown unit, or is less than a byte.

    Examples
    --------
    >>> size_of("44MB"), size_of("1.5 KiB"), size_of("4096")
    (44000000, 1536, 4096)
    """
    found = SIZE.fullmatch(text.strip())
    size = round(Decimal(found[1]) * BYTES.get(found[2].lower(), 0)) if found else 0
    if size < 1:
        raise InputError(
            f"{shown(text)} is no size; expected bytes, or a number with a unit: 44000000, 44MB, 42MiB or 1.5GB"
        )
    return size
