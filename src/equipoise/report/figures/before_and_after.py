"""Before to the left and after to the right, over the same GPUs, with lines between nodes and dead GPUs hatched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from equipoise.report.figures.axes import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from equipoise.cluster import Cluster
    from equipoise.planning.plan import Plan

SIDES = (("before", "x", "y"), ("after", "x2", "y2"))
BETWEEN = 0.03  # of the width
LINE = {"width": 1, "color": "rgba(128, 128, 128, 0.6)"}
HATCH = {"width": 1, "color": "#767676"}
STROKES = 24  # from the bottom of a dead GPU's column to its top


def before_and_after(plan: Plan, y_axis: dict[str, Any], shapes: Sequence[dict[str, Any]] = ()) -> go.Figure:
    """Return an empty figure of two sides; they share the y axis, whose options are given, and shapes that are."""
    clusters = plan.before.cluster, plan.placement.cluster
    gpus = max(cluster.gpus for cluster in clusters)
    x_axis = {"title": "GPU", "minallowed": -0.5, "maxallowed": gpus - 0.5, "showgrid": False, **columns(gpus)}
    width = (1 - BETWEEN) / 2
    of_clusters = [shape for cluster, side in zip(clusters, SIDES, strict=True) for shape in _shapes(cluster, *side)]
    return go.Figure(
        layout={
            "xaxis": {**x_axis, "anchor": "y", "domain": (0, width)},
            "xaxis2": {**x_axis, "anchor": "y2", "domain": (1 - width, 1), "matches": "x"},
            "yaxis": {**y_axis, "anchor": "x"},
            "yaxis2": {**y_axis, "anchor": "x2", "matches": "y", "title": "", "ticks": "", "showticklabels": False},
            "annotations": [_title(*side) for side in SIDES],
            "shapes": [*of_clusters, *shapes],
        }
    )


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
