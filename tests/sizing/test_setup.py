"""All setups that come into question, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Setup, setups_of


def test_every_number_of_gpus_has_the_fewest_slots_that_hold_the_experts_and_two_more():
    found = setups_of(100, [16, 32])
    assert [(one.cluster.gpus, one.cluster.slots_per_gpu) for one in found] == [
        (16, 7), (16, 8), (16, 9), (32, 4), (32, 5), (32, 6)
    ]  # fmt: skip


def test_slots_that_do_not_hold_the_experts_are_left_out():
    found = setups_of(256, [16, 32], slots=[8, 16])
    assert [(one.cluster.gpus, one.cluster.slots_per_gpu) for one in found] == [(16, 16), (32, 8), (32, 16)]


def test_groups_tie_nothing_on_one_node_or_where_they_do_not_divide_over_the_nodes():
    found = setups_of(256, [8, 16, 24], slots=[32], gpus_per_node=8, groups=[1, 8])
    assert [(one.cluster.nodes, one.groups) for one in found] == [(1, 1), (2, 1), (2, 8), (3, 1)]


@given(experts=st.integers(1, 300), gpus=st.integers(1, 40), more=st.integers(0, 4))
def test_every_setup_holds_all_experts(experts, gpus, more):
    slots = -(-experts // gpus) + more
    if slots > experts:
        with pytest.raises(InputError, match="or would be twice on one"):
            setups_of(experts, [gpus], slots=[slots])
        return
    for one in setups_of(experts, [gpus], slots=[slots]):
        assert one == Setup(Cluster(gpus=gpus, slots_per_gpu=-(-experts // gpus) + more), 1)
        assert one.cluster.slots >= experts


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpus": []}, "gpus are none; expected one at least"),
        ({"gpus": [8], "slots": []}, "slots are none; expected one at least"),
        ({"gpus": [0]}, "gpus is 0; expected a whole number of at least 1"),
        ({"gpus": [12], "gpus_per_node": 8}, "12 GPUs do not divide into nodes of 8; use another gpus"),
        ({"gpus": [8], "gpus_per_node": 0}, "gpus_per_node is 0; expected a whole number"),
        ({"gpus": [8], "groups": [3]}, "256 experts do not divide into 3 groups; use 2 or 4 groups"),
        ({"gpus": [8], "slots": [0]}, "slots is 0; expected a whole number of at least 1"),
        (
            {"gpus": [8, 16], "slots": [8]},
            "256 experts do not fit on 8 or 16 GPUs with 8 slots each, or",
        ),
    ],
)
def test_what_is_no_setup_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        setups_of(256, **asked)
