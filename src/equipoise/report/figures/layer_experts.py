"""The experts of one layer by their load, and what the copies make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.axes import columns
from equipoise.report.figures.style import AFTER, BEFORE, ONE_COPY, styled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads

HEIGHT = 300
WIDTH = 0.85  # of a bar; Plotly would take the gaps of a trace for room to fill


def layer_experts(loads: Loads, layer: int, copies: NDArray[np.int64] | None = None) -> go.Figure:
    """Return the experts of a layer as bars, the most loaded first, as multiples of the mean expert load.

    Parameters
    ----------
    loads : Loads
        Windows are added up.
    layer : int
        The layer.
    copies : ndarray, int64 ``[layers, experts]``, optional
        Replicas of each expert; where there are several, an inner bar shows what each of them takes.
    """
    load = loads.sum().counts[0, layer]
    of_each = np.ones(loads.experts, np.int64) if copies is None else copies[layer]
    order = np.argsort(-load, kind="stable")
    values = np.divide(load, load.mean(), out=np.zeros_like(load), where=load.any())
    figure = go.Figure()
    for name, colour, shown, height in (
        ("expert with one copy", ONE_COPY, of_each == 1, values),
        ("expert with several copies", BEFORE, of_each > 1, values),
        ("each of its copies", AFTER, of_each > 1, values / of_each),
    ):
        places = np.flatnonzero(shown[order])
        figure.add_trace(_bars(name, colour, places, order[places], height, of_each))
    figure.update_layout(barmode="overlay", showlegend=copies is not None)
    figure.update_xaxes(title="experts, the most loaded first", showgrid=False, **columns(loads.experts))
    figure.update_yaxes(title="load / mean expert load", rangemode="tozero")
    hottest = int(order[0])
    copied = "" if copies is None else f", copies: {of_each[hottest]}"
    label = f"Layer {layer}: expert {hottest} has the largest load, {values[hottest]:.2f} times the mean{copied}"
    return styled(figure, label, HEIGHT)


def _bars(
    name: str,
    colour: str,
    places: NDArray[np.int64],
    experts: NDArray[np.int64],
    height: NDArray[np.float64],
    copies: NDArray[np.int64],
) -> go.Bar:
    """Return bars as high as the experts' heights, at these places of the order."""
    return go.Bar(
        name=name,
        x=places.astype(np.int32),
        y=height[experts].astype(np.float32),
        width=WIDTH,
        customdata=np.column_stack([experts, copies[experts]]).astype(np.int32),
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate="expert %{customdata[0]}, copies: %{customdata[1]}<br>%{y:.3f} times the mean",
    )
