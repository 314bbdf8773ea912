"""PAR of every layer and of every window, before and after, and a close-up of after, which before would flatten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.figures.axes import columns, from_one
from equipoise.report.figures.style import AFTER, BEFORE, BOUND, styled
from equipoise.serving.balance import balance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads
    from equipoise.planning.plan import Plan

HEIGHT = 400


def layer_peaks(plan: Plan) -> go.Figure:
    """Return PAR over the layers, before and after, and a close-up of after with the bound."""
    before, after, bound = plan.par_before, plan.par, plan.bound_on_par
    figure = _par_lines(before, after, "layer", bound)
    label = f"PAR of every layer: {before.mean():.4f} before and {after.mean():.4f} after, bound {bound.mean():.4f}"
    return styled(figure, label, HEIGHT, layers_on="x")


def window_peaks(plan: Plan, loads: Loads) -> go.Figure:
    """Return PAR over the recorded windows, mean over the layers, before and after, and a close-up of after."""
    both = (balance(placement, loads, routing=plan.routing) for placement in (plan.before, plan.placement))
    before, after = (served.par.mean(axis=1) for served in both)
    worst = after.argmax()
    label = f"PAR of every recorded window: after, {after.min():.4f} to {after[worst]:.4f}, the most in window {worst}"
    return styled(_par_lines(before, after, "window"), label, HEIGHT)


def _par_lines(
    before: NDArray[np.float64], after: NDArray[np.float64], along: str, bound: NDArray[np.float64] | None = None
) -> go.Figure:
    """Return PAR along the layers or windows, ``[n]`` each; the bound, if there is one, is in the close-up."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.12)
    figure.add_trace(line("before", before, BEFORE, "circle-open", "dot"), row=1, col=1)
    figure.add_trace(line("after", after, AFTER, "square", "solid"), row=1, col=1)
    figure.add_trace(line("after", after, AFTER, "square", "solid", showlegend=False), row=2, col=1)
    if bound is not None:
        figure.add_trace(line("bound", bound, BOUND, "line-ew-open", "dash"), row=2, col=1)
    figure.update_yaxes(title="PAR", **from_one([before, after]), row=1, col=1)
    figure.update_yaxes(title="PAR, close up", **from_one(after), row=2, col=1)
    figure.update_xaxes(**columns(len(after)))
    figure.update_xaxes(title=along, row=2, col=1)
    figure.update_layout(hovermode="x unified")
    return figure


def line(
    name: str, values: NDArray[np.float64], colour: str, symbol: str, dash: str, showlegend: bool = True
) -> go.Scatter:
    """Return a line through a value for each layer or window; its marks are whole where they touch the axes."""
    return go.Scatter(
        name=name,
        x=np.arange(len(values), dtype=np.int32),
        y=values,
        mode="lines+markers",
        line={"color": colour, "width": 1, "dash": dash},
        marker={"symbol": symbol, "size": 6},
        cliponaxis=False,
        showlegend=showlegend,
        hovertemplate="%{y:.4f}",
    )
