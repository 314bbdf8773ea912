from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Placement, balance, least_peak_split, plan, read_loads, sample_loads
from tests.serving.placements import placements

LOADS = st.integers(0, 1000) | st.sampled_from([0, 1e-9, 1, 1e9])


def least_peak(slots, counts, gpus):
    """The largest mean load of any GPUs, of the experts that live on these alone: what no split can lower."""
    of_gpu = [gpu for gpu in range(gpus) for _ in range(len(slots) // gpus)]
    homes = [{of_gpu[slot] for slot, held in enumerate(slots) if held == expert} for expert in range(len(counts))]
    return max(
        sum(count for count, home in zip(counts, homes, strict=True) if home and home <= set(some)) / size
        for size in range(1, gpus + 1)
        for some in combinations(range(gpus), size)
    )


@settings(deadline=None)
@given(data=st.data(), placement=placements(most_nodes=2), scale=st.sampled_from([1.0, 1e-200, 1e200]))
def test_the_peak_is_the_least_there_is(data, placement, scale):
    counts = np.array(data.draw(st.lists(LOADS, min_size=placement.experts, max_size=placement.experts))) * scale
    split = least_peak_split(placement, np.tile(counts, (placement.layers, 1)))
    expected = [least_peak(slots, counts, placement.cluster.gpus) for slots in placement.phy2log.tolist()]
    np.testing.assert_allclose(split.peak, expected, rtol=1e-6)
    by_gpu = split.load.reshape(placement.layers, placement.cluster.gpus, -1).sum(axis=2)
    np.testing.assert_allclose(split.peak, by_gpu.max(axis=1))
    for layer, slots in enumerate(placement.phy2log):
        np.testing.assert_allclose(np.bincount(slots, split.shares[layer]), 1)


def test_the_split_is_for_the_windows_added_up_and_reaches_its_peak():
    loads = Loads(sample_loads().counts[:, :6])
    placement = plan(Loads(loads.counts[0]), Cluster(gpus=32, nodes=4, slots_per_gpu=9)).placement
    split = least_peak_split(placement, loads)
    result = balance(placement, loads.sum(), routing=split.shares)
    np.testing.assert_allclose(result.peak[0], split.peak)
    assert result.par.mean() < balance(placement, loads.sum()).par.mean() - 0.01


def test_idle_layers_dead_gpus_and_experts_without_load_or_replica():
    cluster = Cluster(gpus=3, slots_per_gpu=2, dead=[1])
    split = least_peak_split(Placement([[0, 1, -1, -1, 0, 2]] * 2, cluster, experts=4), [[0, 0, 0, 7], [60, 30, 0, 7]])
    np.testing.assert_allclose(split.shares, [[0.5, 1, 0, 0, 0.5, 1], [0.25, 1, 0, 0, 0.75, 1]], atol=1e-6)
    np.testing.assert_allclose(split.peak, [0, 45])


def test_the_split_is_the_same_every_time():
    placement = Placement.default(Cluster(gpus=8, slots_per_gpu=10), experts=64, layers=2)
    counts = np.random.default_rng(0).integers(0, 1000, (2, 64))
    splits = [least_peak_split(placement, counts).shares for _ in range(2)]
    np.testing.assert_array_equal(*splits)


def test_loads_of_another_model_are_refused():
    with pytest.raises(InputError, match="expected the same"):
        least_peak_split(Placement.default(Cluster(gpus=2), experts=2, layers=1), [[1, 2, 3]])


def test_recorded_loads_are_split_below_the_peak_of_an_even_one(real_loads):
    loads = read_loads(real_loads / "deepseek_v3_sglang_ep.npz")
    placement = plan(Loads(loads.counts[0]), Cluster(gpus=32, nodes=4, slots_per_gpu=9)).placement
    later = Loads(loads.counts[7])
    even, best = balance(placement, later), least_peak_split(placement, later)
    assert (best.peak <= even.peak[0] * (1 + 1e-9)).all()
    assert even.par.mean() > 1.4
    assert (best.peak / even.mean[0]).mean() < 1.3
