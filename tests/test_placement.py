from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement


@st.composite
def placements(draw, least=0):
    """Slots that hold anything from expert ``least`` on; -1 for empty slots too."""
    gpus, slots_per_gpu, layers = (draw(st.integers(1, 5)) for _ in range(3))
    experts = draw(st.integers(1, 8))
    row = st.lists(st.integers(least, experts - 1), min_size=gpus * slots_per_gpu, max_size=gpus * slots_per_gpu)
    phy2log = draw(st.lists(row, min_size=layers, max_size=layers))
    return Placement(phy2log, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu), experts)


@given(placements(least=-1))
def test_counts_slots_and_duplicates_follow_from_the_slots(placement):
    per_gpu = placement.cluster.slots_per_gpu
    for layer, row in enumerate(placement.phy2log.tolist()):
        assert placement.logcnt[layer].tolist() == [row.count(expert) for expert in range(placement.experts)]
        for expert, slots in enumerate(placement.log2phy[layer].tolist()):
            found = [slot for slot, held in enumerate(row) if held == expert]
            assert slots == found + [-1] * (len(slots) - len(found))
        gpus = [row[first : first + per_gpu] for first in range(0, len(row), per_gpu)]
        held = [[expert for expert in gpu if expert >= 0] for gpu in gpus]
        assert placement.duplicates[layer] == sum(len(gpu) - len(Counter(gpu)) for gpu in held)
        for gpu, experts in enumerate(held):
            assert np.flatnonzero(placement.held[layer, gpu]).tolist() == sorted(set(experts))
    assert placement.log2phy.shape[2] == placement.logcnt.max()


@given(placement=placements(least=-1), data=st.data())
def test_slots_are_shown_by_gpu_and_those_of_live_gpus_are_counted(placement, data):
    gpus, slots_per_gpu = placement.cluster.gpus, placement.cluster.slots_per_gpu
    dead = data.draw(st.sets(st.integers(0, gpus - 1), max_size=gpus - 1))
    placement = Placement(placement.phy2log, Cluster(gpus, slots_per_gpu=slots_per_gpu, dead=dead), placement.experts)
    for layer, row in enumerate(placement.phy2log.tolist()):
        assert [row[first : first + slots_per_gpu] for first in range(0, len(row), slots_per_gpu)] == (
            placement.by_gpu[layer].tolist()
        )
    assert placement.live_slots == sum(
        slot // slots_per_gpu not in dead for _ in placement.phy2log for slot in range(placement.cluster.slots)
    )


@given(placement=placements(least=-1), data=st.data())
def test_what_is_on_live_gpus_is_there_and_nothing_on_the_dead(placement, data):
    live, slots_per_gpu = placement.cluster.gpus, placement.cluster.slots_per_gpu
    gpus = live + data.draw(st.integers(0, 3))
    dead = data.draw(st.permutations(range(gpus)))[live:]
    cluster = Cluster(gpus, slots_per_gpu=slots_per_gpu, dead=dead)
    found = Placement.on_live(placement.by_gpu, cluster, placement.experts)
    assert (found.cluster, found.experts) == (cluster, placement.experts)
    for layer, row in enumerate(found.phy2log.tolist()):
        left = iter(placement.by_gpu[layer].tolist())
        for gpu in range(gpus):
            held = row[gpu * slots_per_gpu : (gpu + 1) * slots_per_gpu]
            assert held == ([-1] * slots_per_gpu if gpu in dead else next(left))


@given(placements())
def test_validate_asks_for_every_expert_and_no_avoidable_duplicate(placement):
    avoidable = placement.cluster.slots_per_gpu <= placement.experts
    valid = placement.logcnt.all() and not (avoidable and placement.duplicates.any())
    try:
        placement.validate()
        assert valid
    except InputError:
        assert not valid


@given(placement=placements(least=-1), data=st.data())
def test_validate_asks_that_just_the_dead_gpus_are_empty(placement, data):
    gpus, slots_per_gpu = placement.cluster.gpus, placement.cluster.slots_per_gpu
    dead = data.draw(st.sets(st.integers(0, gpus - 1), max_size=gpus - 1))
    cluster = Cluster(gpus, slots_per_gpu=slots_per_gpu, dead=dead)
    empty = np.repeat([gpu in dead for gpu in range(gpus)], slots_per_gpu)
    if data.draw(st.booleans()):
        placement = Placement(np.where(empty, -1, np.maximum(placement.phy2log, 0)), cluster, placement.experts)
    placement = Placement(placement.phy2log, cluster, placement.experts)
    just_those = ((placement.phy2log < 0) == empty).all()
    avoidable = slots_per_gpu <= placement.experts
    valid = just_those and placement.logcnt.all() and not (avoidable and placement.duplicates.any())
    try:
        placement.validate()
        assert valid
    except InputError:
        assert not valid


