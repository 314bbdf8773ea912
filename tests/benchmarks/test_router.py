"""The benchmark of the router: the same batches by each way of routing."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks import router
from benchmarks.__main__ import app
from benchmarks.report import kernels_table
from benchmarks.router_on_gpu import Timed, time_kernels

torch = pytest.importorskip("torch")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(router, "BATCHES", (1024,))
    monkeypatch.setattr(router, "EVERY", 29)
    monkeypatch.setattr("benchmarks.__main__.RECORDED_HERE", None)


def test_filling_is_more_even_and_keeps_more_at_home(small):
    told = json.loads(CliRunner().invoke(app, ["router", "--json"]).stdout)
    hashed, wherever, by_table, in_order = told["routed"]
    assert in_order["par"] < 0.6 * (hashed["par"] - 1) + 1
    assert by_table["par"] < hashed["par"]
    assert in_order["leaving"] < wherever["leaving"] < 1
    assert in_order["kept"] > wherever["kept"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(small):
    assert time_kernels() == []
    printed = CliRunner().invoke(app, ["router"]).stdout
    assert "leave the node" in printed
    assert "No GPU here" in printed


def test_kernels_are_held_to_their_targets():
    table = kernels_table([Timed(288, 32, 2048, 1.6, 5.0, same=False, target=4.5)])
    assert [list(column.cells) for column in table.columns][-2:] == [["4.5, missed"], ["NO"]]
