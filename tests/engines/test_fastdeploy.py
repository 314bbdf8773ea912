"""FastDeploy's call, as its experts manager makes it: NumPy counts, a group for each expert, a strategy."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, Placement, plan
from equipoise.engines.fastdeploy import rebalance_experts

WEIGHT = np.random.default_rng(0).lognormal(5, 1, (3, 32)).astype(np.int64)


@pytest.mark.parametrize("strategy", ["", "balance_intra_node"])
def test_the_answer_is_the_plan(strategy):
    phy2log, log2phy, logcnt = rebalance_experts(WEIGHT, 48, 32, 2, 16, strategy)
    placement = plan(WEIGHT, Cluster(gpus=16, slots_per_gpu=3)).placement
    np.testing.assert_array_equal(phy2log, placement.phy2log)
    np.testing.assert_array_equal(log2phy, placement.log2phy)
    np.testing.assert_array_equal(logcnt, placement.logcnt)


def test_groups_of_one_expert_tie_nothing_to_a_node():
    phy2log, _, _ = rebalance_experts(WEIGHT, num_replicas=48, num_groups=32, num_nodes=2, num_gpus=16)
    Placement(phy2log, Cluster(gpus=16, nodes=2, slots_per_gpu=3), experts=32).validate()
    assert any(np.intersect1d(*layer.reshape(2, -1)).size for layer in phy2log)


def test_groups_of_several_experts_stay_on_a_node():
    phy2log, _, _ = rebalance_experts(WEIGHT, num_replicas=48, num_groups=8, num_nodes=2, num_gpus=16)
    assert all(not np.intersect1d(*layer.reshape(2, -1)).size for layer in phy2log)
