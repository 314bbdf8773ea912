"""The figures of plans and of loads, by name, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from equipoise.errors import InputError, check_choice
from equipoise.report.figures.expert_loads import expert_loads
from equipoise.report.figures.gpu_loads import gpu_loads
from equipoise.report.figures.layer_experts import layer_experts
from equipoise.report.figures.layer_gpus import layer_gpus
from equipoise.report.figures.node_moves import node_moves
from equipoise.report.figures.par import layer_peaks

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.planning.plan import Plan

Of = Literal["gpus", "peaks", "experts", "moves"]


def plan_figure(plan: Plan, of: Of = "gpus", layer: int | None = None) -> go.Figure:
    """Return a Plotly figure of a plan, one of those on the page that ``equipoise plan --report`` writes.

    Parameters
    ----------
    plan : Plan
        The plan.
    of : "gpus", "peaks", "experts" or "moves"
        The load of every GPU before and after, PAR of every layer and its bound, the experts by load and their
        copies, or the moves from node to node.
    layer : int, optional
        Open one layer: its GPUs with their experts as blocks, or its experts.

    Raises
    ------
    InputError
        If there is no such figure, or no such layer.
    """
    check_choice("of", of, get_args(Of))
    if of == "experts":
        return loads_figure(plan.loads, layer, plan.placement.logcnt)
    if layer is None:
        return {"gpus": gpu_loads, "peaks": layer_peaks, "moves": node_moves}[of](plan)
    _check_layer(layer, plan.loads.layers)
    if of == "gpus":
        return layer_gpus(plan, layer)
    raise InputError(f"a figure of {of} is of all layers; expected 'gpus' or 'experts' with a layer")


def loads_figure(loads: Loads, layer: int | None = None, copies: NDArray[np.int64] | None = None) -> go.Figure:
    """Return a Plotly figure of the experts by load: of all layers, or of one.

    Parameters
    ----------
    loads : Loads
        The loads, of all windows together.
    layer : int, optional
        The layer to open.
    copies : ndarray of int, ``[layers, experts]``, optional
        Replicas of each expert, to draw beside its load.

    Raises
    ------
    InputError
        If there is no such layer.
    """
    if layer is None:
        return expert_loads(loads, copies)
    _check_layer(layer, loads.layers)
    return layer_experts(loads, layer, copies)


def _check_layer(layer: int, layers: int) -> None:
    """Raise :class:`InputError` for a layer that there is not."""
    if layer not in range(layers):
        raise InputError(f"layer is {layer!r}; expected 0 to {layers - 1}")
