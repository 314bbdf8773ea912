"""What all figures look like: colours that the colour-blind can tell apart, on light ground and on dark."""

from __future__ import annotations

import plotly.graph_objects as go

BEFORE, AFTER, BOUND = "#d55e00", "#0072b2", "#767676"
ONE_COPY, COPIES = "#6b7280", AFTER
POLICIES = ("#767676", "#0072b2", "#009e73", "#c0649a", "#a66f00", "#d55e00")
DASHES = ("dot", "solid", "dash", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")

ROOM_FOR_LEGEND, ROOM_FOR_COLOURS, ROOM_FOR_TITLES = 36, 64, 20  # pixels above the axes

# The page replaces the colour of 1 on dark ground.
AROUND_ONE = [[0.0, "#0072b2"], [0.5, "#e4e4e4"], [1.0, "#d55e00"]]
FROM_ONE = [[0.0, "#e4e4e4"], [1.0, "#d55e00"]]

FEW = 10

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1d2126"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {"gridcolor": "#d8dbe0", "zeroline": False},
        "yaxis": {"gridcolor": "#d8dbe0", "zeroline": False, "automargin": True, "title": {"standoff": 8}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container"},
    }
)


def layers_high(layers: int) -> int:
    """Return the pixels that a heat map of this many layers is high."""
    return max(200, 5 * layers)


def whole_ticks(number: int) -> dict[str, int]:
    """Return the options of an axis over so many layers, windows or GPUs: Plotly would put ticks between a few."""
    return {"dtick": 1} if number <= FEW else {}


def styled(figure: go.Figure, label: str, height: int, layers_on: str | None = None) -> go.Figure:
    """Give the figure its look, what it shows in words, and the axis, "x" or "y", on which a click picks a layer."""
    room = ROOM_FOR_COLOURS if figure.layout.coloraxis.colorbar.title.text else ROOM_FOR_LEGEND
    room += ROOM_FOR_TITLES if figure.layout.annotations else 0
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": 56, "r": 12, "t": room, "b": 44},
        meta={"label": label, "layersOn": layers_on},
    )
    return figure
