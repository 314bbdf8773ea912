from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise import Cluster, InputError, Loads, Placement, balance
from equipoise.serving.balance import AT_ONCE


@given(
    counts=arrays(np.float64, (2, 3, 6), elements=st.floats(0, 1e6)),
    redundant=arrays(np.int64, (3, 2), elements=st.integers(0, 5)),
    seed=st.integers(0, 99),
)
def test_every_expert_is_split_evenly_over_its_replicas(counts, redundant, seed):
    rows = np.concatenate([np.tile(np.arange(6), (3, 1)), redundant], axis=1)
    rows = np.random.default_rng(seed).permuted(rows, axis=1)
    result = balance(Placement(rows, Cluster(gpus=4, slots_per_gpu=2), experts=6), counts)

    expected = np.zeros((2, 3, 4))
    for layer, row in enumerate(rows.tolist()):
        for slot, expert in enumerate(row):
            expected[:, layer, slot // 2] += counts[:, layer, expert] / row.count(expert)
    np.testing.assert_allclose(result.gpu_load, expected, rtol=1e-12)
    np.testing.assert_allclose(result.mean * 4, counts.sum(axis=2), rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(result.peak, result.gpu_load.max(axis=2))


def test_par_and_balancedness():
    placement = Placement.default(Cluster(gpus=2, slots_per_gpu=1), experts=2, layers=3)
    result = balance(placement, [[3, 1], [1, 1], [0, 0]])
    assert result.par.tolist() == [[1.5, 1.0, 1.0]]  # the last layer is idle
    np.testing.assert_allclose(result.balancedness, [[2 / 3, 1, 1]])


def test_dead_gpus_and_empty_slots_have_no_load_and_the_live_ones_share_the_mean():
    cluster = Cluster(gpus=3, slots_per_gpu=2, dead=[1])
    result = balance(Placement([[0, 1, -1, -1, 0, -1]], cluster, experts=2), [[60, 30]])
    assert result.gpu_load.tolist() == [[[60, 0, 30]]]
    assert result.mean.tolist() == [[45]]
    assert result.par.tolist() == [[60 / 45]]


def test_an_expert_that_lives_nowhere_has_no_load():
    result = balance(Placement([[0, -1]], Cluster(gpus=2), experts=2), [[3, 5]])
    assert result.gpu_load.tolist() == [[[3, 0]]]


@given(st.data())
def test_empty_slots_take_no_part(data):
    experts = st.integers(-1, 4)
    row = data.draw(st.lists(experts, min_size=6, max_size=6))
    load = data.draw(st.lists(st.integers(0, 1000), min_size=5, max_size=5))
    result = balance(Placement([row], Cluster(gpus=3, slots_per_gpu=2), experts=5), [load])
    expected = [sum(load[e] / row.count(e) for e in row[first : first + 2] if e >= 0) for first in (0, 2, 4)]
    np.testing.assert_allclose(result.gpu_load[0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 3)])
def test_loads_of_another_model_are_refused(shape):
    placement = Placement.default(Cluster(gpus=2), experts=2, layers=1)
    with pytest.raises(InputError, match=r"experts, the placement .* of 2; expected the same"):
        balance(placement, Loads(np.ones(shape)))


def test_idle_windows_and_layers_are_in_no_mean():
    placement = Placement.default(Cluster(gpus=2, slots_per_gpu=1), experts=2, layers=3)
    result = balance(placement, [[[3, 1], [0, 0], [0, 0]], [[1, 1], [0, 0], [4, 0]], [[0, 0], [0, 0], [0, 0]]])
    assert result.par_of_layers.tolist() == [1.25, 1.0, 2.0]
    assert result.par_of_windows.tolist() == [1.5, 1.5, 1.0]
    assert result.mean_par == 1.5
    assert balance(placement, np.zeros((3, 2))).mean_par == 1


@pytest.mark.parametrize("routing", ["even", "filled"])
def test_many_windows_are_judged_as_each_is_by_itself(routing):
    loads = np.random.default_rng(0).integers(0, 99, (AT_ONCE + 3, 2, 5))
    placement = Placement.default(Cluster(gpus=3, slots_per_gpu=2), experts=5, layers=2)
    one_by_one = np.concatenate([balance(placement, window, routing=routing).gpu_load for window in loads])
    np.testing.assert_array_equal(balance(placement, loads, routing=routing).gpu_load, one_by_one)
