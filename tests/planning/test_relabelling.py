from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.planning.relabelling import in_live_slots, relabel


@st.composite
def placements(draw, most_nodes=1):
    """The experts of GPUs, none twice on one, and of the live GPUs, where slots may be empty; and the nodes."""
    nodes, gpus_per_node = draw(st.integers(1, most_nodes)), draw(st.integers(1, 4))
    slots_per_gpu, layers = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    experts = draw(st.integers(slots_per_gpu, 8))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    shape = layers, nodes * gpus_per_node, 1
    slots, live = (rng.permuted(np.tile(np.arange(experts), shape), axis=2)[:, :, :slots_per_gpu] for _ in range(2))
    live = np.where(rng.random(live.shape) < draw(st.sampled_from([0, 0.3])), -1, live)
    return slots, live, experts, nodes


def overlap(slots, live) -> int:
    """Return how many experts the GPUs of one layer hold already."""
    return sum(len(set(gpu) & set(before)) for gpu, before in zip(slots.tolist(), live.tolist(), strict=True))


def contents(slots, nodes) -> list[list[list[int]]]:
    """Return what the GPUs of each node hold, whatever nodes, GPUs and slots are called."""
    return sorted(sorted(sorted(gpu) for gpu in node) for node in slots.reshape(nodes, -1, slots.shape[1]).tolist())


@settings(deadline=None)
@given(placements(most_nodes=3))
def test_nodes_hold_the_same_gpus_under_other_names(placement):
    slots, live, experts, nodes = placement
    for before, after in zip(slots, relabel(slots, live, experts, nodes).slots, strict=True):
        assert contents(after, nodes) == contents(before, nodes)


@settings(deadline=None)
@given(placements())
def test_no_other_names_keep_more_experts_where_they_are(placement):
    slots, live, experts, _ = placement
    for layer, renamed in enumerate(relabel(slots, live, experts, nodes=1).slots):
        others = [overlap(slots[layer][list(names)], live[layer]) for names in permutations(range(len(renamed)))]
        assert overlap(renamed, live[layer]) == max(others)


@settings(deadline=None)
@given(placements(most_nodes=2))
def test_no_other_names_within_the_nodes_keep_more_experts_where_they_are(placement):
    slots, live, experts, nodes = placement
    gpus = slots.shape[1] // nodes
    for layer, renamed in enumerate(relabel(slots, live, experts, nodes).slots):
        for first in range(0, nodes * gpus, gpus):
            node, before = renamed[first : first + gpus], live[layer, first : first + gpus]
            others = [overlap(node[list(names)], before) for names in permutations(range(gpus))]
            assert overlap(node, before) == max(others)


@settings(deadline=None)
@given(placements(most_nodes=3), st.integers(0, 9999))
def test_an_expert_that_its_gpu_holds_already_takes_its_slot_and_empty_slots_stay(placement, seed):
    slots, live, _, _ = placement
    slots = np.where(np.random.default_rng(seed).random(slots.shape) < 0.3, -1, slots)
    for before, planned, after in zip(live, slots, in_live_slots(slots, live), strict=True):
        assert np.sort(after, axis=1).tolist() == np.sort(planned, axis=1).tolist()
        kept = (before >= 0) & (before[:, :, None] == after[:, None, :]).any(axis=2)
        np.testing.assert_array_equal(after[kept], before[kept])


def test_a_node_that_only_changed_its_name_gets_it_back():
    live = np.array([[[0, 1], [2, 3], [4, 5], [6, 7]]])
    slots = np.array([[[7, 6], [4, 5], [3, 2], [0, 1]]])
    renamed = relabel(slots, live, experts=8, nodes=2).slots
    assert in_live_slots(renamed, live).tolist() == live.tolist()
