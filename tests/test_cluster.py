from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError
from equipoise.cluster import nearest_divisors, nearest_fit
from equipoise.planning.request import Request

counts = st.integers(1, 600)


def proposals(error: InputError) -> list[int]:
    """The numbers that an error message says to use."""
    return [int(number) for number in re.findall(r"\d+", str(error).split("; use ")[1])]


@given(experts=counts, gpus=counts, redundant=st.integers(0, 600))
def test_redundant_experts_fill_the_slots_or_the_error_proposes_numbers_that_do(experts, gpus, redundant):
    try:
        cluster = Cluster.for_experts(experts, gpus=gpus, redundant=redundant)
        assert cluster.slots == experts + redundant
    except InputError as error:
        proposed = proposals(error)
        assert len(proposed) == 3
        assert proposed == sorted(proposed)
        for number in proposed:
            assert Cluster.for_experts(experts, gpus=gpus, redundant=number).slots == experts + number
        assert proposed[0] > redundant - gpus  # the nearest below, or the least there is


@given(experts=counts, gpus=counts, slots=counts)
def test_slots_divide_or_the_error_proposes_numbers_that_do(experts, gpus, slots):
    try:
        cluster = Cluster.for_slots(slots, experts=experts, gpus=gpus)
        assert (cluster.slots, cluster.slots >= experts) == (slots, True)
    except InputError as error:
        assert slots % gpus or slots < experts
        for number in proposals(error):
            assert Cluster.for_slots(number, experts=experts, gpus=gpus).slots == number


@given(whole=counts, wanted=counts, multiple_of=st.integers(1, 9))
def test_nearest_divisors_are_the_nearest(whole, wanted, multiple_of):
    divisors = [n for n in range(1, whole + 1) if whole % n == 0 and n != wanted and n % multiple_of == 0]
    near = [
        max((n for n in divisors if n < wanted), default=0),
        min((n for n in divisors if n > wanted), default=0),
    ]
    if any(near):
        assert nearest_divisors(whole, wanted, multiple_of) == " or ".join(str(n) for n in near if n)


@given(
    experts=st.integers(1, 64),
    gpus=st.integers(1, 24),
    nodes=st.integers(1, 9),
    groups=st.integers(1, 9),
    slots=st.integers(1, 99),
)
def test_what_fits_is_taken_and_is_what_was_asked_where_that_fits(experts, gpus, nodes, groups, slots):
    fit = nearest_fit(experts, gpus, nodes, groups, slots)
    cluster = Cluster.for_slots(fit["slots"], experts=experts, gpus=gpus, nodes=fit["nodes"])
    Request.checked([[1] * experts], cluster, groups=fit["groups"])
    try:
        Request.checked(
            [[1] * experts], Cluster.for_slots(slots, experts=experts, gpus=gpus, nodes=nodes), groups=groups
        )
    except InputError:
        assert fit != {"nodes": nodes, "groups": groups, "slots": slots}
    else:
        assert fit == {"nodes": nodes, "groups": groups, "slots": slots}


def test_messages_say_what_to_use():
    with pytest.raises(InputError, match=r"286 slots do not divide over 32 GPUs; use 0, 32 or 64$"):
        Cluster.for_experts(256, gpus=32, redundant=30)
    with pytest.raises(InputError, match=r"^286 slots do not divide over 32 GPUs; use 256, 288 or 320$"):
        Cluster.for_slots(286, experts=256, gpus=32)
    with pytest.raises(InputError, match=r"^224 slots are too few for 256 experts on 32 GPUs; use 256, 288 or 320$"):
        Cluster.for_slots(224, experts=256, gpus=32)
    with pytest.raises(InputError, match=r"^32 GPUs do not divide over 5 nodes; use 4 or 8 nodes$"):
        Cluster(gpus=32, nodes=5)


@given(gpus=st.integers(1, 20), dead=st.lists(st.integers(0, 19), max_size=20), slots_per_gpu=st.integers(1, 9))
def test_every_gpu_is_dead_or_live_and_only_the_slots_of_live_ones_count(gpus, dead, slots_per_gpu):
    dead = [gpu for gpu in dead if gpu < gpus]
    if len(set(dead)) == gpus:
        with pytest.raises(InputError, match=f"all {gpus} GPUs are said to be dead; expected one at least"):
            Cluster(gpus, slots_per_gpu=slots_per_gpu, dead=dead)
        return
    cluster = Cluster(gpus, slots_per_gpu=slots_per_gpu, dead=dead)
    assert cluster.dead == tuple(sorted(set(dead)))
    assert sorted(cluster.dead + cluster.live) == list(range(gpus))
    assert cluster.live_slots == sum(slots_per_gpu for gpu in range(gpus) if gpu not in dead)
    assert cluster.slots == gpus * slots_per_gpu


def test_clusters_with_the_same_dead_gpus_are_equal():
    assert Cluster(4, dead=[2, 1, 2]) == Cluster(4, dead=(1, 2)) != Cluster(4)
    assert len({Cluster(4, dead=range(2)), Cluster(4, dead=[1, 0])}) == 1


@pytest.mark.parametrize("gpu", [4, -1, 1.0, True, "1", None])
def test_what_is_no_gpu_cannot_be_dead(gpu):
    with pytest.raises(InputError, match=f"GPU {gpu!r} is said to be dead; expected GPUs from 0 to 3$"):
        Cluster(gpus=4, dead=[0, gpu])


@pytest.mark.parametrize("number", [0, -1, 1.0, True, "8", None])
@pytest.mark.parametrize("name", ["gpus", "nodes", "slots_per_gpu"])
def test_numbers_that_are_no_counts_are_refused_by_name(name, number):
    with pytest.raises(InputError, match=f"^{name} is "):
        Cluster(**{"gpus": 8, name: number})


def test_negative_redundancy_is_refused():
    with pytest.raises(InputError, match="redundant is -8"):
        Cluster.for_experts(16, gpus=8, redundant=-8)


def test_a_huge_cluster_is_refused_at_once():
    with pytest.raises(InputError, match="do not divide over 7 nodes"):
        Cluster(gpus=10**12, nodes=7)
