"""A plan to report on."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, Loads, plan

COUNTS = np.random.default_rng(0).lognormal(3, 1, (2, 5, 16)).round()
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=6)


@pytest.fixture(scope="session")
def planned():
    return plan(Loads(COUNTS), CLUSTER)
