"""Figures as PNG pictures, drawn by the browser that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.files.atomic import write_whole

try:
    import kaleido
    from kaleido.errors import ChromeNotFoundError
except ImportError:
    raise InputError("a picture needs Kaleido, which is not installed; pip install 'equipoise[report]'") from None

if TYPE_CHECKING:
    from pathlib import Path

    import plotly.graph_objects as go

WIDTH = 1200
SCALE = 2  # pixels of the picture for each of the figure
ROOM_FOR_TITLE = 44


def save_picture(figure: go.Figure, title: str, path: Path) -> None:
    """Write a figure below its title as PNG, whole or not at all.

    Raises
    ------
    InputError
        If there is no Chrome or Chromium, or the file cannot be written.
    """
    figure.update_layout(
        title={"text": title, "x": 0.01, "y": 0.01, "yanchor": "bottom"},
        height=figure.layout.height + ROOM_FOR_TITLE,
        margin_b=figure.layout.margin.b + ROOM_FOR_TITLE,
        paper_bgcolor="#ffffff",
    )
    look = {"format": "png", "width": WIDTH, "height": figure.layout.height, "scale": SCALE}
    try:
        picture = kaleido.calc_fig_sync(figure, opts=look)
    except ChromeNotFoundError:
        raise InputError("a picture needs a browser, and there is none; install Chrome or Chromium") from None
    write_whole(path, picture)
