from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement, balance
from equipoise.serving.slot_shares import FILLED, RULES, Routing, slot_shares
from tests.serving.placements import placements

ROUTINGS = tuple(RULES)
PLACEMENT = Placement([[0, 1, 2, 0, 1, 2]], Cluster(gpus=3, slots_per_gpu=2), experts=3)
WITH_DEAD = Placement([[0, 1, -1, -1, 0, -1]], Cluster(gpus=3, slots_per_gpu=2, dead=[1]), experts=3)


def test_every_routing_has_a_rule():
    assert (*RULES, FILLED) == get_args(Routing)


@pytest.mark.parametrize("routing", ROUTINGS)
@given(placement=placements(), batch=st.none() | st.integers(1, 9), seed=st.integers(0, 99))
def test_shares_of_an_expert_add_up_to_one_whoever_sends_the_tokens(routing, placement, batch, seed):
    shape = placement.layers, placement.cluster.gpus, placement.experts
    sources = np.random.default_rng(seed).integers(0, 3, shape)
    shares = slot_shares(placement, routing, batch=batch, sources=sources)
    assert shares.min() >= 0
    for layer, experts in enumerate(placement.phy2log):
        np.testing.assert_allclose(np.bincount(experts, shares[layer]), 1)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_dead_gpus_send_nothing_and_empty_slots_and_missing_experts_have_no_share(routing):
    shares = slot_shares(WITH_DEAD, routing, batch=3)
    assert shares[0, [2, 3, 5]].tolist() == [0, 0, 0]
    np.testing.assert_allclose(shares[0, [0, 1]] + [shares[0, 4], 0], 1)
    own = slot_shares(WITH_DEAD, routing, batch=3, sources=[[1], [0], [1]])
    np.testing.assert_allclose(shares, own)


@given(placements())
def test_many_rows_come_to_an_even_split(placement):
    for routing in ("vllm", "vllm-ascend-v2"):
        many = slot_shares(placement, routing, batch=20_000)
        np.testing.assert_allclose(many, slot_shares(placement, routing), atol=5e-3)


@given(placements(), st.sampled_from(ROUTINGS))
def test_the_balance_is_that_of_the_shares(placement, routing):
    counts = np.arange(1, placement.experts + 1) * np.ones((2, placement.layers, 1))
    result = balance(placement, counts, routing=routing, batch=2)
    load = np.take_along_axis(counts, placement.phy2log[None], axis=2) * slot_shares(placement, routing, batch=2)
    np.testing.assert_allclose(result.gpu_load, load.reshape(*result.gpu_load.shape, -1).sum(axis=3))
    own = balance(placement, counts, routing=slot_shares(placement, routing, batch=2))
    np.testing.assert_allclose(own.gpu_load, result.gpu_load)
    if routing == "even":
        np.testing.assert_allclose(result.gpu_load, balance(placement, counts).gpu_load)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"routing": "vlm"}, r"routing is 'vlm'; expected 'even', 'vllm', "),
        ({"routing": "vllm", "batch": 0}, "batch is 0; expected a whole number of at least 1"),
        ({"routing": "vllm", "sources": [1, 2]}, r"sources have shape \[2\]; expected \[1, 3, 3\]"),
        ({"routing": "vllm", "sources": [[-1], [2], [3]]}, "sources has values that are negative"),
        ({"routing": "vllm", "sources": [["a"]]}, "sources cannot become an array of numbers"),
        ({"routing": [[1, 1]]}, r"routing has shape \[1, 2\]; expected \[1, 6\]"),
        ({"routing": [[1, 1, 1, 0, 0, np.nan]]}, "routing has values that are negative, NaN or infinite"),
        ({"routing": [[1, 1, 0.5, 0, 0, 0.4]]}, "the shares of layer 0, expert 2 add up to 0.9; expected 1"),
    ],
)
def test_what_cannot_be_routed_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        slot_shares(PLACEMENT, **settings)


def test_shares_for_empty_slots_are_refused():
    with pytest.raises(InputError, match="a share to an empty slot of layer 0; expected 0"):
        slot_shares(WITH_DEAD, [[1, 1, 0, 0, 0, 1]])
