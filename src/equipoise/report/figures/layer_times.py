"""What each layer takes, before and after, for batches of each size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from plotly.subplots import make_subplots

from equipoise.report.figures.axes import columns, from_none
from equipoise.report.figures.par import line
from equipoise.report.figures.style import AFTER, BEFORE, BELOW, ROOM_FOR_LEGEND, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from equipoise.timing.time_saved import TimeSaved

HEIGHT, BETWEEN = 150, 24  # pixels of a row, and to the next


def layer_times(times: Sequence[TimeSaved]) -> go.Figure:
    """Return microseconds over the layers, before and after; a row is a size of batches."""
    high = len(times) * (HEIGHT + BETWEEN) - BETWEEN
    figure = make_subplots(rows=len(times), shared_xaxes=True, vertical_spacing=BETWEEN / high)
    for row, saved in enumerate(times, start=1):
        before, after = (time.by_layer(saved.weights) for time in (saved.before, saved.after))
        for of_side in (
            line("before", before, BEFORE, "circle-open", "dot", showlegend=row == 1),
            line("after", after, AFTER, "square", "solid", showlegend=row == 1),
        ):
            figure.add_trace(of_side.update(hovertemplate="%{y:,.1f} µs"), row=row, col=1)
        title = f"µs, {saved.batch.tokens:,} tokens"
        figure.update_yaxes(title=title, tickformat=",", **from_none([before, after]), row=row, col=1)
    figure.update_xaxes(**columns(len(times[0].before.by_layer(times[0].weights))))
    figure.update_xaxes(title="layer", row=len(times), col=1)
    figure.update_layout(hovermode="x unified")
    label = "Microseconds of every layer before and after, in the mean " + ", ".join(map(_in_words, times))
    return styled(figure, label, high + ROOM_FOR_LEGEND + BELOW, layers_on="x")


def _in_words(saved: TimeSaved) -> str:
    before, after = (np.mean(time.by_layer(saved.weights)) for time in (saved.before, saved.after))
    return f"{before:,.0f} and {after:,.0f} with {saved.batch.tokens:,} tokens a GPU"
