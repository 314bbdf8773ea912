"""What all figures look like: colours that the colour-blind can tell apart, on light ground and on dark."""

from __future__ import annotations

import plotly.graph_objects as go

BEFORE, AFTER, BOUND = "#d55e00", "#0072b2", "#767676"
ONE_COPY, COPIES = "#6b7280", AFTER
LINES = ("#0072b2", "#d55e00", "#009e73", "#c0649a", "#a66f00")
DASHES = ("solid", "dash", "dashdot", "longdash", "dot", "longdashdot")  # 6, and 5 colours: 30 that differ
SYMBOLS = ("square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")

# Pixels beside the axes are the same in all figures, so that their columns line up.
LEFT, RIGHT, BELOW = 64, 12, 44
ROOM_ABOVE, ROOM_FOR_LEGEND, ROOM_FOR_COLOURS, ROOM_FOR_TITLES = 12, 36, 64, 20  # pixels above the axes

# The page replaces the colour of 1, or of none, on dark ground, and the one of most where numbers are written on it.
AROUND_ONE = [[0.0, "#0072b2"], [0.5, "#e4e4e4"], [1.0, "#d55e00"]]
FROM_ONE = [[0.0, "#e4e4e4"], [1.0, "#d55e00"]]
FROM_NONE = [[0.0, "#e4e4e4"], [1.0, "#66aad1"]]

INK = "#1d2126"

# The page replaces the colour of outlines by that of its text.
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"gridcolor": "#d8dbe0", "zeroline": False},
        "yaxis": {"gridcolor": "#d8dbe0", "zeroline": False, "title": {"standoff": 8}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container"},
        "shapedefaults": {"line": {"color": INK}},
    }
)


def layers_high(layers: int) -> int:
    """Return the pixels that a heat map of this many layers is high."""
    return max(200, 5 * layers)


def styled(
    figure: go.Figure, label: str, height: int, layers_on: str | None = None, beside: int | None = None
) -> go.Figure:
    """Give the figure its look, and tell the page what it must know of it.

    Parameters
    ----------
    figure : Figure
        The figure, with its axes.
    label : str
        What it shows in words.
    height : int
        Pixels, those around the axes included.
    layers_on : "x" or "y", optional
        The axis on which a click picks a layer.
    beside : int, optional
        Columns of each side, where before and after are beside each other: the page shows one side at a time where
        columns would be too narrow.
    """
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": LEFT, "r": figure.layout.margin.r or RIGHT, "t": _room_above(figure, bool(beside)), "b": BELOW},
        meta={"label": label, "layersOn": layers_on, "beside": beside},
    )
    return figure


def _room_above(figure: go.Figure, titles: bool) -> int:
    """Return the pixels above the axes, for what is there."""
    room = ROOM_ABOVE if figure.layout.showlegend is False else ROOM_FOR_LEGEND
    if figure.layout.coloraxis.colorbar.title.text:
        room = ROOM_FOR_COLOURS
    return room + (ROOM_FOR_TITLES if titles else 0)
