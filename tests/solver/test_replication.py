from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from reference.simple_steps import adams_counts
from solver.pools import layers, replicated_pool


@settings(deadline=None)
@given(layer=layers())
def test_counts_are_the_references(layer):
    load, gpus, slots_per_gpu = layer
    copies = replicated_pool(load, gpus, slots_per_gpu).copies
    assert copies.tolist() == adams_counts(np.array(load, dtype=float), gpus * slots_per_gpu, gpus).tolist()
    assert copies.max() <= gpus


@pytest.mark.parametrize(
    ("load", "copies"),
    [
        ([90, 9, 5, 5, 5], [3, 2, 2, 1, 1]),  # the hot expert is on every GPU, so the rest goes to others
        ([0, 0, 0, 0, 0], [3, 3, 1, 1, 1]),
        ([30, 30, 15, 15, 15], [3, 3, 1, 1, 1]),
    ],
)
def test_counts_of_known_layers(load, copies):
    assert replicated_pool(load, gpus=3, slots_per_gpu=3).copies.tolist() == copies
