"""The peak of every layer before and after, and the bound below which no placement gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.style import AFTER, BEFORE, BOUND, styled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.plans import Plan

HEIGHT = 480


def layer_peaks(plan: Plan) -> go.Figure:
    """Return PAR over the layers, before and after, and a close-up of after with the bound."""
    before, bound = plan.par_before, plan.bound_on_par
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.12)
    figure.add_trace(_line("before", before, BEFORE, "circle-open", "dot"), row=1, col=1)
    figure.add_trace(_line("after", plan.par, AFTER, "square", "solid"), row=1, col=1)
    figure.add_trace(_line("after", plan.par, AFTER, "square", "solid", showlegend=False), row=2, col=1)
    figure.add_trace(_line("bound", bound, BOUND, "line-ew-open", "dash"), row=2, col=1)
    figure.update_yaxes(title="PAR", row=1, col=1)
    figure.update_yaxes(title="PAR, close up", row=2, col=1)
    figure.update_xaxes(title="layer", row=2, col=1)
    figure.update_layout(hovermode="x unified")
    label = f"PAR of every layer: {before.mean():.4f} before and {plan.par.mean():.4f} after, bound {bound.mean():.4f}"
    return styled(figure, label, HEIGHT, layers_on="x")


def _line(
    name: str, values: NDArray[np.float64], colour: str, symbol: str, dash: str, showlegend: bool = True
) -> go.Scatter:
    return go.Scatter(
        name=name,
        x=np.arange(len(values), dtype=np.int32),
        y=values,
        mode="lines+markers",
        line={"color": colour, "width": 1, "dash": dash},
        marker={"symbol": symbol, "size": 6},
        showlegend=showlegend,
        hovertemplate="%{y:.4f}",
    )
