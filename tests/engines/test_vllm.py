"""vLLM's own classes call the policy and take over what it says.

What needs GPUs, or one process for each, stands in the place of vLLM's: the process group, whose collectives do nothing
(so rank 0's loads are all there are); the communicator, which notes what rank 0 would receive; the event that measures
time on a GPU; and pinned memory, which is not used. The rest is vLLM's.
"""

from __future__ import annotations

import logging
import sys
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import Cluster, Placement, balance, plan
from equipoise.engines.live import live_settings
from equipoise.engines.routing import vllm as routing
from equipoise.engines.vllm import EquipoisePolicy, register
from equipoise.migration.migration import count_moves
from equipoise.router.primary_first import primary_first

torch = pytest.importorskip("torch")

LAYERS, EXPERTS, SLOTS, GPUS = 3, 16, 24, 8
CLUSTER = Cluster(gpus=GPUS, slots_per_gpu=3)
IN_ORDER = Placement.default(CLUSTER, EXPERTS, LAYERS)
RANDOM = np.random.default_rng(0)
WEIGHT = torch.from_numpy(RANDOM.lognormal(5, 1, (LAYERS, EXPERTS)).round().astype(np.int64))


def call(weight=WEIGHT, slots=SLOTS, groups=1, nodes=1, gpus=GPUS, old=None):
    return EquipoisePolicy.rebalance_experts(weight, slots, groups, nodes, gpus, old)


