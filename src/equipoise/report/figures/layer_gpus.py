"""The GPUs of one layer with their experts as blocks, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.before_and_after import before_and_after
from equipoise.report.figures.style import BOUND, COPIES, ONE_COPY, styled
from equipoise.serving.balance import slot_loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.placement import Placement
    from equipoise.planning.plan import Plan

HEIGHT = 620
WIDTH = 0.92  # of a column; Plotly would take the gaps of a trace for room to fill


def layer_gpus(plan: Plan, layer: int) -> go.Figure:
    """Return a column of blocks for each GPU, as high as the loads of its slots in units of the mean GPU load.

    The heaviest are at the bottom; the dashed line is the mean after.
    """
    unit = plan.mean[layer] or 1.0
    figure = before_and_after(plan, shared_yaxes="all", vertical_spacing=0.08)
    placements = plan.before, plan.placement
    loads = (slot_loads(placement, plan.loads, routing=plan.routing)[0, layer] / unit for placement in placements)
    columns = [_columns(placement, layer, load) for placement, load in zip(placements, loads, strict=True)]
    for row, (expert, copies, height) in enumerate(columns, start=1):
        base = np.cumsum(height, axis=1) - height
        for name, colour, shown in (("one copy", ONE_COPY, copies == 1), ("several copies", COPIES, copies > 1)):
            gpu = np.nonzero(shown)[0]
            told = np.column_stack([expert[shown], copies[shown]]).astype(np.int32)
            blocks = _blocks(gpu, base[shown], height[shown], told)
            blocks.update(name=name, marker_color=colour, showlegend=row == 1, legendgroup=name)
            figure.add_trace(blocks, row=row, col=1)
    mean = go.layout.Shape(type="line", xref="paper", x0=0, x1=1, y0=1, y1=1, line={"dash": "dash", "color": BOUND})
    figure.layout.shapes += (mean, go.layout.Shape(mean, yref="y2"))
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 8, "mode": "hide"})
    figure.update_yaxes(title="load / mean", rangemode="tozero")
    before, after = (_peak_in_words(height.sum(axis=1)) for _, _, height in columns)
    label = f"before, {before}; after, {after}" if plan.loads.counts[0, layer].any() else "idle"
    return styled(figure, f"Layer {layer}: {label}", HEIGHT)


def _peak_in_words(gpu_load: NDArray[np.float64]) -> str:
    return f"the busiest GPU, {gpu_load.argmax()}, has {gpu_load.max():.4f} times the mean"


def _columns(
    placement: Placement, layer: int, load: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return expert, copies and load of each slot, the heaviest of a GPU first, ``[gpus, slots_per_gpu]`` each.

    Copies and load are 0 in an empty slot. load: of each slot, ``[slots]``.
    """
    expert = placement.phy2log[layer].reshape(placement.cluster.gpus, -1)
    copies = np.where(expert >= 0, placement.logcnt[layer, expert], 0)
    height = load.reshape(expert.shape)
    order = np.argsort(-height, axis=1, kind="stable")
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
