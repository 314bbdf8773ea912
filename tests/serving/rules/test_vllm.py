"""vLLM's kernel that maps logical to physical experts, unmodified, on what stands for Triton and its GPU."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise import balance, plan, sample_loads
from equipoise.cluster import Cluster
from tests.serving.placements import counted, expected, placements, random_tokens
from tests.serving.rules.engine_file import engine_files

torch = pytest.importorskip("torch")

from tests.serving.rules.triton_on_torch import tl, triton  # noqa: E402 - needs torch

ROUTER = "vllm.model_executor.layers.fused_moe.router."


@pytest.fixture(scope="module")
def vllm_maps(engines):
    stubs = {
        "vllm.distributed.eplb.eplb_state": {"EplbLayerState": object},
        ROUTER + "fused_moe_router": {"FusedMoERouter": object},
        "vllm.platforms": {"current_platform": SimpleNamespace(is_cuda_alike=lambda: True)},
        "vllm.triton_utils": {"tl": tl, "triton": triton},
        "vllm.v1.worker.ubatching": {"dbo_current_ubatch_id": lambda: 0},
    }
    with engine_files(engines, [ROUTER + "base_router"], stubs) as (router,):
        yield router.eplb_map_to_physical_and_record


def routed(vllm_maps, placement, tokens):
    """Return the slots that vLLM sends each GPU's batch to, ``[layers, gpus, tokens, top_k]``."""
    slots = np.empty_like(tokens)
    for layer, gpu in np.ndindex(tokens.shape[:2]):
        recorded = torch.zeros(placement.cluster.slots, dtype=torch.int32)
        slots[layer, gpu] = vllm_maps(
            topk_ids=torch.tensor(tokens[layer, gpu]),
            expert_load_view=recorded,
            logical_to_physical_map=torch.tensor(placement.log2phy[layer]),
            logical_replica_count=torch.tensor(placement.logcnt[layer]),
            record_enabled=torch.tensor(1),
        )
        assert recorded.tolist() == np.bincount(slots[layer, gpu].ravel(), minlength=placement.cluster.slots).tolist()
    return slots


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(placement=placements(), batch=st.integers(1, 40), seed=st.integers(0, 99))
def test_tokens_that_select_all_experts_fall_where_they_are_expected(vllm_maps, placement, batch, seed):
    tokens = random_tokens(placement, batch, placement.experts, seed)
    slots = counted(routed(vllm_maps, placement, tokens), placement)
    np.testing.assert_allclose(slots, expected(placement, "vllm", tokens, batch), rtol=1e-9)


def test_a_small_batch_loads_the_gpus_as_expected_and_not_evenly(vllm_maps):
    counts = sample_loads().sum().counts[0, :1]
    placement, batch = plan(counts, Cluster(gpus=16, nodes=2, slots_per_gpu=20)).placement, 5
    slots, loads = np.zeros(placement.cluster.slots), np.zeros(placement.experts)
    for seed in range(400):
        tokens = random_tokens(placement, batch, 8, seed, popularity=counts[0])
        slots += counted(routed(vllm_maps, placement, tokens), placement)[0]
        loads += np.bincount(tokens.ravel(), minlength=placement.experts)
    result = balance(placement, [loads], routing="vllm", batch=batch)
    np.testing.assert_allclose(slots.reshape(16, -1).sum(axis=1), result.gpu_load[0, 0], rtol=0.03)
    assert result.par > balance(placement, [loads]).par + 0.03