def par(phy2log, weight=WEIGHT, gpus=GPUS):
    cluster = Cluster(gpus=gpus, slots_per_gpu=phy2log.shape[1] // gpus)
    return float(balance(Placement(phy2log.numpy(), cluster, EXPERTS), weight.numpy()).par.mean())


@pytest.mark.parametrize("groups", [None, 0, 1, 3, 4])
def test_the_answer_is_a_valid_int64_placement_on_the_cpu(groups):
    phy2log = call(groups=groups, nodes=2, old=torch.from_numpy(IN_ORDER.phy2log))
    assert (phy2log.dtype, phy2log.device.type) == (torch.int64, "cpu")
    Placement(phy2log.numpy(), CLUSTER, EXPERTS).validate()
    assert par(phy2log) < par(torch.from_numpy(IN_ORDER.phy2log))


def test_the_profile_run_and_dead_layers_leave_everything_where_it_is():
    old = torch.from_numpy(IN_ORDER.phy2log)
    assert torch.equal(call(torch.zeros_like(WEIGHT), old=old), old)
    weight = WEIGHT.clone()
    weight[1] = 0
    phy2log = call(weight, old=old)
    assert torch.equal(phy2log[1], old[1])
    assert not torch.equal(phy2log[0], old[0])


def test_new_gpus_are_filled_and_gpus_that_leave_are_not_missed():
    wide = torch.from_numpy(IN_ORDER.phy2log)
    up = call(old=torch.nn.functional.pad(wide[:, :18], (0, 6), value=-1))
    Placement(up.numpy(), CLUSTER, EXPERTS).validate()
    down = call(slots=18, gpus=6, old=wide)
    fewer = Cluster(gpus=6, slots_per_gpu=3)
    Placement(down.numpy(), fewer, EXPERTS).validate()
    afresh = call(slots=18, gpus=6)
    moved = [int(count_moves(IN_ORDER, Placement(new.numpy(), fewer, EXPERTS)).sum()) for new in (down, afresh)]
    assert moved[0] < moved[1]


def test_the_budget_is_kept(set_variable):
    set_variable("EQUIPOISE_MAX_MOVES", "4")
    phy2log = call(old=torch.from_numpy(IN_ORDER.phy2log))
    assert count_moves(IN_ORDER, Placement(phy2log.numpy(), CLUSTER, EXPERTS)).sum() == 4


def test_overflown_loads_leave_everything_where_it_is(caplog):
    old = torch.from_numpy(IN_ORDER.phy2log)
    with caplog.at_level(logging.ERROR, logger="vllm.equipoise"):
        assert torch.equal(call(-WEIGHT, old=old), old)


@pytest.fixture
def registered(vllm_policies, monkeypatch):
    """Return vLLM's policies with ours in them, by its own loading of plug-ins."""
    from vllm import plugins

    monkeypatch.setattr(plugins, "plugins_loaded", False)
    monkeypatch.setitem(vllm_policies.EPLB_POLICIES, "default", vllm_policies.DefaultEplbPolicy)
    plugins.load_general_plugins()
    return vllm_policies


def test_vllm_loads_the_plug_in(registered):
    assert registered.EPLB_POLICIES["default"] is EquipoisePolicy
    assert issubclass(EquipoisePolicy, registered.AbstractEplbPolicy)


def test_registering_again_changes_nothing(registered):
    register()
    assert registered.EPLB_POLICIES["default"] is EquipoisePolicy


def test_a_wrong_setting_stops_vllm_before_it_starts(vllm_policies, monkeypatch, set_variable):
    from vllm import plugins

    monkeypatch.setattr(plugins, "plugins_loaded", False)
    set_variable("EQUIPOISE_MAX_MOVE", "5%")
    with pytest.raises(ValueError, match="did you mean EQUIPOISE_MAX_MOVES"):
        plugins.load_general_plugins()


def test_a_vllm_of_other_policies_plans_by_itself(vllm_policies, monkeypatch, caplog):
    @classmethod
    def three_results(
        cls, weight, num_replicas, num_groups, num_nodes, num_ranks, old_global_expert_indices=None
    ) -> tuple: ...

    monkeypatch.setattr(vllm_policies.AbstractEplbPolicy, "rebalance_experts", three_results)
    monkeypatch.setitem(vllm_policies.EPLB_POLICIES, "default", vllm_policies.DefaultEplbPolicy)
    with caplog.at_level(logging.WARNING, logger="vllm.equipoise"):
        register()
    assert vllm_policies.EPLB_POLICIES["default"] is vllm_policies.DefaultEplbPolicy
    assert "expected vLLM 0.33" in caplog.text


def test_a_vllm_without_policies_plans_by_itself(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "vllm.distributed.eplb.policy", None)
    with caplog.at_level(logging.WARNING, logger="vllm.equipoise"):
        register()
    assert "finds no EPLB policies" in caplog.text


@pytest.mark.parametrize(("groups", "share"), [(1, 0.33), (8, 1.0)])
def test_on_recorded_loads_it_is_as_even_as_vllms_policy_with_fewer_moves(vllm_policies, real_loads, groups, share):
    windows = torch.from_numpy(np.load(real_loads / "deepseek_v3_sglang_ep.npz")["counts"]).long()
    cluster, experts = Cluster(gpus=32, nodes=4, slots_per_gpu=9), windows.shape[2]
    default = vllm_policies.DefaultEplbPolicy
    live = default.rebalance_experts(windows[0], 288, groups, 4, 32, None)
    for weight in windows[1:4]:
        ours, theirs = (one.rebalance_experts(weight, 288, groups, 4, 32, live) for one in (EquipoisePolicy, default))
        before, after, other = (Placement(slots.numpy(), cluster, experts) for slots in (live, ours, theirs))
        after.validate()
        assert balance(after, weight.numpy()).par.mean() < balance(other, weight.numpy()).par.mean()
        assert count_moves(before, after).sum() < share * count_moves(before, other).sum()


class Noted:
    """A communicator that notes what rank 0 would receive."""

    needs_profile_buffer_reservation = False

    def __init__(self):
        self.received = []

    def set_transfer_context(self, old_indices, layer_idx):
        self.layer = layer_idx

    def add_send(self, tensors, dst_rank, expert_id):
        """Nobody is there to receive it."""

    def add_recv(self, tensors, src_rank, expert_id):
        self.received.append((self.layer, expert_id))

    def execute(self):
        """Nothing was begun."""


class Model:
    """As much of a model as vLLM's state reads."""

    num_moe_layers, num_routed_experts, num_logical_experts = LAYERS, EXPERTS, EXPERTS
    num_redundant_experts, num_physical_experts, num_local_physical_experts = SLOTS - EXPERTS, SLOTS, SLOTS // GPUS
    num_expert_groups = 4
    moe_layers = ()

    def __init__(self):
        self.expert_weights = [[torch.arange(3.0)[:, None]] for _ in range(LAYERS)]

    def set_eplb_state(self, *views):
        """Layers that would count tokens are not there."""


@pytest.fixture
def process_group():
    """Eight ranks of which only the first is there."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=0, world_size=GPUS, store=FakeStore())
    yield torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()


@pytest.fixture
def new_state(vllm_state, registered, process_group, monkeypatch):
    """Return a function that makes vLLM's state of one model, asynchronous or not."""
    from vllm.config.parallel import EPLBConfig

    ranks = SimpleNamespace(device_group=process_group, cpu_group=process_group)
    noted = Noted()
    monkeypatch.setattr(vllm_state, "get_ep_group", lambda: ranks)
    monkeypatch.setattr(vllm_state, "get_eplb_group", lambda: ranks)
    monkeypatch.setattr(vllm_state, "get_node_count", lambda: 2)
    monkeypatch.setattr(vllm_state, "create_eplb_communicator", lambda **_: noted)
    event = SimpleNamespace(record=lambda *_: None, synchronize=lambda: None, elapsed_time=lambda _: 0.0)
    monkeypatch.setattr(torch, "Event", lambda **_: event)
    monkeypatch.setattr(vllm_state, "PIN_MEMORY", False)

    def new(use_async):
        config = SimpleNamespace(
            eplb_config=EPLBConfig(window_size=4, step_interval=8, use_async=use_async, communicator="torch_gloo"),
            enable_elastic_ep=False,
            num_ubatches=0,
        )
        state = vllm_state.EplbState(config, torch.device("cpu"))
        state.add_model(Model(), SimpleNamespace(model="tiny", compute_hash=lambda: "tiny"))
        return state, state.model_states["tiny"], noted

    return new


def record_loads(model_state):
    """Enter loads into vLLM's window, ``[window, layers, slots]``, and return what they are by expert."""
    by_slot = RANDOM.integers(0, 100, (4, LAYERS, SLOTS)) ** 2
    model_state.expert_load_window.copy_(torch.from_numpy(by_slot))
    experts = np.zeros((LAYERS, EXPERTS))
    for layer, slots in enumerate(model_state.physical_to_logical_map.numpy()):
        np.add.at(experts[layer], slots, by_slot[:, layer].sum(axis=0))
    return experts


def maps_agree(model_state):
    """Check vLLM's three maps against our own."""
    placement = Placement(model_state.physical_to_logical_map.numpy(), CLUSTER, EXPERTS)
    placement.validate()
    np.testing.assert_array_equal(model_state.logical_replica_count.numpy(), placement.logcnt)
    most = placement.log2phy.shape[2]
    np.testing.assert_array_equal(model_state.logical_to_physical_map.numpy()[:, :, :most], placement.log2phy)
    assert (model_state.logical_to_physical_map.numpy()[:, :, most:] == -1).all()
    return placement


def test_vllms_state_replans_moves_weights_and_commits(new_state):
    state, model_state, noted = new_state(use_async=False)
    assert state.policy is EquipoisePolicy
    state.rearrange(is_profile=True)
    assert torch.equal(model_state.physical_to_logical_map, torch.from_numpy(IN_ORDER.phy2log))
    for _ in range(2):
        loads = record_loads(model_state)
        before = Placement(model_state.physical_to_logical_map.numpy().copy(), CLUSTER, EXPERTS)
        noted.received.clear()
        state.rearrange()
        after = maps_agree(model_state)
        assert balance(after, loads).par.mean() < balance(before, loads).par.mean()
        arrived = np.argwhere(after.held[:, 0] & ~before.held[:, 0])
        assert sorted(noted.received) == [(int(layer), int(expert)) for layer, expert in arrived]


def test_vllms_asynchronous_worker_replans_and_schedules(new_state, vllm_state):
    from vllm.distributed.eplb.async_worker import run_rebalance_experts
    from vllm.distributed.eplb.migration_scheduler import schedule_migration_batches_for_layers

    state, model_state, _ = new_state(use_async=True)
    loads = record_loads(model_state)
    state.rearrange()
    old = model_state.physical_to_logical_map.clone()
    new = run_rebalance_experts(model_state, state, old, stream=None)
    before, after = (Placement(phy2log.numpy(), CLUSTER, EXPERTS) for phy2log in (old, new))
    assert balance(after, loads).par.mean() < balance(before, loads).par.mean()
    layers = schedule_migration_batches_for_layers(SLOTS // GPUS, old.numpy(), new.numpy())
    sent = [sum(len(flow.expert_ids) for batch in batches for flow in batch) for batches in layers]
    assert sent == count_moves(before, after).tolist()
    for layer in range(LAYERS):
        vllm_state._commit_eplb_maps_for_layer(model_state, new[layer], layer)
    np.testing.assert_array_equal(maps_agree(model_state).phy2log, new.numpy())


def test_with_filled_routing_maps_have_the_primary_first(new_state, vllm_state, monkeypatch, set_variable):
    import vllm.distributed

    for owner, name in ((vllm_state, "compute_logical_maps"), (vllm_state.EplbState, "add_model")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(vllm.distributed, "get_ep_group", lambda: SimpleNamespace(world_size=GPUS, rank_in_group=0))
    set_variable("EQUIPOISE_ROUTING", "filled")
    routing.install.cache_clear()
    register()
    state, model_state, _ = new_state(use_async=False)

    def check():
        placement = Placement(model_state.physical_to_logical_map.numpy().copy(), CLUSTER, EXPERTS)
        slots = primary_first(placement)
        np.testing.assert_array_equal(model_state.logical_to_physical_map.numpy()[:, :, : slots.shape[2]], slots)
        return placement

    check()
    loads = record_loads(model_state)
    state.rearrange()
    nodes = Cluster(gpus=GPUS, nodes=2, slots_per_gpu=3)
    filled = plan(loads, nodes, groups=4, current=IN_ORDER, routing="filled").placement
    np.testing.assert_array_equal(check().phy2log, filled.phy2log)
    routing.install.cache_clear()


@pytest.fixture
def vllms_log(vllm_policies):
    """Return what vLLM logs, configured as in each of its processes."""
    from vllm.config.logging import LoggingConfig
    from vllm.logger import configure_logging

    logger, factory = logging.getLogger("vllm"), logging.getLogRecordFactory()
    before = logger.handlers[:], logger.propagate, logger.level
    configure_logging(LoggingConfig())
    log = StringIO()
    logger.handlers[0].setStream(log)
    yield log
    logging.setLogRecordFactory(factory)
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


def test_vllm_says_in_its_own_log_what_was_done(new_state, vllms_log):
    state, model_state, _ = new_state(use_async=False)
    record_loads(model_state)
    state.rearrange()
    [line] = [line for line in vllms_log.getvalue().splitlines() if "Equipoise" in line]
    assert "INFO" in line
    assert f"re-planned {LAYERS} layers on {GPUS} GPUs" in line
    assert f"settings {live_settings().digest}" in line
