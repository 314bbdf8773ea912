"""Shares and numbers of moves, as people write them: ``10%``, ``500``."""

from __future__ import annotations

from reprlib import repr as shown

from equipoise.errors import InputError


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
    """Return the moves that a text names: a whole number, or as a float the share of all slots.

    Raises
    ------
    InputError
        If it names neither.

    Examples
    --------
    >>> moves_of("500"), moves_of("10%")
    (500, 0.1)
    """
    if text.isdecimal():
        return int(text)
    if text.endswith("%"):
        return share_of(text)
    raise InputError(f"{shown(text)} is no number of moves; expected one such as 500, or a share such as 10%")
