"""The benchmark of forecasts times every version in a process of its own, and judges all by the same windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.forecasting import AHEAD, Shape, time_forecasts
from benchmarks.report import forecast_json, forecast_table, show
from equipoise import Cluster, InputError, balance, plan, synthetic_trace

TINY = Shape(6, 2, 8, Cluster(gpus=2, slots_per_gpu=5))
ROOT = Path(__file__).parents[2]


def test_every_version_is_timed_and_judged_by_the_windows_that_came_next(capsys):
    found = time_forecasts(ROOT, rounds=1, shapes=(TINY,))
    this, other = found
    trace = synthetic_trace("slow", windows=6 + AHEAD, layers=2, experts=8).counts
    placement = plan(trace[:6], TINY.cluster).placement
    assert this.par == other.par == pytest.approx(balance(placement, trace[6:]).par.mean())
    assert (this.version, other.version, this.windows, this.times_this) == ("this", str(ROOT), 6, 1)
    ms = [one.forecast_ms + one.plan_ms for one in found]
    assert other.times_this == pytest.approx(ms[1] / ms[0])
    show(forecast_table(found))
    table = capsys.readouterr().out
    for one in json.loads(forecast_json(found)):
        assert f"{one['par']:.4f}" in table
        assert f"{one['times_this']:.2f}" in table


def test_another_version_is_looked_for_before_anything_is_timed(tmp_path):
    with pytest.raises(InputError, match="has no src/equipoise; expected a checkout"):
        time_forecasts(tmp_path, rounds=1)
