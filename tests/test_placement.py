from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement


@st.composite
def placements(draw):
    gpus, slots_per_gpu, layers = (draw(st.integers(1, 5)) for _ in range(3))
    experts = draw(st.integers(1, 8))
    row = st.lists(st.integers(0, experts - 1), min_size=gpus * slots_per_gpu, max_size=gpus * slots_per_gpu)
    phy2log = draw(st.lists(row, min_size=layers, max_size=layers))
    return Placement(phy2log, Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu), experts)


@given(placements())
def test_counts_slots_and_duplicates_follow_from_the_slots(placement):
    per_gpu = placement.cluster.slots_per_gpu
    for layer, row in enumerate(placement.phy2log.tolist()):
        assert placement.logcnt[layer].tolist() == [row.count(expert) for expert in range(placement.experts)]
        for expert, slots in enumerate(placement.log2phy[layer].tolist()):
            found = [slot for slot, held in enumerate(row) if held == expert]
            assert slots == found + [-1] * (len(slots) - len(found))
        gpus = [row[first : first + per_gpu] for first in range(0, len(row), per_gpu)]
        assert placement.duplicates[layer] == sum(len(gpu) - len(Counter(gpu)) for gpu in gpus)
    assert placement.log2phy.shape[2] == placement.logcnt.max()


@given(placements())
def test_validate_asks_for_every_expert_and_no_avoidable_duplicate(placement):
    avoidable = placement.cluster.slots_per_gpu <= placement.experts
    valid = placement.logcnt.all() and not (avoidable and placement.duplicates.any())
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
    ],
)
def test_validate_names_the_place(row, message):
    with pytest.raises(InputError, match=message):
        Placement([[0, 1, 2, 0], row], Cluster(gpus=2, slots_per_gpu=2), experts=3).validate()


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
