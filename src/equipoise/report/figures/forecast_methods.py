"""What each forecast would have been worth in the past, layer by layer, and which was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from equipoise.report.figures.axes import columns, rows
from equipoise.report.figures.colours import colour_axis, heights
from equipoise.report.figures.style import AFTER, styled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.planning.forecast import Forecast

PIXELS_PER_METHOD = 24


def par_in_the_past(expected: Forecast) -> dict[str, NDArray[np.float64]]:
    """Return the PAR of each method tested, mean over the cuts, float64 ``[layers]``; the least in the mean first."""
    par = {method: tested.mean(axis=0) for method, tested in expected.tested.items()}
    return dict(sorted(par.items(), key=lambda item: item[1].mean()))


def forecast_methods(expected: Forecast) -> go.Figure:
    """Return a heat map, methods x layers, of PAR in the past, with a dot on the method chosen for each layer."""
    par = par_in_the_past(expected)
    methods, values = list(par), np.array(list(par.values()))
    layers = values.shape[1]
    figure = go.Figure(
        go.Heatmap(
            z=heights(values),
            customdata=values.astype(np.float32),
            text=np.repeat(methods, layers).reshape(values.shape).tolist(),
            coloraxis="coloraxis",
            hovertemplate="layer %{x}, %{text}<br>PAR in the past %{customdata:.4f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=np.arange(layers, dtype=np.int32),
            y=np.array([methods.index(method) for method in expected.methods], np.int32),
            mode="markers",
            marker={"color": AFTER, "size": 6, "line": {"width": 1, "color": "#ffffff"}},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    means = [f"{method} {one.mean():.3f}" for method, one in par.items()]
    figure.update_layout(coloraxis=colour_axis(values, "PAR in the past", below=False))
    figure.update_xaxes(title="layer", showgrid=False, **columns(layers))
    figure.update_yaxes(tickvals=list(range(len(methods))), ticktext=methods, tickfont_size=10, **rows(len(methods)))
    chosen = ", ".join(f"{method} for {number}" for method, number in expected.used().items())
    label = f"PAR of each forecast in the past: {', '.join(means)}; chosen, by the number of layers: {chosen}"
    return styled(figure, label, PIXELS_PER_METHOD * len(methods) + 120, layers_on="x")