def test_the_default_layout_repeats_the_first_experts_on_the_last_slots():
    placement = Placement.default(Cluster(gpus=2, slots_per_gpu=3), experts=4, layers=2)
    assert placement.phy2log.tolist() == [[0, 1, 2, 3, 0, 1]] * 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 1, 2, 2], "layer 1, GPU 1 holds expert 2 twice"),
        ([0, 1, 1, 0], "layer 1 holds no replica of expert 2"),
        ([0, 1, 2, -1], r"layer 1, slot 3 is empty \(-1\) but its GPU is not dead; expected an expert"),
    ],
)
def test_validate_names_the_place(row, message):
    with pytest.raises(InputError, match=message):
        Placement([[0, 1, 2, 0], row], Cluster(gpus=2, slots_per_gpu=2), experts=3).validate()


def test_validate_names_the_slot_of_a_dead_gpu_that_holds_an_expert():
    cluster = Cluster(gpus=3, slots_per_gpu=2, dead=[1])
    Placement([[0, 1, -1, -1, 2, 0]], cluster, experts=3).validate()
    with pytest.raises(InputError, match="layer 1, slot 3 is on a dead GPU but holds expert 2; expected -1"):
        Placement([[0, 1, -1, -1, 2, 0], [0, 1, -1, 2, 1, 0]], cluster, experts=3).validate()


@pytest.mark.parametrize(
    ("phy2log", "message"),
    [
        ([[0, 1, 2, 3]], "slot 3 holds expert 3; expected 0 to 2, or -1"),
        ([[0, 1, 2, 0], [0, -2, 2, 0]], "layer 1, slot 1 holds expert -2; expected 0 to 2, or -1 for an empty slot"),
        ([[0, 1, 2]], r"shape \[1, 3\]; expected \[layers, 4\]"),
        (np.empty((0, 4), int), r"shape \[0, 4\]"),
        ([0, 1, 2, 0], r"expected whole numbers \[layers, slots\]"),
        ([[0.0, 1.0, 2.0, 0.0]], "float64"),
        ([[True, False, True, False]], "bool"),
    ],
)
def test_what_is_no_placement_is_refused(phy2log, message):
    with pytest.raises(InputError, match=message):
        Placement(phy2log, Cluster(gpus=2, slots_per_gpu=2), experts=3)


def test_what_it_was_given_may_change_and_what_it_has_cannot():
    given = np.array([[0, 1, 2, 0]])
    placement = Placement(given, Cluster(gpus=2, slots_per_gpu=2), 3)
    given[:] = 9
    assert placement.phy2log.tolist() == [[0, 1, 2, 0]]
    with pytest.raises(ValueError, match="read-only"):
        placement.phy2log[0, 0] = 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"decoder_layers": [1.5, 3]}, r"decoder_layers are \(1.5, 3\)"),
        ({"decoder_layers": ["a", "b"]}, "decoder_layers are"),
        ({"groups": 0}, "groups is 0; expected a whole number of at least 1"),
        ({"groups": 2}, "3 experts do not divide into 2 groups"),
        ({"locality": "lax"}, "locality is 'lax'; expected 'strict', 'soft', 'none'"),
        ({"off_node": 2}, "off_node is 2; expected a share, from 0 to 1"),
        ({"decoder_layers": [3]}, r"decoder_layers are \(3,\); expected a rising number of at least 0 for each of 2"),
        ({"decoder_layers": [4, 3]}, r"decoder_layers are \(4, 3\)"),
        ({"decoder_layers": [-1, 3]}, r"decoder_layers are \(-1, 3\)"),
    ],
)
def test_what_it_cannot_have_been_planned_with_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        Placement([[0, 1, 2, 0]] * 2, Cluster(gpus=2, slots_per_gpu=2), 3, **asked)


def test_groups_on_two_nodes_are_not_strict():
    spread = [[0, 1, 2, 3], [0, 2, 1, 3]]
    cluster = Cluster(gpus=2, nodes=2, slots_per_gpu=2)
    for locality in ("soft", "none"):
        Placement(spread, cluster, 4, groups=2, locality=locality).validate()
    with pytest.raises(InputError, match="layer 1, group 0 is on nodes 0 and 1 but the"):
        Placement(spread, cluster, 4, groups=2, locality="strict").validate()
