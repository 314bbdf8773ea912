"""The load of every GPU in every layer, before and after, on one colour scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.axes import rows
from equipoise.report.figures.before_and_after import SIDES, before_and_after
from equipoise.report.figures.colours import colour_axis, heights, times_mean
from equipoise.report.figures.style import BELOW, ROOM_FOR_COLOURS, ROOM_FOR_TITLES, layers_high, styled
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.planning.plan import Plan


def gpu_loads(plan: Plan) -> go.Figure:
    """Return two heat maps, layers x GPUs, of the load of each GPU as a multiple of its layer's mean.

    Dead GPUs are hatched, idle layers blank.
    """
    placements = plan.before, plan.placement
    both = [_times_mean(placement, plan) for placement in placements]
    figure = before_and_after(plan, {"title": "layer", **rows(plan.loads.layers)})
    for values, (_, x_axis, y_axis) in zip(both, SIDES, strict=True):
        figure.add_trace(_heat_map(values).update(xaxis=x_axis, yaxis=y_axis))
    figure.update_layout(coloraxis=colour_axis(np.concatenate([x.ravel() for x in both]), "load / mean GPU load"))
    after = both[1][np.isfinite(both[1])]
    range_after = (
        f", from {after.min():.2f} to {after.max():.2f} times the mean of its layer after" if after.size else ""
    )
    mean = ", the mean of the windows" if plan.scenarios.windows > 1 else ""
    label = f"Load of every GPU in every layer{mean}{range_after}"
    height = layers_high(plan.loads.layers) + ROOM_FOR_COLOURS + ROOM_FOR_TITLES + BELOW
    return styled(figure, label, height, layers_on="y", beside=max(values.shape[1] for values in both))


def _times_mean(placement: Placement, plan: Plan) -> NDArray[np.float64]:
    """Return the load of each GPU as a multiple of its layer's mean, ``[layers, gpus]``; NaN for dead ones."""
    served = balance(placement, plan.loads, routing=plan.routing)
    values = times_mean(served.gpu_load[0], served.mean[0])
    values[:, list(placement.cluster.dead)] = np.nan
    return values


def _heat_map(values: NDArray[np.float64]) -> go.Heatmap:
    return go.Heatmap(
        z=heights(values),
        customdata=values.astype(np.float32),
        coloraxis="coloraxis",
        hoverongaps=False,
        hovertemplate="layer %{y}, GPU %{x}<br>%{customdata:.3f} times the mean<extra></extra>",
    )
