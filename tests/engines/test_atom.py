"""ATOM's call: keywords alone, the live map, int32 in all three results."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, Placement, plan
from equipoise.engines.atom import rebalance_experts
from equipoise.migration.migration import count_moves

torch = pytest.importorskip("torch")

WEIGHT = torch.from_numpy(np.random.default_rng(0).lognormal(5, 1, (3, 16)).astype(np.float32))
CLUSTER = Cluster(gpus=8, nodes=2, slots_per_gpu=3)
SHAPE = {"num_physical": 24, "num_groups": 4, "num_nodes": 2, "num_gpus": 8, "policy": None}


@pytest.mark.parametrize(("hierarchical", "groups"), [(True, 4), (False, 1)])
def test_the_answer_is_the_plan_as_int32(hierarchical, groups):
    found = rebalance_experts(WEIGHT, enable_hierarchical=hierarchical, **SHAPE)
    placement = plan(WEIGHT.double().numpy(), CLUSTER, groups=groups).placement
    for array, expected in zip(found, (placement.phy2log, placement.log2phy, placement.logcnt), strict=True):
        assert array.dtype == torch.int32
        np.testing.assert_array_equal(array.numpy(), expected)


def test_it_starts_from_the_live_map_within_the_budget(set_variable):
    set_variable("EQUIPOISE_MAX_MOVES", "3")
    live = Placement.default(CLUSTER, experts=16, layers=3)
    p2l, _, _ = rebalance_experts(
        WEIGHT, enable_hierarchical=False, old_p2l=torch.tensor(live.phy2log, dtype=torch.int32), **SHAPE
    )
    assert count_moves(live, Placement(p2l.numpy(), CLUSTER, experts=16)).sum() == 3
