"""A plan to report on, and the browser that opens the report."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from equipoise import Cluster, Loads, plan

COUNTS = np.random.default_rng(0).lognormal(3, 1, (2, 5, 16)).round()
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=6)


@pytest.fixture(scope="session")
def planned():
    return plan(Loads(COUNTS), CLUSTER)


@pytest.fixture(scope="session")
def browser():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium to open pages in")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
