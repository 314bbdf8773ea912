from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.transfers import empty_search
from tests.reference.exact import optimum
from tests.solver.compiled import refine_pool, settle_pool
from tests.solver.pools import assert_consistent, layers, packed_pool


def refined(layer, tries, kicks=0, target=0.0, good_enough=0.0):
    load, gpus, slots_per_gpu = layer
    pool = packed_pool(load, gpus, slots_per_gpu)
    refine_pool(pool, empty_search(len(load), gpus, slots_per_gpu, tries, kicks), target, good_enough)
    assert_consistent(pool)
    return pool


def settled(layer):
    pool = packed_pool(*layer)
    settle_pool(pool, 0.0)
    return pool


@settings(deadline=None)
@given(layer=layers(), tries=st.integers(0, 8), kicks=st.integers(0, 2))
def test_the_peak_is_never_above_what_swaps_reach(layer, tries, kicks):
    assert refined(layer, tries, kicks).gpu_load.max() <= settled(layer).gpu_load.max()


@settings(deadline=None)
@given(layer=layers(), tries=st.integers(1, 8))
def test_kicks_never_raise_the_peak(layer, tries):
    assert refined(layer, tries, kicks=2).gpu_load.max() <= refined(layer, tries).gpu_load.max()


def test_a_transfer_levels_what_swaps_cannot():
    layer = [3, 2, 2, 2], 3, 2
    assert settled(layer).gpu_load.max() == 3.5
    pool = refined(layer, tries=8)
    assert pool.gpu_load.tolist() == [3, 3, 3]
    assert pool.copies.tolist() != settled(layer).copies.tolist()


def test_a_kick_finds_what_no_single_transfer_does():
    layer = [5, 5, 4, 4, 1, 1], 3, 3
    assert refined(layer, tries=64).gpu_load.max() == 7
    pool = refined(layer, tries=64, kicks=4)
    np.testing.assert_allclose(pool.gpu_load.max(), float(optimum(*layer).peak))


def test_a_peak_that_is_not_worth_it_is_lowered_by_swaps_alone():
    layer = [3, 2, 2, 2], 3, 2
    assert refined(layer, tries=8, good_enough=3.5).copies.tolist() == settled(layer).copies.tolist()
