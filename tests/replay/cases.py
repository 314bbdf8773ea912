"""Policies to replay a trace under, and traces that drift."""

from __future__ import annotations

import numpy as np

from equipoise import Cluster
from equipoise.migration.costs import Costs
from equipoise.replay.policies import Afresh, DeepSeekRule, FewMoves, Never, Oracle, WhenWorth

LAYERS, EXPERTS = 3, 16
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
COSTS = Costs(expert_bytes=1000, within_nodes=300, between_nodes=40)
POLICIES = [
    Never(),
    Afresh(),
    DeepSeekRule(),
    FewMoves(0.1),
    FewMoves(4, min_gain=0.02, forecast="last"),
    Oracle(),
    WhenWorth(FewMoves(1.0), 300, COSTS),
]


def drifting(windows, seed=0):
    """Loads whose logarithms walk: whole numbers [windows, layers, experts]."""
    steps = np.random.default_rng(seed).normal(0, 0.5, (windows, LAYERS, EXPERTS))
    return np.exp(3 + steps.cumsum(axis=0)).round()
