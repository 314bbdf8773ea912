"""Before to the left and after to the right, over the same GPUs, with lines between nodes and dead GPUs hatched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

from equipoise.report.figures.axes import columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    import plotly.graph_objects as go

    from equipoise.cluster import Cluster
    from equipoise.planning.plan import Plan

SIDES = (("before", "x", "y"), ("after", "x2", "y2"))
BETWEEN = 0.03  # of the width
LINE = {"width": 1, "color": "rgba(128, 128, 128, 0.6)"}
HATCH = {"width": 1, "color": "#767676"}
STROKES = 24  # from the bottom of a dead GPU's column to its top


def before_and_after(plan: Plan) -> go.Figure:
    """Return an empty figure of two sides, whose axes are the same."""
    clusters = plan.before.cluster, plan.placement.cluster
    figure = make_subplots(cols=2, shared_yaxes="all", horizontal_spacing=BETWEEN)
    titles = [_title(*side) for side in SIDES]
    shapes = [shape for cluster, side in zip(clusters, SIDES, strict=True) for shape in _shapes(cluster, *side)]
    figure.update_layout(annotations=titles, shapes=shapes)
    gpus = max(cluster.gpus for cluster in clusters)
    figure.update_xaxes(title="GPU", minallowed=-0.5, maxallowed=gpus - 0.5, showgrid=False, **columns(gpus))
    figure.update_xaxes(matches="x", row=1, col=2)
    return figure


def _title(words: str, x_axis: str, y_axis: str) -> dict[str, Any]:
    at = {
        "x": 0,
        "xref": f"{x_axis} domain",
        "xanchor": "left",
        "y": 1,
        "yref": f"{y_axis} domain",
        "yanchor": "bottom",
    }
    return {"text": words, "showarrow": False, "font": {"size": 14}, **at}


def _shapes(cluster: Cluster, _: str, x_axis: str, y_axis: str) -> list[dict[str, Any]]:
    """Return the lines between the nodes and the strokes over the dead GPUs, from the bottom of the axes to the top."""
    borders = (node * cluster.gpus_per_node - 0.5 for node in range(1, cluster.nodes))
    paths = ((LINE, "".join(f"M{border},0V1" for border in borders)), (HATCH, _hatching(cluster.dead)))
    at = {"type": "path", "xref": x_axis, "yref": f"{y_axis} domain"}
    return [{"path": path, "line": line, **at} for line, path in paths if path]


def _hatching(gpus: Iterable[int]) -> str:
    strokes = [(stroke / STROKES, (stroke + 1) / STROKES) for stroke in range(STROKES)]
    return "".join(f"M{gpu - 0.5},{low:.4f}L{gpu + 0.5},{high:.4f}" for gpu in gpus for low, high in strokes)
