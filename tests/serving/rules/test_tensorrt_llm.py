from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.routing import BLOCK, tensorrt_llm
from tests.serving.placements import counted, expected, placements, random_tokens, slots_of


@settings(deadline=None, max_examples=30)
@given(placement=placements(most_nodes=2), tokens=st.integers(1, 700), seed=st.integers(0, 99))
def test_replicas_take_turns_so_that_no_block_of_a_gpu_gives_one_a_selection_more_than_even(placement, tokens, seed):
    tokens = random_tokens(placement, tokens, min(4, placement.experts), seed)
    slots = [
        [tensorrt_llm(slots_of(placement, layer), gpu, batch.ravel().tolist()) for gpu, batch in enumerate(batches)]
        for layer, batches in enumerate(tokens)
    ]
    blocks = placement.cluster.gpus * -(-tokens[0, 0].size // BLOCK)
    excess = counted(np.array(slots), placement) - expected(placement, "tensorrt-llm", tokens)
    assert np.abs(excess).max() < blocks
