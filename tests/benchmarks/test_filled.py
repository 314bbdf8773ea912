"""The benchmark of filling: plans on past windows, served by filling the ones that came next."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.filled import Filled, fill_ahead
from benchmarks.series import SERIES
from benchmarks.verdict import filled_misses
from equipoise import balance, plan

SMALL = replace(SERIES[2], slots=12, gpus=4, past=3, ahead=1, step=2, every=1, filled=(1.2, 1.1, 1.05))
FOUND = Filled("equipoise, for filled", even=1.3, few=1.2, many=1.1, every=1.05)


@pytest.fixture
def folder(tmp_path):
    counts = np.random.default_rng(0).lognormal(3, 1, (6, 2, 8)).round().astype(int)
    np.savez(tmp_path / f"{SMALL.loads}.npz", counts=counts)
    return tmp_path


def test_one_plan_stands_in_all_columns(folder):
    found, for_filled = fill_ahead(SMALL, folder, beside_peers=False)
    placed = [(plan(past, SMALL.cluster).placement, coming) for past, coming in SMALL.walk(folder)]
    planned_for = [
        (plan(past, SMALL.cluster, routing="filled").placement, coming) for past, coming in SMALL.walk(folder)
    ]
    assert for_filled.every == pytest.approx(
        np.mean([balance(*one, routing="filled").par.mean() for one in planned_for])
    )
    assert found.even == pytest.approx(np.mean([balance(*one).par.mean() for one in placed]))
    assert found.every == pytest.approx(np.mean([balance(*one, routing="filled").par.mean() for one in placed]))
    assert max(found.every, found.many, found.few) < found.even


def test_plans_are_held_to_the_targets_of_their_series():
    assert filled_misses(SMALL, FOUND) == []
    assert filled_misses(SMALL, replace(FOUND, many=1.11)) == ["8,192 own picks > 1.1"]
    assert filled_misses(SMALL, replace(FOUND, planner="vLLM, sum", many=2)) == []
    assert filled_misses(replace(SMALL, filled=()), replace(FOUND, many=2)) == []


def test_it_is_printed_as_a_table_or_as_json(folder, monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.SERIES", [SMALL])
    printed = CliRunner().invoke(app, ["filled", "--loads", str(folder)]).stdout
    assert "8,192 own picks" in printed
    told = json.loads(CliRunner().invoke(app, ["filled", "--loads", str(folder), "--json"]).stdout)
    assert [one["planner"] for one in told[0]["planners"]] == ["equipoise, for even", "equipoise, for filled"]
