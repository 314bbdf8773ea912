"""The fill beside HiGHS and beside pouring for long; what is not split; and that nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, Placement, balance, plan, sample_loads
from equipoise.serving.fill import fill
from equipoise.serving.primaries import primaries
from tests.reference.filling import holders_of, least_peak, most_even
from tests.serving.placements import placements

SCALES = st.sampled_from([1.0, 1e-150, 1e150])


@st.composite
def problems(draw):
    """A placement, and loads of two problems of each of its layers."""
    placement = draw(placements(most_nodes=2))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    counts = rng.lognormal(0, draw(st.sampled_from([0.1, 1, 3])), (2, placement.layers, placement.experts))
    return placement, counts * (rng.random(counts.shape) < draw(st.sampled_from([0.3, 1]))) * draw(SCALES)


def gpu_loads(slot_load, placement):
    return slot_load.reshape(*slot_load.shape[:2], placement.cluster.gpus, -1).sum(axis=3)


@given(problem=problems())
def test_the_peak_is_the_least_there_is_and_so_is_the_next(problem):
    placement, counts = problem
    found = gpu_loads(fill(placement, counts), placement)
    for number in range(2):
        for layer in range(placement.layers):
            holders = holders_of(placement.phy2log[layer], placement.experts, placement.cluster.slots_per_gpu)
            unit = counts[number, layer].sum() / placement.cluster.gpus or 1.0
            load, gpus = counts[number, layer] / unit, placement.cluster.gpus
            assert found[number, layer].max() / unit == pytest.approx(least_peak(holders, load, gpus), abs=2e-6)
            even = most_even(holders, load, gpus, sweeps=300)
            np.testing.assert_allclose(np.sort(found[number, layer] / unit), np.sort(even), atol=1e-5)


@given(problem=problems(), floor=st.sampled_from([0, 0.5, 2, 100]))
def test_every_load_goes_to_holders_of_its_expert_and_nothing_is_lost(problem, floor):
    placement, counts = problem
    floor *= counts.mean()
    found = fill(placement, counts, floor)
    assert (found >= 0).all()
    primary = primaries(placement)
    for number, layer, expert in np.ndindex(counts.shape):
        load, got = counts[number, layer, expert], found[number, layer]
        slots = np.flatnonzero(placement.phy2log[layer] == expert)
        assert got[slots].sum() == pytest.approx(load, rel=1e-6, abs=1e-12 * counts[number, layer].sum())
        if load <= floor:
            assert got[primary[layer, expert]] == load
    assert found[:, placement.phy2log < 0].sum() == 0
    np.testing.assert_allclose(found.sum(axis=2), counts.sum(axis=2), rtol=1e-9)


@given(problem=problems())
def test_it_is_never_less_even_than_even_shares(problem):
    placement, counts = problem
    even, filled = (balance(placement, counts, routing=rule).par for rule in ("even", "filled"))
    assert (filled <= even * (1 + 1e-6)).all()


def test_it_is_exact_where_loads_shift():
    loads = sample_loads().counts
    placement = plan(loads[:2], Cluster(gpus=32, nodes=4, slots_per_gpu=9), effort="fast").placement
    filled = balance(placement, loads[-1], routing="filled")
    for layer in (0, 29, 57):
        holders = holders_of(placement.phy2log[layer], 256, 9)
        assert filled.peak[0, layer] == pytest.approx(least_peak(holders, loads[-1, layer], 32), rel=1e-6)
    assert filled.par.mean() < balance(placement, loads[-1]).par.mean() - 0.01


def test_dead_gpus_get_nothing_and_experts_without_a_replica_go_nowhere():
    cluster = Cluster(gpus=3, slots_per_gpu=2, dead=[1])
    placement = Placement([[0, 1, -1, -1, 0, 2]], cluster, experts=4)
    assert fill(placement, np.array([[[60.0, 30, 0, 7]]])).tolist() == [[[15, 30, 0, 0, 45, 0]]]


def test_the_first_of_two_on_a_gpu_gets_all():
    placement = Placement([[0, 0, 1, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=2)
    np.testing.assert_allclose(fill(placement, np.array([[[60.0, 20]]])), [[[40, 0, 20, 20]]])


def test_threads_and_processes_of_any_number_fill_alike(monkeypatch):
    placement = plan(sample_loads().counts[0], Cluster(gpus=32, nodes=4, slots_per_gpu=9), effort="fast").placement
    counts = sample_loads().counts[:4]
    alone = fill(placement, counts)
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda _: fill(placement, counts), range(3)))
    monkeypatch.setattr("equipoise.solver.threads.worthwhile_workers", lambda work: 3)
    assert all(np.array_equal(alone, one) for one in (*several, fill(placement, counts)))
    assert np.array_equal(alone[1:2], fill(placement, counts[1:2]))
