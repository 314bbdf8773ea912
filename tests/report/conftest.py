"""Plans to report on, and their pages."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import Batch, Cluster, ExpertCost, Loads, plan
from equipoise.report.pages.plan import plan_page

COUNTS = np.random.default_rng(0).lognormal(3, 1, (6, 5, 16)).round()
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=6)
BATCH = Batch(64, 2, ExpertCost(layer=67, expert=15, tiles={128: 17}, measured_to=4000, residual=0.06))


@pytest.fixture(scope="session")
def planned():
    return plan(Loads(COUNTS), CLUSTER)


@pytest.fixture(scope="session")
def expected(planned):
    return planned.forecast


@pytest.fixture(scope="session")
def page(planned):
    times = [planned.time_saved(BATCH)]
    return plan_page(planned, Loads(COUNTS), "A plan", [("groups", "1")], "equipoise plan", times)


@pytest.fixture(scope="session")
def html(page):
    return page.html()


@pytest.fixture(scope="session")
def large_html():
    """The page of a model with many layers and experts, on many GPUs."""
    loads = Loads(np.random.default_rng(0).lognormal(3, 1, (3, 94, 256)).round())
    cluster = Cluster(gpus=144, nodes=18, slots_per_gpu=2)
    planned = plan(loads, cluster, effort="fast")
    return plan_page(planned, loads, "A large plan", [], "equipoise plan").html()
