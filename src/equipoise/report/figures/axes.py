"""Axes with ticks on whole numbers and round values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEW = 10
STEPS = 4
LEAST_ABOVE_ONE = 1e-3  # that an axis of PAR reaches


def whole_ticks(number: int) -> dict[str, Any]:
    """Return the options of an axis over so many things: Plotly would put ticks between a few."""
    return {"dtick": 1} if number <= FEW else {}


def columns(number: int) -> dict[str, Any]:
    """Return the options of an x axis over so many layers, windows, GPUs or experts, the same in every figure."""
    return {"range": (-0.5, number - 0.5), **whole_ticks(number)}


def rows(number: int) -> dict[str, Any]:
    """Return the options of a y axis over so many layers, the first on top."""
    return {"range": (number - 0.5, -0.5), "showgrid": False, **whole_ticks(number)}


def from_one(values: ArrayLike) -> dict[str, Any]:
    """Return the options of an axis of PAR: from 1, which is perfect, to a round value.

    Examples
    --------
    >>> from_one([1.02, 1.07])
    {'range': (1.0, 1.08), 'tick0': 1.0, 'dtick': 0.02}
    """
    return _from(1.0, max(float(np.max(values)) - 1, LEAST_ABOVE_ONE), least_step=0)


def from_none(values: ArrayLike, whole: bool = False) -> dict[str, Any]:
    """Return the options of an axis from 0 to a round value, with ticks on whole numbers alone if asked.

    Examples
    --------
    >>> from_none([0, 3], whole=True)
    {'range': (0.0, 3.0), 'tick0': 0.0, 'dtick': 1.0}
    """
    most = float(np.max(values))
    return _from(0.0, most or 1.0, least_step=1 if whole else 0)


def logarithmic_ticks(low: float, high: float) -> dict[str, Any]:
    """Return the ticks of a logarithmic axis: 1, 2 and 5 times the powers of ten, or others where those are few.

    Examples
    --------
    >>> logarithmic_ticks(30, 1500)
    {'tickvals': [50.0, 100.0, 200.0, 500.0, 1000.0], 'ticktext': ['50', '100', '200', '500', '1,000']}
    >>> logarithmic_ticks(270, 480)
    {'tickvals': [300.0, 400.0], 'ticktext': ['300', '400']}
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if low <= digit * 10.0**power <= high]
    if len(ticks) < STEPS - 1:
        step = round_step((high - low) / STEPS)
        ticks = [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return {"tickvals": ticks, "ticktext": [f"{tick:,.6g}" for tick in ticks]}


def _from(start: float, span: float, least_step: float) -> dict[str, Any]:
    step = max(round_step(span / STEPS), least_step)
    high = start + step * math.ceil(round(span / step, 6))
    return {"range": (start, round(high, 9)), "tick0": start, "dtick": step}


def round_step(rough: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not less.

    Examples
    --------
    >>> round_step(0.03), round_step(1), round_step(1201)
    (0.05, 1.0, 2000.0)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return round(next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9)), 9)
