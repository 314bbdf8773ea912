"""The option that says which replica a token goes to."""

from __future__ import annotations

from typing import get_args

import typer

from equipoise.serving.slot_shares import Routing


def parse_routing(text: str) -> str:
    """Return the name of a routing; raise ``typer.BadParameter`` if there is none of this name."""
    if text not in get_args(Routing):
        raise typer.BadParameter(f"{text!r} is no routing; expected {', '.join(get_args(Routing))}")
    return text
