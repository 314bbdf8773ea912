"""What the placements would have made of every recorded window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.balance import balance
from equipoise.report.par_lines import par_lines
from equipoise.report.style import styled

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from equipoise.loads import Loads
    from equipoise.plans import Plan

HEIGHT = 400


def window_peaks(plan: Plan, loads: Loads) -> go.Figure:
    """Return PAR over the recorded windows, mean over the layers, before and after, and a close-up of after."""
    before, after = (balance(placement, loads).par.mean(axis=1) for placement in (plan.before, plan.placement))
    worst = after.argmax()
    label = f"PAR of every recorded window: after, {after.min():.4f} to {after[worst]:.4f}, the most in window {worst}"
    return styled(par_lines(before, after, "window"), label, HEIGHT)
