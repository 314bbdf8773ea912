from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solver.swapping import LEAST_FALL
from solver.compiled import settle_pool
from solver.pools import assert_consistent, layers, packed_pool, pool_of


def lowest_after_a_swap(pool, parcel=1) -> float:
    """Return the least peak that exchanging so many replicas between the peak GPU and another can leave."""
    heavy = int(np.argmax(pool.gpu_load))
    lowest = pool.gpu_load.max()
    for light in range(pool.gpu_load.size):
        given_or_taken = product(combinations(pool.slots[heavy], parcel), combinations(pool.slots[light], parcel))
        for give, take in given_or_taken:
            if set(give) & set(pool.slots[light]) or set(take) & set(pool.slots[heavy]):
                continue
            loads = pool.gpu_load.copy()
            moved = pool.share[list(give)].sum() - pool.share[list(take)].sum()
            loads[[heavy, light]] += -moved, moved
            lowest = min(lowest, loads.max())
    return float(lowest)


@settings(deadline=None)
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
