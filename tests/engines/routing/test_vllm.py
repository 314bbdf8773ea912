"""vLLM's own kernel maps picks by the map that is written for each batch, and records what it mapped.

On a CPU vLLM has no such kernel. Here it believes that there is a GPU, and Triton's interpreter runs it.
"""

from __future__ import annotations

import importlib
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import Cluster, Placement, Router
from equipoise.engines.routing import vllm as routing
from equipoise.router.primary_first import primary_first

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton", reason="no Triton on this platform")

CLUSTER, EXPERTS, LAYERS = Cluster(gpus=8, slots_per_gpu=3), 16, 2
RANDOM = np.random.default_rng(0)
SLOTS = np.concatenate([np.tile(np.arange(EXPERTS), (LAYERS, 1)), RANDOM.integers(0, 4, (LAYERS, 8))], axis=1)
PLACEMENT = Placement(RANDOM.permuted(SLOTS, axis=1), CLUSTER, EXPERTS)
PICKS = torch.from_numpy(RANDOM.integers(0, 5, (300, 3)))


@pytest.fixture
def masks_of_booleans(monkeypatch):
    """Let the interpreter take a mask of whole numbers where it adds atomically, as GPUs do."""
    from triton.runtime.interpreter import InterpreterBuilder

    theirs = InterpreterBuilder.create_atomic_rmw

    def create_atomic_rmw(self, op, at, value, mask, *others):
        mask.data = mask.data.astype(bool)
        return theirs(self, op, at, value, mask, *others)

    monkeypatch.setattr(InterpreterBuilder, "create_atomic_rmw", create_atomic_rmw)


@pytest.fixture
def base_router(vllm_policies, masks_of_booleans, monkeypatch):
    """Return vLLM's module of routers as it is where there is a GPU."""
    import vllm.triton_utils
    from vllm.model_executor.layers.fused_moe.router import base_router
    from vllm.platforms import current_platform

    with monkeypatch.context() as believing:
        believing.setattr(type(current_platform), "is_cuda_alike", lambda self: True)
        believing.setattr(vllm.triton_utils, "triton", triton)
        believing.setattr(vllm.triton_utils, "tl", triton.language)
        importlib.reload(base_router)
    yield base_router
    importlib.reload(base_router)


@pytest.fixture
def ranks(vllm_policies, monkeypatch):
    """Return vLLM's group of expert-parallel ranks, of which this process is the fourth."""
    import vllm.distributed

    group = SimpleNamespace(world_size=CLUSTER.gpus, rank_in_group=3)
    monkeypatch.setattr(vllm.distributed, "get_ep_group", lambda: group)
    return group


@pytest.fixture
def installed(base_router, vllm_state, ranks, monkeypatch):
    """Return a function that installs the routing, and undo what it does."""
    from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner

    for owner, name in [
        (base_router, "eplb_map_to_physical_and_record"),
        (vllm_state, "compute_logical_maps"),
        (vllm_state.EplbState, "add_model"),
        (MoERunner, "_apply_quant_method"),
    ]:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(routing, "slots_per_gpu", {})
    routing.install.cache_clear()
    yield routing.install
    routing.install.cache_clear()


def mapped(base_router, vllm_state, picks=PICKS, unpadded=300, layer=1, record=True):
    """Let vLLM derive its maps of a placement, map a batch and record it; return the slots and what was recorded."""
    phy2log = torch.from_numpy(PLACEMENT.phy2log.copy())
    slots, counts = vllm_state.compute_logical_maps(phy2log, EXPERTS)
    padded = torch.nn.functional.pad(slots, (0, 1024 - slots.shape[2]), value=-1)
    recorded = torch.zeros(CLUSTER.slots, dtype=torch.int32)
    found = base_router.eplb_map_to_physical_and_record(
        topk_ids=picks,
        expert_load_view=recorded,
        logical_to_physical_map=padded[layer],
        logical_replica_count=counts[layer],
        record_enabled=torch.tensor(record),
        num_unpadded_tokens=torch.tensor(unpadded, dtype=torch.int32),
    )
    return found, recorded


