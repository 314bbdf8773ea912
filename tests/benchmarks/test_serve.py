"""The benchmark of serving: policies in four processes on the same traffic."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app

pytest.importorskip("torch")


def test_planning_evens_out_what_is_served_and_ours_moves_less():
    told = json.loads(CliRunner().invoke(app, ["serve", "--json"]).stdout)
    never, rule, ours, filled = told
    assert never["mebibytes"] == never["stalled"] == 0
    assert filled["par"] < rule["par"] < never["par"]
    assert max(ours["mebibytes"], filled["mebibytes"]) < 0.5 * rule["mebibytes"]
    assert rule["stalled"] == rule["plans"]
