from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise.solver.windows import empty_windows
from tests.solver.compiled import (
    mean_peak_of_windows,
    next_by_pressure_gpu,
    set_aim_of_windows,
    set_loads_of_windows,
    weigh_all_windows,
    weigh_holders_in_windows,
)
from tests.solver.pools import layers, packed_pool, pool_of


@st.composite
def weighed(draw):
    """A pool, its loads and weights in each window, and the windows that know them."""
    load, gpus, slots_per_gpu = draw(layers())
    rng, count = np.random.default_rng(draw(st.integers(0, 9999))), draw(st.integers(1, 4))
    weights = rng.choice([0, 1, 2, 5], count) + np.eye(count)[0]
    weights /= weights.sum()
    loads = np.array([load, *(rng.permutation(load) for _ in weights[1:])], np.float64)
    pool, windows = packed_pool(weights @ loads, gpus, slots_per_gpu), empty_windows(len(load), gpus, count)
    set_loads_of_windows(windows, loads, weights)
    weigh_all_windows(pool, windows)
    return pool, loads, weights, windows


def loads_in_windows(pool, loads):
    """Return the load of each GPU, [windows, gpus]."""
    return (loads / pool.copies)[:, pool.slots].sum(axis=2)


def assert_weighed(pool, loads, weights, windows):
    """Check shares, GPU loads and pressure against the pool's slots."""
    root = np.sqrt(weights)
    gpu_load = loads_in_windows(pool, loads)
    above = np.maximum(gpu_load * root[:, None] - windows.aim[:, None], 0)
    unit = 1 + loads.max()
    np.testing.assert_allclose(windows.share.T / unit, root[:, None] * loads / pool.copies / unit, atol=1e-14)
    np.testing.assert_allclose(windows.gpu_load.T / unit, root[:, None] * gpu_load / unit, atol=1e-13)
    np.testing.assert_allclose(windows.pressure / unit**2, (above**2).sum(axis=0) / unit**2, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(problem=weighed())
def test_the_mean_peak_is_the_weighted_mean_of_the_peaks(problem):
    pool, loads, weights, windows = problem
    assert mean_peak_of_windows(windows) == pytest.approx(weights @ loads_in_windows(pool, loads).max(axis=1))


@settings(max_examples=100, deadline=None)
@given(problem=weighed(), share=st.sampled_from([0, 0.9, 1.2, 9]), threshold=st.sampled_from([0, 0.3, 1]))
def test_pressure_begins_at_the_aim_or_so_far_above_it_on_the_way_to_the_peak(problem, share, threshold):
    pool, loads, weights, windows = problem
    gpu_load = loads_in_windows(pool, loads)
    aim = share * float(gpu_load[0].mean())
    set_aim_of_windows(windows, aim, threshold)
    begins = aim + threshold * np.maximum(gpu_load.max(axis=1) - aim, 0)
    np.testing.assert_allclose(windows.aim, begins * np.sqrt(weights), rtol=1e-13)
    assert_weighed(*problem)


@settings(max_examples=200, deadline=None)
@given(problem=weighed(), data=st.data())
def test_what_follows_from_the_replicas_of_an_expert_is_brought_up_to_date(problem, data):
    pool, loads, weights, windows = problem
    set_aim_of_windows(windows, float(pool.gpu_load.mean()), 0.0)
    gpus, experts = range(len(pool.slots)), range(len(pool.load))
    slots = [set(held) for held in pool.slots.tolist()]
    spare = [
        (gpu, donor, receiver)
        for gpu in gpus
        for donor in slots[gpu]
        if pool.copies[donor] > 1
        for receiver in set(experts) - slots[gpu]
    ]
    assume(spare)
    gpu, donor, receiver = data.draw(st.sampled_from(spare))
    slots[gpu] = slots[gpu] - {donor} | {receiver}
    changed = pool_of(pool.load, [sorted(held) for held in slots])
    weigh_holders_in_windows(changed, windows, donor)
    weigh_holders_in_windows(changed, windows, receiver)
    assert_weighed(changed, loads, weights, windows)


@settings(max_examples=200, deadline=None)
@given(pressure=st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=1, max_size=9))
def test_gpus_come_by_falling_pressure_and_ties_by_their_index(pressure):
    windows = empty_windows(1, len(pressure), 1)
    windows.pressure[:] = pressure
    gpus, gpu = [], next_by_pressure_gpu(windows, -1)
    while gpu >= 0:
        gpus.append(gpu)
        gpu = next_by_pressure_gpu(windows, gpu)
    assert gpus == sorted(range(len(pressure)), key=lambda gpu: (-pressure[gpu], gpu))
