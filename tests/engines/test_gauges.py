"""The last plan stands in the engines' own endpoints, once for all ranks; a gauge that cannot be set costs no plan."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from time import time
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import Cluster, Placement, plan
from equipoise.engines import gauges
from equipoise.engines.live import EngineCall, replanned
from equipoise.engines.settings import Settings

CLUSTER = Cluster(gpus=4, slots_per_gpu=3)
LIVE = Placement.default(CLUSTER, experts=8, layers=2)
LOADS = np.random.default_rng(0).lognormal(5, 1, (2, 2, 8)).round()

# Two ranks that plan twice, as vLLM has it.
RANKS = """
import os, sys
import numpy as np, torch
from equipoise.engines.vllm import EquipoisePolicy

rank = os.fork()
live = torch.tensor(np.load("live.npy"))
for loads in torch.tensor(np.load("loads.npy")):
    live = EquipoisePolicy.rebalance_experts(loads, 12, 1, 1, 4, live)
if rank:
    sys.exit(os.waitpid(rank, 0)[1])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the folder of this test's metrics."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    monkeypatch.setenv(gauges.FOLDER, str(folder))
    gauges._gauges.cache_clear()
    yield folder
    gauges._gauges.cache_clear()


def figures_in(text):
    """Return what each line of ours says, and refuse a name that is there twice."""
    lines = [line.split() for line in text.splitlines() if line.startswith("equipoise_")]
    assert len(lines) == len({name for name, _ in lines})
    return {name: float(value) for name, value in lines}


def sglangs_endpoint():
    """Return what SGLang's server answers."""
    from sglang.srt.utils.common import add_prometheus_middleware

    server, answer = SimpleNamespace(routes=[]), []
    add_prometheus_middleware(server)

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        answer.append(message.get("body", b""))

    request = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    asyncio.run(server.routes[0].app(request, receive, send))
    return b"".join(answer).decode()


def test_the_engines_endpoints_show_the_last_plan_of_all_ranks_once(
    folder, vllm_policies, sglang_locations, engines, tmp_path
):
    from prometheus_client import generate_latest
    from vllm.v1.metrics.prometheus import get_prometheus_registry

    np.save(tmp_path / "loads.npy", LOADS)
    np.save(tmp_path / "live.npy", LIVE.phy2log)
    begun, path = time(), os.pathsep.join([*sys.path, str(engines)])
    subprocess.run([sys.executable, "-c", RANKS], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True)
    assert len(list(folder.glob("gauge_mostrecent_*.db"))) == 2
    found = figures_in(generate_latest(get_prometheus_registry()).decode())
    assert figures_in(sglangs_endpoint()) == found
    assert found.keys() == gauges.GAUGES.keys()

    first = plan(LOADS[0], CLUSTER, current=LIVE)
    last = plan(LOADS[1], CLUSTER, current=first.placement)
    assert found["equipoise_par_before"] == last.mean_of(last.par_before)
    assert found["equipoise_par_after"] == last.mean_of(last.par)
    assert found["equipoise_moves"] == last.moves.sum() > 0
    assert 0 < found["equipoise_plan_seconds"] < found["equipoise_plan_timestamp_seconds"] - begun


@pytest.fixture
def replan(caplog):
    """Return a function that re-plans, checks the plan and returns the warnings."""
    caplog.set_level(logging.INFO)

    def replan():
        found = replanned(EngineCall(LOADS, CLUSTER, 1, LIVE.phy2log), Settings(), logging.getLogger("test"))
        np.testing.assert_array_equal(found.phy2log, plan(LOADS, CLUSTER, current=LIVE).placement.phy2log)
        return [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]

    return replan


def test_without_the_package_there_are_no_gauges(folder, replan, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert replan() == []


def test_where_nothing_is_collected_the_package_is_not_imported(folder, replan, monkeypatch):
    monkeypatch.delenv(gauges.FOLDER)
    monkeypatch.setitem(sys.modules, "prometheus_client", SimpleNamespace(Gauge=lambda *_, **__: pytest.fail("made")))
    assert replan() == []


def test_a_folder_that_is_gone_costs_a_warning_and_no_plan(folder, replan, monkeypatch):
    def gone(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", str(folder))

    monkeypatch.setitem(sys.modules, "prometheus_client", SimpleNamespace(Gauge=gone))
    [warning] = replan()
    assert warning == f"Equipoise cannot set its gauges: [Errno 2] No such file or directory: '{folder}'"
