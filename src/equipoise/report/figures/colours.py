"""Loads as multiples of their mean, and the colours for them: 1, where nobody waits, is the neutral middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.report.figures.style import AROUND_ONE, FROM_ONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMITS = (1.05, 1.25, 1.5, 2.0, 4.0)
TICKS = 5


def times_mean(load: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return loads divided by the mean of their layer, ``[layers, ...]``; NaN, which is drawn blank, for idle ones."""
    mean = mean[:, None]
    return np.divide(load, mean, out=np.full_like(load, np.nan), where=mean > 0)


def colour_axis(values: NDArray[np.float64], title: str, below: bool = True) -> dict[str, Any]:
    """Return Plotly's colour axis for :func:`heights` of multiples of the mean, wide enough for all up to fourfold.

    It reaches as far below 1 as above, unless nothing is ``below``.
    """
    farthest = 2.0 ** np.abs(heights(values[values > 0])).max(initial=0.0)
    limit = next((limit for limit in LIMITS if limit >= farthest), LIMITS[-1])
    high = float(np.log2(limit))
    ticks = np.linspace(-high if below else 0.0, high, TICKS)
    words = [f"{2**tick:.3g}" for tick in ticks]
    if farthest > limit:
        words[-1] += " or more"
        words[0] += " or less" if below else ""
    return {
        "colorscale": AROUND_ONE if below else FROM_ONE,
        "cmin": ticks[0],
        "cmax": ticks[-1],
        "colorbar": {
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
            "tickvals": ticks.tolist(),
            "ticktext": words,
        },
    }


def heights(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return where on the colour axis multiples of the mean are: twice as much is as far from 1 as half as much."""
    return np.log2(np.maximum(values, 2.0**-9)).astype(np.float32)
