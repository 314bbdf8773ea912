"""How many experts move from node to node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.migration.migration import Migration
from equipoise.report.figures.axes import columns, from_none, rows
from equipoise.report.figures.colours import colour_bar
from equipoise.report.figures.style import BELOW, FROM_NONE, INK, ROOM_FOR_COLOURS, styled

if TYPE_CHECKING:
    from plotly.graph_objects.layout import Shape

    from equipoise.planning.plan import Plan

PIXELS_PER_NODE = 48
MOST_PIXELS = 480
MOST_NODES_WITH_NUMBERS = 8


def node_moves(plan: Plan) -> go.Figure:
    """Return a heat map, sending node x receiving node, of the experts that move over all layers.

    What moves within a node is on the diagonal, which is outlined.
    """
    migration = Migration(plan.before, plan.placement)
    by_link = migration.by_link()
    nodes = len(by_link)
    figure = go.Figure(
        go.Heatmap(
            z=by_link.astype(np.int32),
            coloraxis="coloraxis",
            texttemplate="%{z}" if nodes <= MOST_NODES_WITH_NUMBERS else "",
            textfont={"color": INK},
            hovertemplate="node %{y} to node %{x}: %{z} experts<extra></extra>",
        )
    )
    scale = from_none(by_link, whole=True)
    none, most = scale.pop("range")
    colours = {"colorscale": FROM_NONE, "cmin": none, "cmax": most}
    figure.update_layout(coloraxis={**colours, "colorbar": {**colour_bar("experts"), "tickformat": ",", **scale}})
    square = {"constrain": "domain", "showgrid": False}
    figure.update_xaxes(title="to node", constraintoward="left", **columns(nodes), **square)
    figure.update_yaxes(title="from node", scaleanchor="x", constraintoward="top", **rows(nodes) | square)
    figure.update_layout(shapes=[_outline(node) for node in range(nodes)])
    between = int(by_link.sum() - by_link.trace())
    disk = int(migration.from_disk.sum())
    label = f"{by_link.trace()} experts move within nodes, {between} between nodes, {disk} come from disk"
    high = min(PIXELS_PER_NODE * nodes, MOST_PIXELS)
    return styled(figure, label, ROOM_FOR_COLOURS + high + BELOW)


def _outline(node: int) -> Shape:
    low, high = node - 0.5, node + 0.5
    return go.layout.Shape(type="rect", x0=low, x1=high, y0=low, y1=high, line={"width": 2})
