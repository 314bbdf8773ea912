"""How many experts move from node to node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.migration.migration import Migration
from equipoise.report.figures.style import styled, whole_ticks

if TYPE_CHECKING:
    from equipoise.planning.plan import Plan

PIXELS_PER_NODE = 28
MOST_PIXELS = 450
MOST_NODES_WITH_NUMBERS = 8


def node_moves(plan: Plan) -> go.Figure:
    """Return a heat map, sending node x receiving node, of the experts that move over all layers."""
    migration = Migration(plan.before, plan.placement)
    by_link = migration.by_link()
    nodes = len(by_link)
    figure = go.Figure(
        go.Heatmap(
            z=by_link.astype(np.int32),
            colorscale="Cividis",
            zmin=0,
            zmax=max(1, int(by_link.max())),
            texttemplate="%{z}" if nodes <= MOST_NODES_WITH_NUMBERS else "",
            showscale=nodes > MOST_NODES_WITH_NUMBERS,
            colorbar={"title": "experts", "thickness": 10},
            hovertemplate="node %{y} to node %{x}: %{z} experts<extra></extra>",
        )
    )
    figure.update_xaxes(title="to node", showgrid=False, **whole_ticks(nodes))
    figure.update_yaxes(title="from node", autorange="reversed", showgrid=False, **whole_ticks(nodes))
    between = int(by_link.sum() - by_link.trace())
    disk = int(migration.from_disk.sum())
    label = f"{by_link.trace()} experts move within nodes, {between} between nodes, {disk} come from disk"
    return styled(figure, label, 120 + min(PIXELS_PER_NODE * nodes, MOST_PIXELS))
