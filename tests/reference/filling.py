"""The fill as it is defined, slowly: the least peak by a linear program, the most even loads by pouring for long."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog


def holders_of(slots, experts, slots_per_gpu):
    """Return the GPUs of each expert of a layer, each once."""
    return [sorted({slot // slots_per_gpu for slot in np.flatnonzero(slots == expert)}) for expert in range(experts)]


def least_peak(holders, counts, gpus):
    """Return the least peak of any split, by HiGHS."""
    pairs = [(expert, gpu) for expert, some in enumerate(holders) for gpu in some]
    total, peak = np.zeros((len(holders), len(pairs) + 1)), np.zeros((gpus, len(pairs) + 1))
    for at, (expert, gpu) in enumerate(pairs):
        total[expert, at] = peak[gpu, at] = 1
    peak[:, -1] = -1
    held = [expert for expert, some in enumerate(holders) if some]
    cost = np.append(np.zeros(len(pairs)), 1)
    found = linprog(cost, peak, np.zeros(gpus), total[held], np.asarray(counts)[held], method="highs")
    return found.x[-1]


def most_even(holders, counts, gpus, sweeps=3000):
    """Return the GPU loads of the most even split: each expert's load, again and again, to one level over its GPUs."""
    load = np.zeros((len(holders), gpus))
    for expert, some in enumerate(holders):
        load[expert, some] = counts[expert] / max(len(some), 1)
    for _ in range(sweeps):
        for expert, some in enumerate(holders):
            if len(some) > 1:
                load[expert] = 0
                load[expert, some] = poured(load.sum(axis=0)[some], counts[expert])
    return load.sum(axis=0)


def poured(heights, water):
    """Return what each vessel gets of the water, the lowest first."""
    order = np.argsort(heights)
    for full in range(len(order), 0, -1):
        level = (heights[order[:full]].sum() + water) / full
        if level >= heights[order[full - 1]]:
            return np.maximum(level - heights, 0)
    raise AssertionError("the lowest vessel always gets some")
