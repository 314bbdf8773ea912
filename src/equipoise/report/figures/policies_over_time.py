"""PAR over time under each policy, and what each moves for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.figures.style import DASHES, POLICIES, SYMBOLS, styled, whole_ticks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.replay.simulate import Replay

HEIGHT = 680
ROWS = {"par": "PAR", "moves": "moves", "stall_seconds": "stall, s"}


def policies_over_time(replays: Mapping[str, Replay]) -> go.Figure:
    """Return PAR, moves and stall of every window as lines, one for each policy, below each other."""
    figure = make_subplots(rows=len(ROWS), shared_xaxes=True, vertical_spacing=0.06, row_heights=[2, 1, 1])
    for number, (name, replay) in enumerate(replays.items()):
        look = number % len(POLICIES)
        for row, column in enumerate(ROWS, start=1):
            line = go.Scatter(
                name=name,
                legendgroup=name,
                showlegend=row == 1,
                x=replay.window.astype(np.int32),
                y=replay.columns()[column].astype(np.float32),
                mode="lines+markers",
                line={"color": POLICIES[look], "dash": DASHES[look], "width": 1.5},
                marker={"symbol": SYMBOLS[look], "size": 5},
                hovertemplate="%{y:.4~g}",
            )
            figure.add_trace(line, row=row, col=1)
    for row, title in enumerate(ROWS.values(), start=1):
        figure.update_yaxes(title=title, row=row, col=1)
    figure.update_yaxes(rangemode="tozero", row=2, col=1)
    figure.update_yaxes(rangemode="tozero", row=3, col=1)
    figure.update_xaxes(title="window", row=len(ROWS), col=1)
    figure.update_xaxes(**whole_ticks(max(len(replay.window) for replay in replays.values())))
    figure.update_layout(hovermode="x unified")
    means = ", ".join(f"{name} {replay.par.mean():.4f}" for name, replay in replays.items())
    return styled(figure, f"PAR, moves and stall over time; PAR in the mean: {means}", HEIGHT)
