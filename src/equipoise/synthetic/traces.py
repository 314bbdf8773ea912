"""Synthetic traces: loads over many windows that change in a named way, the regime."""

from __future__ import annotations

import math
from numbers import Integral
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from equipoise.errors import InputError, check_choice, check_count, setting
from equipoise.loads import Loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

Regime = Literal["steady", "slow", "fast", "noise", "change"]

SPREAD = 0.65  # standard deviation of an expert's log load
LASTING = 0.5  # share of its variance that is the expert's own, whatever the traffic
KINDS = 4  # kinds of traffic (chat, code, ...) that a drifting mixture has
CONTRAST = 2.0  # standard deviation of the log weights in that mixture
PERSISTENCE = {"slow": 0.95, "fast": 0.6}  # correlation of a log weight with that of the window before
MOST_SELECTIONS = 10**12
MOST_COUNTS = 10**8


def synthetic_trace(
    regime: Regime,
    *,
    windows: int = 100,
    layers: int = 8,
    experts: int = 256,
    selections: int = 100_000,
    seed: int = 0,
) -> Loads:
    """Return synthetic loads that change from window to window as the regime says.

    Nothing of them was recorded. Each layer has its own distribution; of 256 experts, the hottest has about 3 to 8
    times the mean load. The counts are whole numbers, drawn from Poisson distributions. The regimes:

    - steady: one mix of traffic throughout, so that windows differ by the chance of the draw only.
    - slow: a few kinds of traffic whose weights wander (AR(1) walks through a softmax), so that experts run hot
      together; after some 20 windows the mix is another.
    - fast: the same, but after some 2 windows.
    - noise: each expert's load varies around its own mean, independently from window to window and of the others.
    - change: steady, but from the middle on with another mix.

    The same arguments give the same counts with every NumPy version, as far as
    :func:`equipoise.synthetic.sample.sample_loads` does.

    Parameters
    ----------
    regime : {"steady", "slow", "fast", "noise", "change"}
        How the loads change.
    windows, layers, experts : int, at least 1
        The shape of the counts; 10**8 counts at most.
    selections : int, 1 to 10**12
        Token selections of a layer in a window, on average.
    seed : int, 0 to 2**32 - 1
        Another seed, another trace.

    Returns
    -------
    Loads
        Counts ``[windows, layers, experts]``, with labels that say that they are synthetic.

    Raises
    ------
    InputError
        If an argument is none of those.

    Examples
    --------
    >>> trace = synthetic_trace("change", windows=4, layers=2, experts=8)
    >>> trace.counts.shape, trace.labels[0]
    ((4, 2, 8), 'synthetic change 0')
    """
    check_choice(setting("regime"), regime, get_args(Regime))
    _check_shape(windows, layers, experts)
    _check_within("selections", selections, 1, MOST_SELECTIONS)
    _check_within("seed", seed, 0, 2**32 - 1)
    random = np.random.RandomState(seed)
    rate = selections * _popularity(random, regime, (windows, layers, experts))
    # Rounding hides last-digit differences between mathematics libraries.
    counts = random.poisson(np.round(rate, 3))
    return Loads(counts, tuple(f"synthetic {regime} {window}" for window in range(windows)))


def _popularity(random: np.random.RandomState, regime: Regime, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return each expert's share of its layer, ``[windows, layers, experts]``."""
    windows, *layers_experts = shape
    if regime == "noise":
        return _kinds(random, shape)  # every window is a kind of its own
    mixture = _mixture(random, regime, windows)
    kinds = _kinds(random, (mixture.shape[1], *layers_experts))
    return np.tensordot(mixture, kinds, axes=1)


def _kinds(random: np.random.RandomState, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return each expert's share of its layer in each kind of traffic, ``[kinds, layers, experts]``."""
    lasting = random.standard_normal(shape[1:])
    topical = random.standard_normal(shape)
    return _shares(SPREAD * (np.sqrt(LASTING) * lasting + np.sqrt(1 - LASTING) * topical))


def _mixture(random: np.random.RandomState, regime: Regime, windows: int) -> NDArray[np.float64]:
    """Return the weight of each kind of traffic in each window, ``[windows, kinds]``."""
    if regime == "steady":
        return np.ones((windows, 1))
    if regime == "change":
        return np.repeat(np.eye(2), [windows // 2, windows - windows // 2], axis=0)
    return _shares(CONTRAST * _walks(random, windows, PERSISTENCE[regime]))


def _walks(random: np.random.RandomState, windows: int, persistence: float) -> NDArray[np.float64]:
    """Return an AR(1) walk of unit variance for each kind of traffic, ``[windows, kinds]``."""
    walks = random.standard_normal((windows, KINDS))
    for window in range(1, windows):
        walks[window] *= np.sqrt(1 - persistence**2)
        walks[window] += persistence * walks[window - 1]
    return walks


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax over the last axis."""
    weight: NDArray[np.float64] = np.exp(logits)
    weight /= weight.sum(axis=-1, keepdims=True)
    return weight


def _check_shape(windows: int, layers: int, experts: int) -> None:
    shape = {"windows": windows, "layers": layers, "experts": experts}
    counts = math.prod(check_count(setting(name), value) for name, value in shape.items())
    if counts > MOST_COUNTS:
        raise InputError(
            f"{windows} windows x {layers} layers x {experts} experts are {counts} counts; "
            f"expected at most {MOST_COUNTS} in all"
        )


def _check_within(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        raise InputError(f"{name} is {value!r}; expected a whole number from {least} to {most}")
