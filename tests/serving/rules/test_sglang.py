"""SGLang's expert location and dispatch, its own files unmodified; its configuration and process group are stubbed."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.placements import counted, expected, placements, random_tokens
from tests.serving.rules.engine_file import engine_files

torch = pytest.importorskip("torch")

MODEL = SimpleNamespace(hf_config=None)


class SGLang:
    """What SGLang's files ask of the engine around them: one GPU after another, each as a process of its own."""

    def __init__(self, placement, algorithm, from_file, backend):
        self.placement, self.from_file, self.gpu, self.metadata = placement, from_file, 0, None
        self.moe = SimpleNamespace(
            ep_dispatch_algorithm=algorithm,
            moe_a2a_backend=backend,
            ep_num_redundant_experts=placement.cluster.slots - placement.experts,
            ep_join_mode=None,
            eplb_algorithm=None,
        )

    def stubs(self):
        """Return what each module that SGLang's files import has for them."""
        cluster, model = self.placement.cluster, SimpleNamespace(num_logical_experts=self.placement.experts)
        model.num_groups = None
        model_class = SimpleNamespace(get_model_config_for_expert_location=lambda _: model)
        parallel = SimpleNamespace(ep_size=cluster.gpus, nnodes=cluster.nodes, elastic_ep_initial_size=None)
        maps = self.placement.phy2log, self.placement.log2phy, self.placement.logcnt
        algorithms = SimpleNamespace(
            compute_algorithm=lambda **_: None, rebalance_experts=lambda **_: tuple(map(torch.tensor, maps))
        )
        return {
            "sglang.srt.runtime_context": {
                "get_exec": lambda: SimpleNamespace(moe=self.moe),
                "get_parallel": lambda: parallel,
                "get_device": lambda: SimpleNamespace(device="cpu"),
                "get_resources": lambda: SimpleNamespace(expert_location_metadata=self.metadata),
            },
            "sglang.srt.elastic_ep.elastic_ep": {"elastic_expanded_world_enabled": lambda: False},
            "sglang.srt.model_loader": {"get_model_architecture": lambda _: (model_class, None)},
            "sglang.srt.eplb": {"eplb_algorithms": algorithms},
        }

    def route(self, engines, tokens):
        """Return the slots that each GPU's tokens are sent to, ``[layers, gpus, tokens, top_k]``."""
        slots = np.empty_like(tokens)
        names = ["sglang.srt.eplb.expert_location", "sglang.srt.eplb.expert_location_dispatch"]
        with (
            engine_files(engines, names, self.stubs()) as (location, dispatch),
            patch.object(torch.distributed, "get_rank", lambda: self.gpu),
        ):
            for self.gpu in range(tokens.shape[1]):
                self.metadata = self.located(location.ExpertLocationMetadata)
                for layer in range(len(tokens)):
                    info = dispatch.ExpertLocationDispatchInfo.init_new(layer)
                    sent = torch.tensor(tokens[layer, self.gpu])
                    slots[layer, self.gpu] = dispatch.topk_ids_logical_to_physical(sent, info)
        return slots

    def located(self, metadata):
        if self.from_file:
            return metadata.init_by_mapping(MODEL, self.placement.phy2log, self.gpu)
        return metadata.init_by_eplb(MODEL, torch.zeros(self.placement.logcnt.shape))


@pytest.mark.parametrize(("routing", "from_file"), [("sglang-static", False), ("sglang-static-file", True)])
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(placement=placements(), tokens=st.integers(1, 5), top_k=st.integers(1, 4), seed=st.integers(0, 99))
def test_static_tokens_fall_where_they_are_expected(engines, routing, from_file, placement, tokens, top_k, seed):
    tokens = random_tokens(placement, tokens, top_k, seed)
    slots = SGLang(placement, "static", from_file, backend="deepep").route(engines, tokens)
    np.testing.assert_allclose(counted(slots, placement), expected(placement, routing, tokens), rtol=1e-9)


@pytest.mark.parametrize(
    ("routing", "from_file", "backend"),
    [
        ("sglang-dynamic", False, "deepep"),
        ("sglang-dynamic-file", True, "deepep"),
        ("sglang-dynamic", False, "none"),
        ("sglang-dynamic", True, "none"),
    ],
)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(placement=placements(most_nodes=2), seed=st.integers(0, 99))
def test_dynamic_tokens_fall_about_where_they_are_expected(engines, routing, from_file, backend, placement, seed):
    torch.manual_seed(seed)
    tokens = random_tokens(placement, 400, min(4, placement.experts), seed)
    slots = SGLang(placement, "dynamic", from_file, backend).route(engines, tokens)
    even = expected(placement, routing, tokens)
    np.testing.assert_array_less(np.abs(counted(slots, placement) - even), 5 * np.sqrt(even) + 1)
