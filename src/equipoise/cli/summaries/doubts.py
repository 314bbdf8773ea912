"""What makes a recording doubtful, a line for each reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.cli.summaries.words import counted
from equipoise.planning.samples import WHOLLY, trust

if TYPE_CHECKING:
    from equipoise.loads import Loads

UNLIKE = 0.01  # of the median: by so much more or less, a layer or a window is named
FEW = 0.01
NAMED = 5


def doubts(loads: Loads) -> list[str]:
    """Return why these loads may not be what they seem, in words; nothing where there is no reason."""
    if not loads.counts.any():
        return ["Nothing but zeros: nothing was recorded."]
    return [line for line in (_too_few(loads), _other_totals(loads), _nearly_empty(loads)) if line]


def _too_few(loads: Loads) -> str:
    """Say where the experts of a layer are hardly told apart by so few selections."""
    share = trust(loads)
    few = np.flatnonzero(share < WHOLLY)
    if not len(few):
        return ""
    worst = few[share[few].argmin()]
    selections = int(loads.counts[:, worst].sum())
    return (
        f"Too few selections to tell {loads.experts} experts apart in {_layers(few)}: of what layer {worst} shows with "
        f"{selections:,}, {share[worst]:.0%} is more than chance. Plans trust it that far."
    )


def _other_totals(loads: Loads) -> str:
    """Say which layers have another load than the others, though every token passes every layer once."""
    total = loads.counts.sum(axis=(0, 2))
    usual = np.median(total[total > 0])
    other = np.flatnonzero((total > 0) & (np.abs(total / usual - 1) > UNLIKE))
    if not len(other) or len(other) > len(total) / 2:
        return ""
    return (
        f"Loads differ: {_layers(other)} {'has' if len(other) == 1 else 'have'} {total[other[0]]:.4g}, the others "
        f"{usual:.4g}, though every token passes every layer. Were passes dropped, or another model's added?"
    )


def _nearly_empty(loads: Loads) -> str:
    """Say which windows have hardly any load."""
    total = loads.counts.sum(axis=(1, 2))
    empty = np.flatnonzero(total < FEW * np.median(total))
    if not len(empty):
        return ""
    which = ", ".join(loads.labels[window] if loads.labels else str(window) for window in empty[:NAMED].tolist())
    return f"{counted(len(empty), 'window')} with less than {FEW:.0%} of the usual load: {which}."


def _layers(numbers: np.ndarray) -> str:
    """Return layers in words: all of few, or how many."""
    if len(numbers) > NAMED:
        return counted(len(numbers), "layer")
    return f"layer{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers.tolist()))}"
