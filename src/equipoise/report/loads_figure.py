"""The figures of loads: their experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.report.expert_loads import expert_loads
from equipoise.report.layer_experts import layer_experts

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from equipoise.loads import Loads


def loads_figure(loads: Loads, layer: int | None, copies: NDArray[np.int64] | None = None) -> go.Figure:
    """Return the experts by load, of all layers or of one, with their copies where they are known.

    Raises
    ------
    InputError
        If there is no such layer.
    """
    if layer is None:
        return expert_loads(loads, copies)
    check_layer(layer, loads.layers)
    return layer_experts(loads, layer, copies)


def check_layer(layer: int, layers: int) -> None:
    """Raise :class:`InputError` for a layer that there is not."""
    if layer not in range(layers):
        raise InputError(f"layer is {layer!r}; expected 0 to {layers - 1}")
