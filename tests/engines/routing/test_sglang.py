"""SGLang's own hooks put the dispatch in place, and its own metadata is what it reads.

The module that calls it imports what a GPU needs; one with its function's signature, which routes and then masks what
is padding as it does, stands in its place.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from equipoise import Cluster, Placement, Router
from equipoise.engines.routing import sglang as routing
from equipoise.router.primary_first import primary_first

torch = pytest.importorskip("torch")

CLUSTER, EXPERTS, LAYERS, RANK = Cluster(gpus=8, nodes=2, slots_per_gpu=3), 16, 2, 3
RANDOM = np.random.default_rng(0)
SLOTS = np.concatenate([np.tile(np.arange(EXPERTS), (LAYERS, 1)), RANDOM.integers(0, 4, (LAYERS, 8))], axis=1)
PLACEMENT = Placement(RANDOM.permuted(SLOTS, axis=1), CLUSTER, EXPERTS)
PICKS = torch.from_numpy(RANDOM.integers(0, 5, (300, 3)))


def stand_in(dispatch):
    """Return a module that calls SGLang's dispatch by a name that it imported."""
    module = ModuleType("sglang.srt.layers.moe.topk")
    module.topk_ids_logical_to_physical = dispatch

    def _post_process_topk_ids(
        topk_ids,
        topk_weights,
        topk_config,
        router_logits,
        layer_id,
        num_token_non_padded=None,
        expert_location_dispatch_info=None,
        padded_rows_masked=False,
    ):
        slots = module.topk_ids_logical_to_physical(topk_ids, expert_location_dispatch_info)
        if num_token_non_padded is not None:
            slots[num_token_non_padded:] = -1
        return slots, topk_weights, topk_ids

    module._post_process_topk_ids = _post_process_topk_ids
    return module


@pytest.fixture
def dispatching(sglang_locations, monkeypatch, set_variable):
    """Let SGLang load its plug-ins with filled routing; return what dispatches, and undo it."""
    from sglang.srt import plugins, runtime_context
    from sglang.srt.eplb import eplb_algorithms, expert_location_dispatch
    from sglang.srt.plugins.hook_registry import HookRegistry

    set_variable("EQUIPOISE_ROUTING", "filled")
    set_variable("EQUIPOISE_FLOOR", "0")
    topk = stand_in(expert_location_dispatch.topk_ids_logical_to_physical)
    package = ModuleType("sglang.srt.layers.moe")
    package.topk = topk
    for module in (package, topk):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(plugins, "_plugins_loaded", False)
    for owner, name in [
        (eplb_algorithms, "rebalance_experts"),
        (sglang_locations, "_compute_logical_to_all_physical_map"),
        (expert_location_dispatch, "topk_ids_logical_to_physical"),
    ]:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    ranks = SimpleNamespace(ep_size=CLUSTER.gpus, nnodes=CLUSTER.nodes)
    monkeypatch.setattr(runtime_context, "get_parallel", lambda: ranks)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: RANK)
    routing.install.cache_clear()
    plugins.load_plugins()
    yield SimpleNamespace(topk=topk, locations=sglang_locations, module=expert_location_dispatch)
    HookRegistry.reset()
    routing.install.cache_clear()


def information(module, algorithm="static", alike=False, layer=1):
    """Return what SGLang tells its dispatch of a layer."""
    slots = torch.nn.functional.pad(torch.from_numpy(primary_first(PLACEMENT)[layer]), (0, 9), value=-1)
    return module.ExpertLocationDispatchInfo(
        ep_dispatch_algorithm=algorithm,
        partial_logical_to_rank_dispatch_physical_map=slots[:, 0],
        partial_logical_to_all_physical_map=slots,
        partial_logical_to_all_physical_map_num_valid=torch.from_numpy(PLACEMENT.logcnt[layer].copy()),
        num_physical_experts=CLUSTER.slots,
        rank_invariant=alike,
    )


