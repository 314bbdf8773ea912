"""The peak of every layer before and after, and the bound below which no placement gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.report.par_lines import par_lines
from equipoise.report.style import styled

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from equipoise.plans import Plan

HEIGHT = 480


def layer_peaks(plan: Plan) -> go.Figure:
    """Return PAR over the layers, before and after, and a close-up of after with the bound."""
    before, after, bound = plan.par_before, plan.par, plan.bound_on_par
    figure = par_lines(before, after, "layer", bound)
    label = f"PAR of every layer: {before.mean():.4f} before and {after.mean():.4f} after, bound {bound.mean():.4f}"
    return styled(figure, label, HEIGHT, layers_on="x")
