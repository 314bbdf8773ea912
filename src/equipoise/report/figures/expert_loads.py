"""The load of every expert in every layer, the most loaded first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.axes import columns, rows
from equipoise.report.figures.colours import colour_axis, heights, times_mean
from equipoise.report.figures.style import layers_high, styled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads


def expert_loads(loads: Loads, copies: NDArray[np.int64] | None = None) -> go.Figure:
    """Return a heat map, layers x experts from the most loaded on, of loads as multiples of their layer's mean.

    Parameters
    ----------
    loads : Loads
        Windows are added up.
    copies : ndarray, int64 ``[layers, experts]``, optional
        Replicas of each expert, told where the pointer is.
    """
    counts = loads.sum().counts[0]
    order = np.argsort(-counts, axis=1, kind="stable")
    values = np.take_along_axis(times_mean(counts, counts.mean(axis=1)), order, axis=1)
    told = [order, values]
    words = "layer %{y}, expert %{customdata[0]}<br>%{customdata[1]:.2f} times the mean"
    if copies is not None:
        told.append(np.take_along_axis(copies, order, axis=1))
        words += "<br>copies: %{customdata[2]}"
    figure = go.Figure(
        go.Heatmap(
            z=heights(values),
            customdata=np.stack(told, axis=2).astype(np.float32),
            coloraxis="coloraxis",
            hoverongaps=False,
            hovertemplate=words + "<extra></extra>",
        )
    )
    figure.update_layout(coloraxis=colour_axis(values, "load / mean expert load"))
    figure.update_xaxes(title="experts of a layer, the most loaded first", showgrid=False, **columns(loads.experts))
    figure.update_yaxes(title="layer", **rows(loads.layers))
    hottest = f"; the hottest has {np.nanmax(values):.1f} times the mean of its layer" if counts.any() else ""
    return styled(
        figure, f"Load of every expert in every layer{hottest}", layers_high(loads.layers) + 120, layers_on="y"
    )