@pytest.mark.parametrize("algorithm", ["static", "dynamic"])
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_sglangs_dispatch_fills(dispatching, algorithm, alike, dtype):
    info = information(dispatching.module, algorithm, alike)
    slots = dispatching.module.topk_ids_logical_to_physical(PICKS.to(dtype), info)
    assert slots.dtype == dtype
    assert torch.equal(slots.long(), Router(PLACEMENT, None if alike else RANK, floor=0)(PICKS, 1))


def test_ranks_that_route_the_same_tokens_choose_alike(dispatching, monkeypatch):
    info, found = information(dispatching.module, alike=True), []
    for rank in range(CLUSTER.gpus):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        found.append(dispatching.module.topk_ids_logical_to_physical(PICKS, info))
    assert all(torch.equal(one, found[0]) for one in found)


def test_other_rules_and_no_placement_stay_sglangs(dispatching):
    assert dispatching.module.topk_ids_logical_to_physical(PICKS, None) is PICKS
    with pytest.raises(RuntimeError, match="log2phy_prob is None"):
        dispatching.module.topk_ids_logical_to_physical(PICKS, information(dispatching.module, "lp"))


def test_padding_is_not_counted(dispatching):
    def routed(picks, unpadded):
        info = information(dispatching.module)
        slots, _, _ = dispatching.topk._post_process_topk_ids(
            picks, None, None, None, 1, num_token_non_padded=unpadded, expert_location_dispatch_info=info
        )
        return slots

    beside = PICKS.clone()
    beside[100:] = 0
    alone = routed(PICKS[:100], None)
    assert torch.equal(routed(beside, torch.tensor(100, dtype=torch.int32))[:100], alone)
    assert not torch.equal(routed(beside, None)[:100], alone)
    assert routing.unpadded.get() is None


def test_it_compiles_whole_as_sglang_compiles_its_caller(dispatching):
    info = information(dispatching.module)
    function = dispatching.module.topk_ids_logical_to_physical
    compiled = torch.compile(lambda picks: function(picks, info) + 1, dynamic=True, fullgraph=True)
    assert torch.equal(compiled(PICKS), function(PICKS, info) + 1)


def test_maps_hold_all_slots_the_primary_first(dispatching):
    phy2log = torch.from_numpy(PLACEMENT.phy2log.copy())
    found = dispatching.locations._compute_logical_to_all_physical_map(
        physical_to_logical_map=phy2log, num_logical_experts=EXPERTS, ep_size=CLUSTER.gpus, moe_ep_rank=RANK
    )
    assert torch.equal(found, torch.from_numpy(primary_first(PLACEMENT)))


def test_plans_are_made_for_it_and_have_the_primary_first(dispatching):
    from sglang.srt.eplb import eplb_algorithms

    counts = torch.from_numpy(np.random.default_rng(0).lognormal(5, 1, (3, LAYERS, EXPERTS)).astype(np.int32))
    arguments = {"num_physical_experts": 24, "num_local_physical_experts": 3, "num_groups": None, "num_nodes": 1}
    algorithm = eplb_algorithms.EplbAlgorithm.deepseek
    slots, maps, _ = eplb_algorithms.rebalance_experts(tokens_per_expert=counts, algorithm=algorithm, **arguments)
    placement = Placement(slots.numpy(), Cluster(gpus=8, slots_per_gpu=3), EXPERTS)
    np.testing.assert_array_equal(maps.numpy(), primary_first(placement))
    primaries_of_gpus = np.bincount(maps[0, :, 0].numpy() // 3, minlength=8)
    assert primaries_of_gpus.tolist() == [2] * 8


def test_another_sglang_routes_by_itself(sglang_locations, monkeypatch, caplog):
    from sglang.srt.eplb import expert_location_dispatch
    from sglang.srt.plugins.hook_registry import HookRegistry

    monkeypatch.setattr(expert_location_dispatch, "topk_ids_logical_to_physical", lambda picks, other: None)
    routing.install.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not routing.install()
    assert not HookRegistry._hooks
    assert "does not know the routing of this SGLang" in caplog.text
    routing.install.cache_clear()
