"""The GPUs of one layer with their experts as blocks, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.before_and_after import SIDES, before_and_after
from equipoise.report.figures.style import BOUND, COPIES, ONE_COPY, styled
from equipoise.serving.balance import slot_loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.planning.plan import Plan

HEIGHT = 400
ABOVE = 1.05  # of the axis, beyond the highest column
WIDTH = 0.92  # of a column; Plotly would take the gaps of a trace for room to fill


def layer_gpus(plan: Plan, layer: int) -> go.Figure:
    """Return a column of blocks for each GPU, as high as the loads of its slots in units of the mean GPU load.

    The heaviest are at the bottom; the dashed line is the mean after. A trace has in its ``meta`` which side it is of
    and where its blocks are in ``window_heights``, by which the page makes them as high as in one window.
    """
    placements = plan.before, plan.placement
    columns = [_columns(placement, layer, slot_heights(placement, plan)[layer]) for placement in placements]
    highest = max(height.sum(axis=1).max() for _, _, height in columns)
    load_axis = {"title": "load / mean", "range": (0, ABOVE * max(1, highest))}
    figure = before_and_after(plan, load_axis, [_mean_line(x_axis, y_axis) for _, x_axis, y_axis in SIDES])
    for side, (expert, copies, height) in enumerate(columns):
        base = np.cumsum(height, axis=1) - height
        for name, colour, shown in (("one copy", ONE_COPY, copies == 1), ("several copies", COPIES, copies > 1)):
            gpu = np.nonzero(shown)[0]
            told = np.column_stack([expert[shown], copies[shown]]).astype(np.int32)
            blocks = _blocks(gpu, base[shown], height[shown], told)
            blocks.update(name=name, marker_color=colour, showlegend=side == 0, legendgroup=name)
            blocks.update(xaxis=SIDES[side][1], yaxis=SIDES[side][2])
            blocks.meta = {"side": side, "slots": expert.shape[1], "places": np.flatnonzero(shown).tolist()}
            figure.add_trace(blocks)
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 8, "mode": "hide"})
    before, after = (_peak_in_words(height.sum(axis=1)) for _, _, height in columns)
    label = f"before, {before}; after, {after}" if plan.loads.counts[0, layer].any() else "idle"
    return styled(figure, f"Layer {layer}: {label}", HEIGHT, beside=max(len(height) for _, _, height in columns))


def _mean_line(x_axis: str, y_axis: str) -> dict[str, Any]:
    ends = {"xref": f"{x_axis} domain", "x0": 0, "x1": 1, "yref": y_axis, "y0": 1, "y1": 1}
    return {"type": "line", "line": {"dash": "dash", "color": BOUND}, **ends}


def _peak_in_words(gpu_load: NDArray[np.float64]) -> str:
    return f"the busiest GPU, {gpu_load.argmax()}, has {gpu_load.max():.4f} times the mean"


def slot_heights(placement: Placement, plan: Plan) -> NDArray[np.float64]:
    """Return the load of each slot under what was planned for, in units of the mean GPU load.

    float64 ``[layers, gpus, slots_per_gpu]``.
    """
    unit = np.where(plan.mean > 0, plan.mean, 1.0)[:, None]
    load = slot_loads(placement, plan.loads, routing=plan.routing)[0] / unit
    return np.asarray(load.reshape(len(load), placement.cluster.gpus, -1))


def heaviest_first(height: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order in which the blocks of each GPU are stacked, along the last axis."""
    return np.asarray(np.argsort(-height, axis=-1, kind="stable"))


def _columns(
    placement: Placement, layer: int, height: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return expert, copies and height of each slot in the order of their blocks, ``[gpus, slots_per_gpu]`` each.

    Copies and height are 0 in an empty slot.
    """
    expert = placement.phy2log[layer].reshape(height.shape)
    copies = np.where(expert >= 0, placement.logcnt[layer, expert], 0)
    order = heaviest_first(height)
    expert, copies = np.take_along_axis(expert, order, axis=1), np.take_along_axis(copies, order, axis=1)
    return expert, copies, np.take_along_axis(height, order, axis=1)


def _blocks(
    gpu: NDArray[np.int64], base: NDArray[np.float64], height: NDArray[np.float64], told: NDArray[np.int32]
) -> go.Bar:
    return go.Bar(
        x=gpu.astype(np.int32),
        y=height.astype(np.float32),
        base=base.astype(np.float32),
        width=WIDTH,
        customdata=told,
        texttemplate="%{customdata[0]}",
        textangle=0,
        textposition="inside",
        insidetextanchor="middle",
        textfont={"color": "#ffffff", "size": 10},
        marker_line={"width": 0.5, "color": "#ffffff"},
        hovertemplate="GPU %{x}, expert %{customdata[0]}<br>copies: %{customdata[1]}, load %{y:.4f}<extra></extra>",
    )
