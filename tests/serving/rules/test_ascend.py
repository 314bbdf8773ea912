from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.routing import vllm_ascend, vllm_ascend_v2
from tests.serving.placements import counted, expected, placements, random_tokens, slots_of


def routed(rule, placement, tokens):
    slots = [
        [rule(slots_of(placement, layer), gpu, rows) for gpu, rows in enumerate(batches.tolist())]
        for layer, batches in enumerate(tokens)
    ]
    return counted(np.array(slots), placement)


@given(placement=placements(), tokens=st.integers(1, 9), top_k=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_gpu_has_one_replica_of_an_expert(placement, tokens, top_k, seed):
    tokens = random_tokens(placement, tokens, top_k, seed)
    slots = routed(vllm_ascend, placement, tokens)
    np.testing.assert_allclose(slots, expected(placement, "vllm-ascend", tokens), rtol=1e-9)


@given(placement=placements(), batch=st.integers(1, 20) | st.just(1030), seed=st.integers(0, 99))
def test_row_gpu_and_expert_choose_the_replica_of_the_second_runner(placement, batch, seed):
    batch = min(batch, 20) if placement.phy2log.size > 24 else batch
    tokens = random_tokens(placement, batch, placement.experts, seed)
    slots = routed(vllm_ascend_v2, placement, tokens)
    np.testing.assert_allclose(slots, expected(placement, "vllm-ascend-v2", tokens, batch), rtol=1e-9)
