"""Efforts: how far a plan is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effort = Literal["fast", "default", "thorough"]


@dataclass(frozen=True)
class SearchSettings:
    """How far an effort goes: limits of counted work, never of time, so that every run ends with the same plan.

    Attributes
    ----------
    tolerance : float
        A peak this close to its bound, as a share of it, is not lowered further.
    good_enough : float
        Nor is one this close by more than swaps, which cost little.
    tries : int
        Transfers of replicas that are tried before a layer is given up.
    kicks : int
        Transfers that are then made although they do not help, to search on from there.
    counts : int
        All replica counts are tried where there are at most so many.
    start_deviations : tuple of float
        By how many standard deviations experts are taken to be heavier than in the mean, in one first placement after
        another, where there are several windows.
    windows : int
        Windows are folded to so many at most.
    thresholds : tuple of float
        How far between the mean and the peak of a window loads begin to count, in one search after another, where there
        are several windows.
    filled_work : int
        Where a plan is for filled routing, changes that are tried of each layer, times its slots and windows.
    """

    tolerance: float
    good_enough: float
    tries: int
    kicks: int
    counts: int
    windows: int
    start_deviations: tuple[float, ...]
    thresholds: tuple[float, ...]
    filled_work: int


# What varies counts for more: where one load must do for all windows, an expert is taken to be so many standard
# deviations heavier than in the mean. It is the upper quartile of a normal distribution; FlashLB takes the same.
DEVIATIONS = 0.67
# No peak is so far above its bound. Infinity would not do: of an idle layer's bound, 0, it is no number.
NEVER = 1e5

SETTINGS = {
    "fast": SearchSettings(
        tolerance=1e-3,
        good_enough=NEVER,
        tries=0,
        kicks=0,
        counts=0,
        windows=4,
        start_deviations=(DEVIATIONS,),
        thresholds=(0.0,),
        filled_work=0,
    ),
    "default": SearchSettings(
        tolerance=2e-4,
        good_enough=7e-4,
        tries=10,
        kicks=0,
        counts=512,
        windows=16,
        start_deviations=(DEVIATIONS, 0.0),
        thresholds=(0.0, 0.3, 0.6, 0.8),
        filled_work=240000,
    ),
    "thorough": SearchSettings(
        tolerance=2e-5,
        good_enough=1e-4,
        tries=64,
        kicks=4,
        counts=8192,
        windows=32,
        start_deviations=(DEVIATIONS, 0.0, 1.33),
        thresholds=3 * (0.0, 0.3, 0.6, 0.8),
        filled_work=2_400_000,
    ),
}
