"""Two rows with the GPUs below each other: before above, after below, and lines between the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

from equipoise.report.figures.style import whole_ticks

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from equipoise.cluster import Cluster
    from equipoise.planning.plan import Plan

AXES = (("x", "y"), ("x2", "y2"))
LINE = {"width": 1, "color": "rgba(128, 128, 128, 0.6)"}


def before_and_after(plan: Plan, **options: Any) -> go.Figure:
    """Return an empty figure of two rows over the GPUs; the options are those of Plotly's ``make_subplots``."""
    figure = make_subplots(rows=2, shared_xaxes="all", subplot_titles=("before", "after"), **options)
    figure.update_annotations(x=0, xanchor="left")
    clusters = plan.before.cluster, plan.placement.cluster
    lines = [_lines_between_nodes(*row) for row in zip(clusters, AXES, strict=True) if row[0].nodes > 1]
    figure.update_layout(shapes=lines)
    gpus = max(cluster.gpus for cluster in clusters)
    figure.update_xaxes(minallowed=-0.5, maxallowed=gpus - 0.5, showgrid=False, **whole_ticks(gpus))
    figure.update_xaxes(title="GPU", row=2, col=1)
    return figure


def _lines_between_nodes(cluster: Cluster, axes: tuple[str, str]) -> dict[str, Any]:
    """Return one shape, the lines from the bottom of a row to its top."""
    x_axis, y_axis = axes
    borders = (node * cluster.gpus_per_node - 0.5 for node in range(1, cluster.nodes))
    path = "".join(f"M{border},0V1" for border in borders)
    return {"type": "path", "path": path, "xref": x_axis, "yref": f"{y_axis} domain", "line": LINE}
