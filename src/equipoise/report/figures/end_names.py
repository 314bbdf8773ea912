"""Names at the ends of lines, pushed apart so that none covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

LINE_HEIGHT = 15  # pixels from a name to the next
AWAY = 18  # pixels from the end of a line to its name
PER_LETTER = 6.8


def room_for(names: Sequence[str]) -> int:
    """Return the pixels to the right of the axes that names take."""
    return AWAY + round(PER_LETTER * max(map(len, names)))


def name_ends(figure: go.Figure, row: int, pixels: float) -> None:
    """Write beside the end of each line of a row what it is called, joined to it where it had to give way.

    The axes of the row must have their ranges, and be so many pixels high; the name is written on the line's colour.
    """
    lines = list(figure.select_traces(row=row, col=1))
    axis = next(figure.select_yaxes(row=row, col=1))
    logarithmic = axis.type == "log"
    ends = np.array([line.y[-1] for line in lines], float)
    ends = np.log10(ends) if logarithmic else ends
    low, high = axis.range
    wanted = (ends - low) / (high - low) * pixels
    for line, end, by in zip(lines, ends, apart(wanted, pixels) - wanted, strict=True):
        last = float(line.x[-1])
        figure.add_annotation(
            text=line.name,
            x=np.log10(last) if figure.layout.xaxis.type == "log" else last,
            y=end,
            ax=AWAY,
            ay=-by,
            xanchor="left",
            arrowhead=0,
            arrowwidth=1,
            arrowcolor=line.line.color,
            row=row,
            col=1,
        )


def apart(wanted: NDArray[np.float64], high: float) -> NDArray[np.float64]:
    """Return heights from 0 to high as near to those wanted as is possible in their order, a line of text apart.

    Those that do not fit in between go beyond 0.

    Examples
    --------
    >>> apart(np.array([50.0, 52.0, 51.0, 100.0]), 100).tolist()
    [36.0, 66.0, 51.0, 100.0]
    """
    order = np.argsort(wanted, kind="stable")
    stacked = LINE_HEIGHT * np.arange(len(wanted))
    # Names that touch move as one, to the mean of where they would be: those are the averages of adjacent violators.
    blocks: list[list[float]] = []
    for height in np.clip(wanted[order], 0, high) - stacked:
        blocks.append([height])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    heights = np.empty_like(wanted)
    heights[order] = np.minimum(np.maximum(level, 0), high - stacked[-1]) + stacked
    return heights
