from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, InputError, plan, rebalance_experts

WEIGHT = np.random.default_rng(0).lognormal(5, 1, (3, 16)).round()
ARGUMENTS = {"num_replicas": 24, "num_groups": 4, "num_nodes": 2, "num_gpus": 8}


def nodes_of_groups(phy2log, groups=4, nodes=2, experts=16):
    """Return which nodes hold experts of each group, in each layer."""
    by_node = phy2log.reshape(len(phy2log), nodes, -1) // (experts // groups)
    return [[{n for n in range(nodes) if group in layer[n]} for group in range(groups)] for layer in by_node]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8])
def test_numpy_in_numpy_out(dtype):
    weight = (WEIGHT % 256).astype(dtype)
    results = rebalance_experts(weight, **ARGUMENTS)
    placement = plan(weight, Cluster(gpus=8, nodes=2, slots_per_gpu=3), groups=4).placement
    for result, expected in zip(results, (placement.phy2log, placement.log2phy, placement.logcnt), strict=True):
        assert type(result) is np.ndarray
        assert result.dtype == np.int64
        np.testing.assert_array_equal(result, expected)


def test_the_three_results_agree():
    phy2log, log2phy, logcnt = rebalance_experts(WEIGHT, **ARGUMENTS)
    assert phy2log.shape == (3, 24)
    assert log2phy.shape == (3, 16, logcnt.max())
    assert logcnt.shape == (3, 16)
    for layer in range(3):
        for expert in range(16):
            count = logcnt[layer, expert]
            assert log2phy[layer, expert, :count].tolist() == np.flatnonzero(phy2log[layer] == expert).tolist()
            assert (log2phy[layer, expert, count:] == -1).all()


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16", "float16", "int64", "int32"])
def test_torch_in_torch_out(name):
    torch = pytest.importorskip("torch")
    weight = torch.from_numpy(WEIGHT).to(getattr(torch, name))
    results = rebalance_experts(weight, **ARGUMENTS)
    for result, expected in zip(results, rebalance_experts(weight.double().numpy(), **ARGUMENTS), strict=True):
        assert result.dtype == torch.int64
        assert result.device == weight.device
        np.testing.assert_array_equal(result.numpy(), expected)


def test_torch_weights_in_any_layout():
    torch = pytest.importorskip("torch")
    weight = torch.from_numpy(WEIGHT.T.copy()).T
    assert not weight.is_contiguous()
    np.testing.assert_array_equal(rebalance_experts(weight, **ARGUMENTS)[0], rebalance_experts(WEIGHT, **ARGUMENTS)[0])


def test_groups_stay_on_a_node_where_nodes_divide_groups():
    phy2log, _, _ = rebalance_experts(WEIGHT, **ARGUMENTS)
    for layer in nodes_of_groups(phy2log):
        assert sorted(node for nodes in layer for node in nodes) == [0, 0, 1, 1]


@pytest.mark.parametrize(("num_groups", "num_nodes"), [(1, 2), (3, 2), (1, 3), (4, 1), (6, 2), (16, 2), (8, 8)])
def test_any_expert_goes_anywhere_where_groups_tie_nothing(num_groups, num_nodes):
    phy2log, _, _ = rebalance_experts(WEIGHT, **ARGUMENTS | {"num_groups": num_groups, "num_nodes": num_nodes})
    anywhere = plan(WEIGHT, Cluster(gpus=8, slots_per_gpu=3)).placement
    np.testing.assert_array_equal(phy2log, anywhere.phy2log)


def test_the_plan_balances():
    weight = np.array([[90.0, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86]])
    phy2log, _, logcnt = rebalance_experts(weight, 16, 1, 1, 8)
    gpu_load = (weight[0] / logcnt[0])[phy2log[0]].reshape(8, 2).sum(axis=1)
    assert gpu_load.max() == plan(weight, Cluster(gpus=8, slots_per_gpu=2)).peak[0] < 1.1 * weight.sum() / 8


@pytest.mark.parametrize(
    ("weight", "changed", "message"),
    [
        (WEIGHT[0], {}, r"weight has shape \[16\]; expected \[layers, experts\]"),
        (WEIGHT[None], {}, r"weight has shape \[1, 3, 16\]; expected \[layers, experts\]"),
        (WEIGHT.tolist(), {}, "weight is list; expected a NumPy array or a torch tensor"),
        (-WEIGHT, {}, "layer 0, expert 0 is -.*at least 0"),
        (WEIGHT * np.nan, {}, "layer 0, expert 0 is nan.*48 such loads"),
        (WEIGHT, {"num_replicas": 12}, "12 slots are too few for 16 experts on 8 GPUs; use 16, 24 or 32"),
        (WEIGHT, {"num_replicas": 25}, "25 slots do not divide over 8 GPUs; use 24, 32 or 40"),
        (WEIGHT, {"num_gpus": 3, "num_groups": 4}, "3 GPUs do not divide over 2 nodes; use 1 or 3 nodes"),
        (WEIGHT, {"num_groups": 0}, "num_groups is 0; expected a whole number of at least 1"),
        (WEIGHT, {"num_gpus": 0}, "gpus is 0; expected a whole number of at least 1"),
        (WEIGHT, {"num_nodes": 0}, "num_nodes is 0; expected a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_refused(weight, changed, message):
    with pytest.raises(InputError, match=message):
        rebalance_experts(weight, **ARGUMENTS | changed)


def test_bad_weights_in_a_tensor_are_refused():
    torch = pytest.importorskip("torch")
    weight = torch.ones(2, 4, dtype=torch.bfloat16)
    weight[1, 2] = torch.inf
    with pytest.raises(InputError, match="layer 1, expert 2 is inf"):
        rebalance_experts(weight, 4, 1, 1, 2)
