from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise import Cluster, Placement
from equipoise.migration import count_moves


@given(data=st.data(), layers=st.integers(1, 3), gpus=st.integers(1, 4), slots_per_gpu=st.integers(1, 4))
def test_moves_are_the_experts_that_are_new_to_a_gpu(data, layers, gpus, slots_per_gpu):
    experts = 5
    shape = layers, gpus, slots_per_gpu
    before, after = (data.draw(arrays(np.int64, shape, elements=st.integers(0, experts - 1))) for _ in range(2))
    cluster = Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)
    moves = count_moves(*(Placement(held.reshape(layers, -1), cluster, experts) for held in (before, after)))
    assert moves.tolist() == [
        sum(len(set(after[layer, gpu].tolist()) - set(before[layer, gpu].tolist())) for gpu in range(gpus))
        for layer in range(layers)
    ]
