"""PAR before and after as lines, and below them a close-up of after, which before would flatten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.style import AFTER, BEFORE, BOUND, whole_ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def par_lines(
    before: NDArray[np.float64], after: NDArray[np.float64], along: str, bound: NDArray[np.float64] | None = None
) -> go.Figure:
    """Return PAR along the layers or windows, ``[n]`` each; the bound, if there is one, is in the close-up."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.12)
    figure.add_trace(_line("before", before, BEFORE, "circle-open", "dot"), row=1, col=1)
    figure.add_trace(_line("after", after, AFTER, "square", "solid"), row=1, col=1)
    figure.add_trace(_line("after", after, AFTER, "square", "solid", showlegend=False), row=2, col=1)
    if bound is not None:
        figure.add_trace(_line("bound", bound, BOUND, "line-ew-open", "dash"), row=2, col=1)
    figure.update_yaxes(title="PAR", row=1, col=1)
    figure.update_yaxes(title="PAR, close up", row=2, col=1)
    figure.update_xaxes(**whole_ticks(len(after)))
    figure.update_xaxes(title=along, row=2, col=1)
    figure.update_layout(hovermode="x unified")
    return figure


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
