"""SGLang's own classes call the function and take over what it says.

What a running server holds stands in the place of SGLang's: its resolved arguments (their resolution reads a model and
asks the GPU) and the model's shape. The rest is SGLang's.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import Cluster, Placement, balance, plan, read_loads
from equipoise.engines.sglang import register
from equipoise.migration.migration import count_moves

torch = pytest.importorskip("torch")

LAYERS, EXPERTS, SLOTS, GPUS = 4, 16, 24, 8
DENSE = 0
CLUSTER = Cluster(gpus=GPUS, slots_per_gpu=3)
IN_ORDER = Placement.default(CLUSTER, EXPERTS, LAYERS)
COUNTS = np.random.default_rng(0).lognormal(5, 1, (5, LAYERS, EXPERTS)).astype(np.int32)
COUNTS[:, DENSE] = 0


@pytest.fixture
def hooked(sglang_locations, monkeypatch):
    """Let SGLang load its plug-ins, and undo what they do."""
    from sglang.srt import plugins
    from sglang.srt.eplb import eplb_algorithms
    from sglang.srt.plugins.hook_registry import HookRegistry

    monkeypatch.setattr(plugins, "_plugins_loaded", False)
    monkeypatch.setattr(eplb_algorithms, "rebalance_experts", eplb_algorithms.rebalance_experts)
    plugins.load_plugins()
    yield eplb_algorithms
    HookRegistry.reset()


@pytest.fixture
def server(sglang_locations, hooked, monkeypatch):
    """Return a server's resolved arguments, which SGLang's modules read."""
    from sglang.srt.elastic_ep import elastic_ep
    from sglang.srt.eplb import expert_location_dispatch

    moe = SimpleNamespace(
        ep_num_redundant_experts=SLOTS - EXPERTS,
        eplb_algorithm="auto",
        ep_dispatch_algorithm="dynamic",
        ep_join_mode=None,
        moe_a2a_backend="deepep",
    )
    ranks = SimpleNamespace(ep_size=GPUS, nnodes=2, elastic_ep_initial_size=None)
    for module in (sglang_locations, elastic_ep, expert_location_dispatch):
        monkeypatch.setattr(module, "get_exec", lambda: SimpleNamespace(moe=moe))
        monkeypatch.setattr(module, "get_parallel", lambda: ranks, raising=False)
    monkeypatch.setattr(sglang_locations, "get_device", lambda: SimpleNamespace(device="cpu"))
    monkeypatch.setattr(elastic_ep, "elastic_expanded_world_enabled", lambda: False, raising=False)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 3)
    shape = sglang_locations.ModelConfigForExpertLocation(LAYERS, EXPERTS, num_groups=4)
    monkeypatch.setattr(
        sglang_locations.ModelConfigForExpertLocation, "from_model_config", staticmethod(lambda _: shape)
    )
    yield SimpleNamespace(moe=moe, ranks=ranks, shape=shape, metadata=sglang_locations.ExpertLocationMetadata)
    sglang_locations.set_global_expert_location_metadata(None, allow_overwrite=True)


@pytest.fixture
def live(server, sglang_locations):
    """Return what is live in a server that has just started."""
    metadata = server.metadata.init_trivial(None, moe_ep_rank=3)
    sglang_locations.set_global_expert_location_metadata(metadata)
    return metadata


def placement_of(metadata, cluster=CLUSTER):
    """Return the placement that SGLang holds, dead GPUs empty; check its maps against our own."""
    slots = metadata.physical_to_logical_map.numpy().reshape(LAYERS, GPUS, -1).copy()
    slots[:, list(cluster.dead)] = -1
    placement = Placement(slots.reshape(LAYERS, -1), cluster, EXPERTS)
    placement.validate()
    np.testing.assert_array_equal(metadata.logical_to_all_physical_map_num_valid.numpy(), placement.logcnt)
    most = placement.log2phy.shape[2]
    np.testing.assert_array_equal(metadata.logical_to_all_physical_map.numpy()[:, :, :most], placement.log2phy)
    return placement


def par(placement, counts=COUNTS):
    return float(balance(placement, counts.sum(axis=0)).par.mean())


def test_sglang_loads_the_plug_in(hooked):
    arguments = {"num_physical_experts": SLOTS, "num_local_physical_experts": 3, "num_groups": None, "num_nodes": 1}
    algorithm = hooked.EplbAlgorithm.deepseek
    found = hooked.rebalance_experts(tokens_per_expert=torch.from_numpy(COUNTS), algorithm=algorithm, **arguments)
    np.testing.assert_array_equal(found[0], plan(COUNTS, CLUSTER).placement.phy2log)
    assert [array.dtype for array in found] == [torch.int64] * 3


def test_a_server_starts_from_what_its_recorder_dumped(server, sglang_locations, tmp_path):
    dump = {"rank": 0, "logical_count": torch.from_numpy(COUNTS), "average_utilization_rate_over_window": None}
    server.moe.init_expert_location = str(tmp_path / "expert_distribution_recorder_1.pt")
    torch.save(dump, server.moe.init_expert_location)
    placement = placement_of(sglang_locations.compute_initial_expert_location_metadata(None, moe_ep_rank=3))
    cluster = Cluster(gpus=GPUS, nodes=2, slots_per_gpu=3)
    strict = plan(read_loads(server.moe.init_expert_location), cluster, groups=4)
    np.testing.assert_array_equal(placement.phy2log, strict.placement.phy2log)


def test_a_server_replans_from_what_is_live(server, live, set_variable):
    set_variable("EQUIPOISE_MAX_MOVES", "6")
    server.shape.num_groups = None
    new = server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS))
    assert (new.physical_to_logical_map[DENSE] == live.physical_to_logical_map[DENSE]).all()
    live.update(new, update_layer_ids=list(range(LAYERS)))
    after = placement_of(live)
    assert par(after) < par(IN_ORDER)
    assert count_moves(IN_ORDER, after).sum() == 6


@pytest.mark.parametrize(
    ("algorithm", "strict"), [("auto", True), ("deepseek_vec_hierarchical", True), ("deepseek", False)]
)
def test_groups_stay_on_their_nodes_where_sglangs_algorithm_would_keep_them(server, algorithm, strict):
    server.moe.eplb_algorithm = algorithm
    placement = placement_of(server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS)))
    nodes = (placement.phy2log // 4).reshape(LAYERS, 2, -1)
    shared = any(np.intersect1d(*layer).size for layer in nodes)
    assert shared != strict


def test_every_rank_dispatches_to_slots_that_hold_the_expert(server, live):
    server.moe.ep_dispatch_algorithm = "static"
    new = server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS))
    table = new.logical_to_rank_dispatch_physical_map
    assert (new.physical_to_logical_map.gather(1, table) == torch.arange(EXPERTS)).all()


def test_tokens_are_dispatched_to_slots_that_hold_their_experts(server, live, sglang_locations):
    from sglang.srt.eplb import expert_location_dispatch as dispatch

    live.update(server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS)), update_layer_ids=[1, 2, 3])
    chosen = torch.randint(EXPERTS, (200, 4))
    slots = dispatch.topk_ids_logical_to_physical(chosen, dispatch.ExpertLocationDispatchInfo.init_new(2))
    assert torch.equal(live.physical_to_logical_map[2][slots.long()], chosen)
    assert sorted(slots.unique().tolist()) == list(range(SLOTS))


@pytest.fixture
def down(server, monkeypatch):
    """Let ranks 0 and 5 be down, of which SGLang keeps count for more ranks than there are."""
    from sglang.srt.elastic_ep.elastic_ep import ElasticEPState, ElasticEPStateManager

    active = torch.ones(GPUS + 2, dtype=torch.int32)
    active[[0, 5, GPUS, GPUS + 1]] = 0
    monkeypatch.setattr(ElasticEPStateManager, "_instance", ElasticEPState(active, active.clone(), active.clone()))
    return Cluster(gpus=GPUS, slots_per_gpu=3, dead=[0, 5])


@pytest.mark.parametrize("algorithm", ["elasticity_aware", "elasticity_aware_hierarchical"])
def test_ranks_that_are_down_hold_nothing(server, live, down, algorithm, set_variable):
    set_variable("EQUIPOISE_MAX_MOVES", "0")
    server.moe.eplb_algorithm = algorithm
    new = server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS))
    assert (new.physical_to_logical_map.reshape(LAYERS, GPUS, -1)[:, [0, 5]] == 0).all()
    after = placement_of(new, down)
    required = plan(COUNTS, down, current=IN_ORDER, max_moves=0)
    np.testing.assert_array_equal(after.phy2log, required.placement.phy2log)


def test_a_rank_that_is_up_again_is_filled(server, live, down, monkeypatch):
    from sglang.srt.elastic_ep.elastic_ep import ElasticEPStateManager

    server.moe.eplb_algorithm = "elasticity_aware"
    live.update(server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS)), update_layer_ids=[0, 1, 2, 3])
    ElasticEPStateManager.instance().active_ranks[:GPUS] = 1
    after = placement_of(server.metadata.init_by_eplb(None, torch.from_numpy(COUNTS)))
    assert not (after.phy2log.reshape(LAYERS, GPUS, -1)[:, [0, 5]] == 0).all(axis=(0, 2)).any()
    afresh = plan(COUNTS, CLUSTER)
    assert afresh.scenarios.par(after).mean() < 1.05 * afresh.par.mean()


def test_the_engine_goes_on_where_planning_fails(server, live, monkeypatch, caplog):
    broken = torch.from_numpy(-COUNTS)
    with caplog.at_level(logging.ERROR):
        new = server.metadata.init_by_eplb(None, broken)
    assert torch.equal(new.physical_to_logical_map, live.physical_to_logical_map)
    assert "could not plan" in caplog.text


def test_an_sglang_of_other_algorithms_plans_by_itself(sglang_locations, monkeypatch, caplog):
    from sglang.srt.eplb import eplb_algorithms
    from sglang.srt.plugins.hook_registry import HookRegistry

    monkeypatch.setattr(eplb_algorithms, "rebalance_experts", lambda tokens_per_expert, something_else: None)
    register()
    assert not HookRegistry._hooks
    assert "expected SGLang 0.5.23" in caplog.text


def test_a_wrong_setting_stops_sglang_before_it_starts(sglang_locations, monkeypatch, set_variable):
    from sglang.srt import plugins

    monkeypatch.setattr(plugins, "_plugins_loaded", False)
    set_variable("EQUIPOISE_MAX_MOVE", "5%")
    with pytest.raises(SystemExit, match="did you mean EQUIPOISE_MAX_MOVES"):
        plugins.load_plugins()
