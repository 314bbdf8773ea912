from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.formats.loads.counts import checked_map, logical_counts


@given(windows=st.integers(1, 3), layers=st.integers(1, 3), slots=st.integers(1, 9), seed=st.integers(0, 99))
def test_counts_are_those_of_a_slow_reference(windows, layers, slots, seed):
    rng = np.random.default_rng(seed)
    phy2log = rng.integers(-1, slots, (layers, slots))
    phy2log[0, 0] = max(phy2log[0, 0], 0)
    counts = rng.integers(0, 9, (windows, layers, slots)).astype(np.int32) * (phy2log >= 0)
    expected = np.zeros((windows, layers, phy2log.max() + 1))
    for window, layer, slot in np.ndindex(counts.shape):
        if phy2log[layer, slot] >= 0:
            expected[window, layer, phy2log[layer, slot]] += counts[window, layer, slot]
    np.testing.assert_array_equal(logical_counts(counts, checked_map(phy2log)), expected)


def test_sums_of_small_integers_do_not_overflow():
    assert logical_counts(np.array([[200, 100]], np.uint8), np.array([[0, 0]])).tolist() == [[300]]
    most = np.full((1, 2), 2**31 - 1, np.int32)
    assert logical_counts(most, np.array([[0, 0]])).tolist() == [[2**32 - 2]]


@pytest.mark.parametrize(
    ("phy2log", "message"),
    [
        ([0, 1], r"the map is int64 \[2\]; expected the expert in each slot"),
        (np.zeros((2, 0), int), "expected the expert in each slot"),
        ([[0.0]], "the map is float64"),
        ([[0, 1], [0, 2]], "layer 1, slot 1 holds 2; expected experts from 0 to 1, or -1"),
        ([[0, -2]], "layer 0, slot 1 holds -2"),
        ([[-1, -1]], "no expert in any slot"),
    ],
)
def test_other_maps_are_refused(phy2log, message):
    with pytest.raises(InputError, match=message):
        checked_map(np.array(phy2log))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 2]], r"the counts have shape \[1, 2\] and the map \[1, 3\]"),
        ([1, 2, 3], "the same layers and slots at the end of both"),
        ([["1", "2", "3"]], "the counts are of type <U1"),
        ([[1, 2, 3]], "the map says are empty"),
    ],
)
def test_counts_that_do_not_fit_the_map_are_refused(counts, message):
    with pytest.raises(InputError, match=message):
        logical_counts(np.array(counts), np.array([[0, 1, -1]]))
