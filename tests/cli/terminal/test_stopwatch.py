from __future__ import annotations

from numba import njit

from equipoise.cli.terminal.stopwatch import stopwatch


def test_compiling_is_told_apart():
    double = njit(lambda x: 2 * x)
    with stopwatch() as first:
        double(1)
    with stopwatch() as second:
        double(1)
    assert 0 < first.compiling <= first.milliseconds
    assert 0 == second.compiling < second.milliseconds
