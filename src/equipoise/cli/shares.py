"""Shares and numbers of moves as options, refused as Typer refuses options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from equipoise.errors import InputError
from equipoise.shares import moves_of, share_of

if TYPE_CHECKING:
    from collections.abc import Callable


def parse_share(text: str) -> float:
    """Return the share that an option names, from 0 to 1; raise ``typer.BadParameter`` if it is none."""
    return _parsed(share_of, text)


def parse_moves(text: str) -> float:
    """Return the moves that an option names; raise ``typer.BadParameter`` if they are no number and no share."""
    return _parsed(moves_of, text)


def _parsed(meaning: Callable[[str], float], text: str) -> float:
    try:
        return meaning(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
