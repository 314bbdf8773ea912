"""Loads as multiples of their mean, and the colours for them: 1, where nobody waits, is the neutral middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.report.figures.style import AROUND_ONE, FROM_ONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How far the colours may reach above 1, and below it by the same factor, and where they have ticks.
TICKS = {
    1.05: (0.96, 0.98, 1, 1.02, 1.05),
    1.25: (0.8, 0.9, 1, 1.1, 1.25),
    1.5: (0.7, 0.8, 1, 1.2, 1.5),
    2.0: (0.5, 0.7, 1, 1.5, 2),
    4.0: (0.25, 0.5, 1, 2, 4),
}
TICKS_FROM_ONE = {
    1.05: (1, 1.01, 1.02, 1.03, 1.04, 1.05),
    1.25: (1, 1.05, 1.1, 1.15, 1.2, 1.25),
    1.5: (1, 1.1, 1.2, 1.3, 1.5),
    2.0: (1, 1.2, 1.5, 2),
    4.0: (1, 1.5, 2, 3, 4),
}


def times_mean(load: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return loads divided by the mean of their layer, ``[layers, ...]``; NaN, which is drawn blank, for idle ones."""
    mean = mean[:, None]
    return np.divide(load, mean, out=np.full_like(load, np.nan), where=mean > 0)


def colour_axis(values: NDArray[np.float64], title: str, below: bool = True) -> dict[str, Any]:
    """Return Plotly's colour axis for :func:`heights` of multiples of the mean, wide enough for all up to fourfold.

    It reaches as far below 1 as above, unless nothing is ``below``.
    """
    farthest = 2.0 ** np.abs(heights(values[values > 0])).max(initial=0.0)
    ticks_of = TICKS if below else TICKS_FROM_ONE
    limit = next((limit for limit in ticks_of if limit >= farthest), max(ticks_of))
    ticks, high = ticks_of[limit], float(np.log2(limit))
    words = [f"{tick:g}" for tick in ticks]
    if farthest > limit:
        words[-1] += " or more"
        words[0] += " or less" if below else ""
    return {
        "colorscale": AROUND_ONE if below else FROM_ONE,
        "cmin": -high if below else 0.0,
        "cmax": high,
        "colorbar": {**colour_bar(title), "tickvals": np.log2(ticks).tolist(), "ticktext": words},
    }


def colour_bar(title: str) -> dict[str, Any]:
    """Return the look of Plotly's colour bar, above the figure; it lacks its ticks."""
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 0.985,
        "yref": "container",
        "yanchor": "top",
        "lenmode": "pixels",
        "len": 240,
        "thickness": 10,
        "ypad": 0,
        "title": {"text": title, "side": "top"},
    }


def heights(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return where on the colour axis multiples of the mean are: twice as much is as far from 1 as half as much."""
    return np.log2(np.maximum(values, 2.0**-9)).astype(np.float32)
