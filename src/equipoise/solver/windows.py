"""What each GPU carries in every window of time, and how much that asks for relief.

The *pressure* of a GPU is the square of its load above the aim, a peak to come near to, added up over the windows. It
sees what a peak does not: that a transfer lightens all holders of an expert, that a GPU brought below the aim needs no
second change, and that one which is below it whenever others are above needs none at all.

Loads of a window are times the root of its weight, so that its squares are times the weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel

if TYPE_CHECKING:
    from equipoise.solver.arrays import Floats, Integers
    from equipoise.solver.pool import Pool


class Windows(NamedTuple):
    """Loads in every window, each times the root of its weight; their unit is the mean GPU load of the window."""

    root: Floats  # [windows], the root of each weight; the weights add up to 1
    load: Floats  # [experts, windows]
    share: Floats  # [experts, windows], load of one replica
    gpu_load: Floats  # [gpus, windows]
    pressure: Floats  # [gpus]
    aim: Floats  # [windows], the load at which pressure begins, times the root of the weight


def empty_windows(experts: int, gpus: int, windows: int) -> Windows:
    """Return room for so many windows."""
    return Windows(
        root=np.zeros(windows),
        load=np.zeros((experts, windows)),
        share=np.zeros((experts, windows)),
        gpu_load=np.zeros((gpus, windows)),
        pressure=np.zeros(gpus),
        aim=np.zeros(windows),
    )


@kernel
def set_windows(windows: Windows, load: Floats, weight: Floats) -> None:
    """Read loads ``[windows, experts]`` in units of the mean GPU load, and the weight of each window."""
    for w in range(windows.root.size):
        windows.root[w] = np.sqrt(weight[w])
        for expert in range(load.shape[1]):
            windows.load[expert, w] = load[w, expert] * windows.root[w]


@kernel
def set_aim(windows: Windows, aim: float, threshold: float) -> None:
    """Let pressure begin at the aim, or in each window so far above it on the way to the peak."""
    for w in range(windows.root.size):
        low = peak = aim * windows.root[w]
        for gpu in range(windows.pressure.size):
            peak = max(peak, windows.gpu_load[gpu, w])
        windows.aim[w] = low + threshold * (peak - low)
    for gpu in range(windows.pressure.size):
        _press(windows, gpu)


@kernel
def weigh_windows(pool: Pool, windows: Windows) -> None:
    """Bring all shares and GPU loads up to date with the pool."""
    for expert in range(pool.load.size):
        _share_out(windows, expert, pool.copies[expert])
    for gpu in range(pool.slots.shape[0]):
        _weigh(windows, gpu, pool.slots)


@kernel
def weigh_holders(pool: Pool, windows: Windows, expert: int) -> None:
    """Bring up to date what follows from the expert's replicas, pressure too."""
    _share_out(windows, expert, pool.copies[expert])
    for i in range(pool.copies[expert]):
        _weigh(windows, pool.holders[expert, i], pool.slots)
        _press(windows, pool.holders[expert, i])


@kernel
def _share_out(windows: Windows, expert: int, copies: int) -> None:
    for w in range(windows.root.size):
        windows.share[expert, w] = windows.load[expert, w] / copies


@kernel
def _weigh(windows: Windows, gpu: int, slots: Integers) -> None:
    for w in range(windows.root.size):
        load = 0.0
        for place in range(slots.shape[1]):
            load += windows.share[slots[gpu, place], w]
        windows.gpu_load[gpu, w] = load


@kernel
def _press(windows: Windows, gpu: int) -> None:
    pressure = 0.0
    for w in range(windows.root.size):
        above = max(windows.gpu_load[gpu, w] - windows.aim[w], 0.0)
        pressure += above * above
    windows.pressure[gpu] = pressure


@kernel
def mean_peak(windows: Windows) -> float:
    """Return the weighted mean over the windows of the largest GPU load."""
    mean = 0.0
    for w in range(windows.root.size):
        peak = 0.0
        for gpu in range(windows.pressure.size):
            peak = max(peak, windows.gpu_load[gpu, w])
        mean += windows.root[w] * peak
    return mean


@kernel
def next_by_pressure(windows: Windows, gpu: int) -> int:
    """Return the GPU whose pressure is next to this one's, or the greatest for -1; ties to the lowest index."""
    found, most = -1, -1.0
    for other in range(windows.pressure.size):
        pressure = windows.pressure[other]
        after = gpu < 0 or pressure < windows.pressure[gpu] or (pressure == windows.pressure[gpu] and other > gpu)
        if after and pressure > most:
            found, most = other, pressure
    return found
