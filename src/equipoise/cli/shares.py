"""Shares, as people write them: ``10%``."""

from __future__ import annotations

import typer

from equipoise.formats.refusals import shown


def parse_share(text: str) -> float:
    """Return the share that an option names, from 0 to 1.

    Raises
    ------
    typer.BadParameter
        If it is none.

    Examples
    --------
    >>> parse_share("5%"), parse_share("0.05")
    (0.05, 0.05)
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{shown(text)} is no share; expected one such as 5% or 0.05")
    return share


def parse_moves(text: str) -> float:
    """Return the moves that an option names: a whole number, or as a float the share of all slots.

    Examples
    --------
    >>> parse_moves("500"), parse_moves("10%")
    (500, 0.1)
    """
    if text.isdecimal():
        return int(text)
    if text.endswith("%"):
        return parse_share(text)
    raise typer.BadParameter(f"{shown(text)} is no number of moves; expected one such as 500, or a share such as 10%")
