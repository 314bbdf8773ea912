"""The benchmark of planning ahead shows planners the past alone, and judges all by the same windows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.ahead import Way, _judge, plan_ahead
from benchmarks.planner import Answer
from benchmarks.report import ahead_json, ahead_table, show
from benchmarks.series import Series, drifting_mixture
from equipoise import Placement, balance

COUNTS = np.random.default_rng(0).integers(1, 100, (10, 4, 6))
TINY = Series("tiny", 8, 4, past=3, ahead=2, step=2, every=2, par=1.5)


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "tiny.npz", counts=COUNTS)
    return tmp_path


class Default:
    """Always answers with the default layout, and notes what it was shown."""

    def __init__(self):
        self.shown = []

    def run(self, loads, cluster, groups):
        self.shown.append(loads)
        return Answer(Placement.default(cluster, loads.shape[2], loads.shape[1]).phy2log)


def test_a_series_is_walked_through_in_steps(folder):
    walked = list(TINY.walk(folder))
    assert [(past.tolist(), coming.tolist()) for past, coming in walked] == [
        (COUNTS[first : first + 3, ::2].tolist(), COUNTS[first + 3 : first + 5, ::2].tolist()) for first in (0, 2, 4)
    ]


def test_a_plan_is_judged_by_the_windows_that_came_next(folder):
    planner = Default()
    walked = list(TINY.walk(folder))
    result = _judge(Way("default", planner, lambda past: past), TINY, walked)
    par = [balance(Placement.default(TINY.cluster, 6, 2), coming).par.mean() for _, coming in walked]
    assert (result.earlier, result.later) == pytest.approx((par[0], np.mean(par[1:])))
    assert result.par == pytest.approx(np.mean(par))
    assert [shown.tolist() for shown in planner.shown[1:]] == [past.tolist() for past, _ in walked]


def test_the_drifting_mixture_is_the_same_every_time_and_drifts():
    mixture = drifting_mixture(COUNTS)
    np.testing.assert_array_equal(mixture, drifting_mixture(COUNTS))
    totals = mixture.sum(axis=2)
    assert (np.abs(totals / totals.mean() - 1) < 0.02).all()
    shares = mixture[:, 0] / totals[:, :1]
    near, far = (np.abs(shares[lag:] - shares[:-lag]).mean() for lag in (1, 20))
    assert near < 0.8 * far


def test_the_table_and_json_say_the_same(folder, capsys):
    found = [(TINY, plan_ahead(TINY, folder, beside_peers=False, efforts=["fast"]))]
    results = {one["planner"]: one for one in json.loads(ahead_json(found))[0]["planners"]}
    result = results["equipoise fast, auto"]
    show(ahead_table(found))
    table = capsys.readouterr().out
    assert "tiny 8/4, 3 past, 2 ahead" in table
    assert f"{result['par']:.4f}" in table
    assert ("ok" in table) == (not result["misses"])
    assert any("PAR > 1.5" in miss for miss in result["misses"]) == (result["par"] > 1.5)
