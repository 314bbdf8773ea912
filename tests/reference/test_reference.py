"""The references against each other, and against every placement of tiny instances."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, combinations, combinations_with_replacement, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import InputError
from tests.reference.exact import exact_peak, grouped_optimum, optimum, soft_optimum, windows_optimum
from tests.reference.original_refinement import original_refinement, transfer_once
from tests.reference.simple_steps import adams_counts, best_grouping, groupings, pack, peak

TINY = [(3, 2, 2), (3, 2, 3), (4, 2, 2), (4, 2, 3), (4, 3, 2), (5, 3, 2)]  # experts, GPUs, slots per GPU


def least_peak(windows: list[list[int]], gpus: int, slots_per_gpu: int) -> Fraction:
    """Least mean peak over every placement without duplicates."""
    experts = len(windows[0])
    gpu_contents = combinations(range(experts), slots_per_gpu)
    placements = (np.array(list(chain(*held))) for held in combinations_with_replacement(gpu_contents, gpus))
    valid = (slots for slots in placements if len(set(slots)) == experts)
    return min(sum(exact_peak(load, slots, gpus) for load in windows) / Fraction(len(windows)) for slots in valid)


def loads_of(experts: int, largest: int = 1000) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, largest), min_size=experts, max_size=experts)


@pytest.mark.parametrize(("experts", "gpus", "slots_per_gpu"), TINY)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_optimum_is_the_least_peak_of_all_placements(experts, gpus, slots_per_gpu, data):
    load = data.draw(loads_of(experts))
    found = optimum(load, gpus, slots_per_gpu)
    assert found.proven
    assert found.peak == least_peak([load], gpus, slots_per_gpu)


@pytest.mark.parametrize(("experts", "gpus", "slots_per_gpu"), TINY)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_the_optimum_of_windows_has_the_least_mean_of_their_peaks(experts, gpus, slots_per_gpu, data):
    windows = data.draw(st.lists(loads_of(experts), min_size=1, max_size=3))
    found = windows_optimum(np.array(windows), gpus, slots_per_gpu)
    assert found.proven
    assert found.peak == least_peak(windows, gpus, slots_per_gpu)


def test_optimum_of_a_known_layer():
    found = optimum([60, 30, 30, 0], gpus=2, slots_per_gpu=3)
    assert found.peak == found.bound == 60
    assert sorted(set(found.phy2log.tolist())) == [0, 1, 2, 3]


def test_optimum_stopped_early_still_bounds():
    load = np.random.default_rng(0).lognormal(8, 1, 24).astype(np.int64)
    found = optimum(load, gpus=6, slots_per_gpu=5, work=0.3)
    assert Fraction(int(load.sum()), 6) <= found.bound <= found.peak


@pytest.mark.parametrize("experts", [2, 9])
def test_optimum_refuses_experts_that_do_not_fit(experts):
    with pytest.raises(InputError, match=f"{experts} experts for 2 GPUs of 4 slots; expected 4 to 8"):
        optimum([1] * experts, gpus=2, slots_per_gpu=4)


def test_optimum_refuses_loads_beyond_64_bits():
    with pytest.raises(InputError, match="less than"):
        optimum([2**61, 2**61, 1], gpus=2, slots_per_gpu=2)


@settings(max_examples=10, deadline=None)
@given(load=loads_of(8))
def test_grouped_optimum_is_the_best_of_every_split(load):
    found = grouped_optimum(load, 4, 3, groups=4, nodes=2)
    groups = np.array(load).reshape(4, 2)
    every_split = [
        max(least_peak([groups[list(node)].ravel().tolist()], 2, 3) for node in split) for split in groupings(4, 2)
    ]
    assert found.proven
    assert found.peak == min(every_split) == exact_peak(load, found.phy2log, 4)
    node_groups = [set(node // 2) for node in found.phy2log.reshape(2, -1)]
    assert [len(node) for node in node_groups] == [2, 2]


def test_groups_never_help():
    load = [90, 10, 5, 5, 40, 20, 10, 20]
    assert grouped_optimum(load, 4, 3, groups=4, nodes=2).peak >= optimum(load, 4, 3).peak


def least_off_node(load: list[int], phy2log: np.ndarray, groups: int) -> Fraction:
    """Load served off its home by a placement on two nodes, the homes of the groups being the best for that."""
    counts, size = np.bincount(phy2log), len(load) // groups
    on_node = [[Fraction(0), Fraction(0)] for _ in range(groups)]
    for node, held in enumerate(phy2log.reshape(2, -1).tolist()):
        for expert in held:
            on_node[expert // size][node] += Fraction(load[expert], int(counts[expert]))
    homes = set(permutations([0, 1] * (groups // 2)))
    return min(sum(served[1 - node] for served, node in zip(on_node, nodes, strict=True)) for nodes in homes)


@settings(max_examples=10, deadline=None)
@given(load=loads_of(4), groups=st.sampled_from([2, 4]), share=st.sampled_from([0, 0.05, 0.2, 1]))
def test_soft_optimum_is_the_least_peak_of_all_placements_that_keep_to_the_limit(load, groups, share):
    off_node = Fraction(share) * sum(load)
    found = soft_optimum(load, 4, 2, groups=groups, nodes=2, off_node=off_node)
    placements = (np.array(list(chain(*held))) for held in product(combinations(range(4), 2), repeat=4))
    every = [slots for slots in placements if len(set(slots)) == 4 and least_off_node(load, slots, groups) <= off_node]
    assert found.proven
    assert found.peak == min(exact_peak(load, slots, 4) for slots in every)
    assert least_off_node(load, found.phy2log, groups) <= off_node


@pytest.mark.parametrize("seed", range(3))
def test_soft_optima_lie_between_those_of_strict_groups_and_of_none(seed):
    load = (np.random.default_rng(seed).lognormal(6, 1, 8).astype(int) + 1).tolist()
    limits = [0, sum(load) // 20, sum(load) // 5, sum(load)]
    peaks = [soft_optimum(load, 4, 3, groups=4, nodes=2, off_node=limit).peak for limit in limits]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] == grouped_optimum(load, 4, 3, groups=4, nodes=2).peak
    assert peaks[-1] == optimum(load, 4, 3).peak


def test_eight_groups_on_four_nodes_pair_in_105_ways():
    splits = list(groupings(8, 4))
    assert len(set(splits)) == 105
    assert all(sorted(chain(*split)) == list(range(8)) for split in splits)


def test_best_grouping_pairs_heavy_with_light():
    assert best_grouping(np.array([9.0, 1.0, 8.0, 2.0]), 2) == ((0, 1), (2, 3))


@st.composite
def domains(draw):
    """Loads, GPUs and slots per GPU of one domain in which duplicates can be avoided."""
    experts, gpus = draw(st.integers(2, 12)), draw(st.integers(1, 6))
    slots_per_gpu = draw(st.integers(-(-experts // gpus), experts))
    return np.array(draw(loads_of(experts)), dtype=float), gpus, slots_per_gpu


@settings(deadline=None)
@given(domain=domains())
def test_adams_counts_leave_no_replica_that_a_copy_would_have_helped(domain):
    load, gpus, slots_per_gpu = domain
    counts = adams_counts(load, gpus * slots_per_gpu, gpus)
    assert counts.sum() == gpus * slots_per_gpu
    assert counts.min() >= 1
    assert counts.max() <= gpus
    given_last = (load / np.maximum(counts - 1, 1))[counts > 1]
    assert (given_last >= (load / counts)[counts < gpus].max(initial=0)).all()


@settings(deadline=None)
@given(domain=domains())
def test_packing_fills_every_slot_and_holds_every_replica(domain):
    load, gpus, slots_per_gpu = domain
    counts = adams_counts(load, gpus * slots_per_gpu, gpus)
    held = pack(load, counts, gpus)
    assert (held.sum(axis=1) == slots_per_gpu).all()
    assert (held.sum(axis=0) == counts).all()


def test_packing_makes_room_where_only_a_holder_has_a_free_slot():
    # GPU 1 fills with experts 1, 2 and 3 before the second copy of expert 4 comes, which GPU 0 holds already.
    held = pack(np.array([10.0, 3.0, 3.0, 2.0, 2.0]), np.array([1, 1, 1, 1, 2]), gpus=2)
    assert [np.flatnonzero(gpu).tolist() for gpu in held] == [[0, 3, 4], [1, 2, 4]]


@settings(deadline=None)
@given(domain=domains())
def test_the_original_pass_moves_at_most_one_copy(domain):
    load, gpus, slots_per_gpu = domain
    counts = adams_counts(load, gpus * slots_per_gpu, gpus)
    after = transfer_once(load, counts, pack(load, counts, gpus))
    assert sorted((after - counts)[after != counts].tolist()) in ([], [-1, 1])
    held = original_refinement(load, gpus, slots_per_gpu)
    assert (held.sum(axis=0) == after).all()
    assert (held.sum(axis=1) == slots_per_gpu).all()


def test_the_original_pass_transfers_where_it_pays():
    load, counts = np.array([60.0, 40, 10, 10]), np.array([1, 1, 1, 3])
    held = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]], dtype=bool)
    assert transfer_once(load, counts, held).tolist() == [2, 1, 1, 2]


@settings(max_examples=15, deadline=None)
@given(load=loads_of(5))
def test_the_original_pass_is_never_better_than_the_optimum(load):
    held = original_refinement(np.array(load, dtype=float), 3, 3)
    assert peak(np.array(load, dtype=float), held) >= float(optimum(load, 3, 3).peak) * (1 - 1e-12)
