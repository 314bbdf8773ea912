"""Shares, numbers of moves, sizes and lists of counts as options, refused as Typer refuses options."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import typer

from equipoise.errors import InputError
from equipoise.units import counts_of, moves_of, share_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

Meaning = TypeVar("Meaning")


class Counts(tuple[int, ...]):
    """Whole numbers that one option gives, rising; no plain tuple, for which Typer takes several arguments."""


def parse_share(text: str) -> float:
    """Return the share that an option names, from 0 to 1; raise ``typer.BadParameter`` if it is none."""
    return _parsed(share_of, text)


def parse_moves(text: str) -> float:
    """Return the moves that an option names; raise ``typer.BadParameter`` if they are no number and no share."""
    return _parsed(moves_of, text)


def parse_size(text: str) -> int:
    """Return the bytes that an option names; raise ``typer.BadParameter`` if it is no size."""
    return _parsed(size_of, text)


def parse_counts(text: str) -> Counts:
    """Return the whole numbers that an option names; raise ``typer.BadParameter`` if one is none."""
    return Counts(_parsed(counts_of, text))


def _parsed(meaning: Callable[[str], Meaning], text: str) -> Meaning:
    try:
        return meaning(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
