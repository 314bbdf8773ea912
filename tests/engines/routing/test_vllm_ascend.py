"""The table of vLLM-Ascend's second runner: primaries for the first tokens, and even shares over all its rows.

vLLM-Ascend itself cannot be installed without its devices; this is its function's signature.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.engines.routing import vllm_ascend as routing

torch = pytest.importorskip("torch")


@st.composite
def maps(draw):
    counts = torch.tensor(draw(st.lists(st.integers(1, 5), min_size=1, max_size=9)))
    slots = torch.full((len(counts), 5), -1)
    slots[torch.arange(5) < counts[:, None]] = torch.randperm(int(counts.sum()))
    return slots, counts


@settings(max_examples=30)
@given(maps=maps(), rank=st.integers(0, 31), tokens=st.integers(0, 2000))
def test_each_replica_serves_as_many_rows_and_the_first_are_the_primarys(maps, rank, tokens):
    slots, counts = maps
    found = routing.table(slots, counts, rank, tokens)
    assert (found.shape, found.dtype) == ((1024, len(counts)), torch.int32)
    for expert, replicas in enumerate(counts.tolist()):
        column = found[:, expert]
        held, rows = column.unique(return_counts=True)
        assert held.tolist() == slots[expert, :replicas].sort().values.tolist()
        assert rows.max() - rows.min() <= 1
        alone = min(tokens, 1024 // replicas)
        assert (column[:alone] == slots[expert, 0]).all()


@pytest.fixture
def vllm_ascend(engines, vllm_policies, monkeypatch):
    """Return the module with the function, as vLLM-Ascend has it."""
    import vllm.distributed

    def build_expert_replica_routing_table(logical_to_physical_map, logical_replica_count, ep_rank): ...

    for name in ("vllm_ascend", "vllm_ascend.ops", "vllm_ascend.ops.fused_moe"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    eplb = ModuleType("vllm_ascend.ops.fused_moe.eplb")
    eplb.build_expert_replica_routing_table = build_expert_replica_routing_table
    sys.modules["vllm_ascend.ops.fused_moe"].eplb = eplb
    monkeypatch.setattr(vllm.distributed, "get_ep_group", lambda: SimpleNamespace(world_size=4))
    routing.install.cache_clear()
    yield eplb
    routing.install.cache_clear()


def test_it_takes_the_functions_place(vllm_ascend):
    assert routing.install(256)
    slots, counts = torch.tensor([[0, 3], [1, -1], [2, -1]]), torch.tensor([2, 1, 1])
    found = vllm_ascend.build_expert_replica_routing_table(slots, counts, ep_rank=1)
    assert torch.equal(found, routing.table(slots, counts, 1, 256 * 3 // (8 * 4)))


def test_another_vllm_ascend_routes_by_itself(vllm_ascend, caplog):
    vllm_ascend.build_expert_replica_routing_table = other = lambda something_else: None
    assert not routing.install(256)
    assert vllm_ascend.build_expert_replica_routing_table is other
    assert "does not know the routing of this vLLM-Ascend" in caplog.text