def largest(slots):
    return int(torch.bincount(slots.flatten() // CLUSTER.slots_per_gpu, minlength=CLUSTER.gpus).max())


def test_vllms_kernel_fills_and_records_what_it_mapped(base_router, vllm_state, installed):
    before = largest(mapped(base_router, vllm_state)[0])
    assert installed(0)
    slots, recorded = mapped(base_router, vllm_state)
    holds = torch.from_numpy(PLACEMENT.phy2log[1].copy())
    assert torch.equal(holds[slots], PICKS)
    assert torch.equal(recorded, torch.bincount(slots.flatten(), minlength=CLUSTER.slots).int())
    assert torch.equal(slots, Router(PLACEMENT, floor=0)(PICKS, 1))
    assert largest(slots) < before


def test_what_is_not_recorded_stays_so(base_router, vllm_state, installed):
    installed(0)
    assert not mapped(base_router, vllm_state, record=False)[1].any()
    slots, recorded = mapped(base_router, vllm_state, unpadded=100)
    assert torch.equal(recorded, torch.bincount(slots[:100].flatten(), minlength=CLUSTER.slots).int())


def test_padding_changes_nothing_and_what_is_no_expert_goes_nowhere(base_router, vllm_state, installed):
    installed(0)
    alone, _ = mapped(base_router, vllm_state, picks=PICKS[:100], unpadded=100)
    beside, _ = mapped(base_router, vllm_state, unpadded=100)
    assert torch.equal(alone, beside[:100])
    assert (mapped(base_router, vllm_state, picks=torch.full((4, 2), -1))[0] == -1).all()
    assert mapped(base_router, vllm_state, picks=PICKS[:0])[0].shape == (0, 3)


def test_small_batches_are_the_primaries(base_router, vllm_state, installed):
    installed(256)
    slots, _ = mapped(base_router, vllm_state, picks=PICKS[:16])
    assert torch.equal(slots, torch.from_numpy(primary_first(PLACEMENT)[1, :, 0])[PICKS[:16]])


def test_maps_have_the_primary_first_also_of_one_layer(vllm_state, installed):
    theirs, counts = vllm_state.compute_logical_maps(torch.from_numpy(PLACEMENT.phy2log.copy()), EXPERTS)
    installed(0)
    ours, same = vllm_state.compute_logical_maps(torch.from_numpy(PLACEMENT.phy2log.copy()), EXPERTS)
    assert torch.equal(ours, torch.from_numpy(primary_first(PLACEMENT)))
    assert torch.equal(ours.sort(dim=2).values, theirs.sort(dim=2).values)
    assert torch.equal(counts, same)
    single, _ = vllm_state.compute_logical_maps(torch.from_numpy(PLACEMENT.phy2log[1].copy()), EXPERTS)
    most = int(PLACEMENT.logcnt[1].max())
    assert torch.equal(single, ours[1, :, :most])


def test_new_gpus_without_experts_are_no_reason_to_fail(vllm_state, installed, ranks):
    installed(0)
    vllm_state.compute_logical_maps(torch.from_numpy(PLACEMENT.phy2log.copy()), EXPERTS)
    ranks.world_size = CLUSTER.gpus + 2
    wider = torch.nn.functional.pad(torch.from_numpy(PLACEMENT.phy2log.copy()), (0, 6), value=-1)
    slots, _ = vllm_state.compute_logical_maps(wider, EXPERTS)
    assert torch.equal(slots, torch.from_numpy(primary_first(PLACEMENT)))
    assert routing.slots_per_gpu == {EXPERTS: 3}


@pytest.mark.parametrize(
    ("config", "naive", "own"),
    [
        ({"is_sequence_parallel": False, "dp_size": 8, "ep_size": 8}, False, True),
        ({"is_sequence_parallel": False, "dp_size": 8, "ep_size": 8}, True, False),
        ({"is_sequence_parallel": False, "dp_size": 1, "ep_size": 8}, False, False),
        ({"is_sequence_parallel": False, "dp_size": 4, "ep_size": 8}, False, False),
        ({"is_sequence_parallel": True, "dp_size": 4, "ep_size": 8}, False, True),
    ],
)
def test_ranks_that_route_the_same_tokens_choose_alike(base_router, vllm_state, installed, ranks, config, naive, own):
    from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner

    installed(0)
    seen = []

    class Layer(MoERunner):
        """As much of a layer as is asked whose tokens it routes."""

        def __init__(self):
            self.moe_config = SimpleNamespace(**config)

        do_naive_dispatch_combine = naive

    def route(self):
        seen.append(mapped(base_router, vllm_state)[0])

    apply = routing.telling_whose_tokens(route)
    for rank in (0, 3):
        ranks.rank_in_group = rank
        apply(Layer())
    assert torch.equal(*seen) != own
    expected = Router(PLACEMENT, 3 if own else None, floor=0)(PICKS, 1)
    assert torch.equal(seen[1], expected)


def test_another_vllm_routes_by_itself(base_router, vllm_state, installed, monkeypatch, caplog):
    def other(topk_ids, something_else): ...

    monkeypatch.setattr(base_router, "eplb_map_to_physical_and_record", other)
    before = vllm_state.compute_logical_maps
    with caplog.at_level(logging.WARNING, logger="vllm.equipoise"):
        assert not installed(0)
        assert not installed(0)
    assert base_router.eplb_map_to_physical_and_record is other
    assert vllm_state.compute_logical_maps is before
    assert caplog.text.count("does not know the routing of this vLLM") == 1


def test_the_module_that_imported_the_function_by_name_gets_it_too(base_router, installed, monkeypatch):
    mega = SimpleNamespace(eplb_map_to_physical_and_record=base_router.eplb_map_to_physical_and_record)
    monkeypatch.setitem(sys.modules, routing.MEGA, mega)
    installed(0)
    assert mega.eplb_map_to_physical_and_record is base_router.eplb_map_to_physical_and_record
