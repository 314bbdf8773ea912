from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.swaps import LEAST_FALL
from tests.solver.compiled import settle_pool
from tests.solver.pools import assert_consistent, layers, packed_pool, pool_of


def lowest_after_a_swap(pool, bundle=1) -> float:
    """Return the least peak after so many replicas of the peak GPU swap with another's, no expert twice on either."""
    heavy = pool.gpu_load.argmax()
    lowest = pool.gpu_load.max()
    for light in range(pool.gpu_load.size):
        gives = combinations(set(pool.slots[heavy]) - set(pool.slots[light]), bundle)
        takes = combinations(set(pool.slots[light]) - set(pool.slots[heavy]), bundle)
        for give, take in product(gives, takes):
            moved = pool.share[list(give)].sum() - pool.share[list(take)].sum()
            gpu_load = pool.gpu_load.copy()
            gpu_load[heavy] -= moved
            gpu_load[light] += moved
            lowest = min(lowest, gpu_load.max())
    return lowest


@settings(max_examples=200, deadline=None)
@given(layer=layers(), slack=st.sampled_from([0.0, 0.01, 0.1]))
def test_swaps_lower_the_peak_until_none_does(layer, slack):
    pool = packed_pool(*layer)
    copies, before = pool.copies.tolist(), pool.gpu_load.max()
    target = pool.gpu_load.mean() * (1 + slack)
    settle_pool(pool, target)
    assert_consistent(pool)
    assert pool.copies.tolist() == copies
    after = pool.gpu_load.max()
    assert after <= before
    if after > target:
        assert lowest_after_a_swap(pool) >= after * (1 - 2 * LEAST_FALL)
        assert pool.slots.shape[1] < 4 or lowest_after_a_swap(pool, bundle=2) >= after * (1 - 2 * LEAST_FALL)


def test_two_replicas_go_for_two_where_no_single_swap_helps():
    pool = pool_of([3, 1, 1, 8, 7, 4, 5, 3], [[6, 7, 0, 5], [4, 1, 2, 3]])
    assert lowest_after_a_swap(pool) == pool.gpu_load.max() == 17
    settle_pool(pool, 0.0)
    assert_consistent(pool)
    assert pool.gpu_load.tolist() == [16, 16]


@pytest.mark.parametrize(("target", "peak"), [(17.0, 17), (16.0, 16)])
def test_swaps_end_at_the_target(target, peak):
    pool = pool_of([3, 1, 1, 8, 7, 4, 5, 3], [[6, 7, 0, 5], [4, 1, 2, 3]])
    settle_pool(pool, target)
    assert pool.gpu_load.max() == peak


def test_no_swap_brings_an_expert_where_it_is():
    # Giving expert 0 for expert 1 would leave 20 and 16, but the light GPU holds expert 0 already.
    pool = pool_of([20, 4, 12], [[2, 0], [0, 1]])
    settle_pool(pool, 0.0)
    assert pool.gpu_load.tolist() == [22, 14]
