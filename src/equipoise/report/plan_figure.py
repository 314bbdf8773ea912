"""The figures of a plan, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from equipoise.errors import InputError, check_choice
from equipoise.report.gpu_loads import gpu_loads
from equipoise.report.layer_gpus import layer_gpus
from equipoise.report.layer_peaks import layer_peaks
from equipoise.report.loads_figure import check_layer, loads_figure
from equipoise.report.node_moves import node_moves

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from equipoise.plans import Plan

Of = Literal["gpus", "peaks", "experts", "moves"]


def plan_figure(plan: Plan, of: Of, layer: int | None) -> go.Figure:
    """Return a figure of a plan; see :meth:`equipoise.Plan.figure`."""
    check_choice("of", of, get_args(Of))
    if of == "experts":
        return loads_figure(plan.loads, layer, plan.placement.logcnt)
    if layer is None:
        return {"gpus": gpu_loads, "peaks": layer_peaks, "moves": node_moves}[of](plan)
    check_layer(layer, plan.loads.layers)
    if of == "gpus":
        return layer_gpus(plan, layer)
    raise InputError(f"a figure of {of} is of all layers; expected 'gpus' or 'experts' with a layer")
