"""What a Poisson number of tokens takes on average, beside the sum written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from equipoise import ExpertCost
from equipoise.timing.poisson import expected_time
from equipoise.timing.table import Table

COSTS = [
    ExpertCost(layer=67, expert=14.6, tiles={128: 16.8}),
    ExpertCost(expert=10, tiles={16: 2, 512: 30}, token=0.02, sending=0.1),
    ExpertCost(table=Table([1, 64, 200], [40, 40, 60])),
]


def slow_average(cost, mean):
    """Return the sum over all numbers that come more often than once in 10^12 times."""
    numbers = np.arange(int(poisson.isf(1e-12, mean)) + 2)
    return float((poisson.pmf(numbers, mean) * cost.expert_time(numbers)).sum())


@given(cost=st.sampled_from(COSTS), mean=st.floats(0, 3000))
def test_it_is_the_sum_over_all_numbers(cost, mean):
    most_off = 1e-3 * float(cost.expert_time(1))
    found = float(expected_time(cost, np.array([mean]))[0])
    assert found == pytest.approx(slow_average(cost, mean), rel=1e-3, abs=most_off)


@pytest.mark.parametrize("cost", COSTS)
def test_large_means_are_summed_in_larger_steps(cost):
    assert expected_time(cost, np.array([90_000.0]))[0] == pytest.approx(slow_average(cost, 90_000), rel=1e-4)


def test_every_mean_of_an_array_has_its_own_average():
    means = np.linspace(0, 500_000, 3000).reshape(30, 100)  # more than are summed at once
    found = expected_time(COSTS[0], means)
    assert found.shape == means.shape
    assert found[0, 0] == 0
    assert (np.diff(found.ravel()) > 0).all()
