"""The benchmark of expected times: fitted on one kind of traffic, tested on what it was not fitted on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.layer_time import (
    CHOICES,
    Chosen,
    Foretold,
    choose_slots,
    expected_slowest,
    foretell,
    read_timings,
)
from benchmarks.verdict import choice_misses, foretold_misses
from equipoise import ExpertCost, InputError

COST = ExpertCost(layer=67, expert=15, tiles={128: 17})
FORETOLD = Foretold("equipoise", "shift", gpu=0.06, slowest=0.065, with_residual=0.05, with_scatter=0.9)
CHOSEN = Chosen("same", 16, 8, "even", 9, "local", over_best=0.03)


def timings(noise=0.0):
    """Return cases of 4 GPUs of which 8 slots are the fastest with few tokens, and 10 with many."""
    rng = np.random.default_rng(0)
    rows = []
    for traffic in ("same", "shift"):
        for batch in (16, 4096):
            for slots, routing in CHOICES:
                mean = 8 * batch * (1 + 2 / slots) / slots  # more slots, better balance
                rows.append((traffic, batch, slots, routing, rng.poisson(mean, (4, 10)) * (np.arange(10) < slots)))
    traffic, batch, slots, routing, tokens = map(np.array, zip(*rows, strict=True))
    time = COST.gpu_time(tokens) * (1 + noise * rng.standard_normal(tokens.shape[:2]))
    return {
        "traffic": traffic,
        "tokens_per_gpu": batch,
        "slots": slots,
        "routing": routing,
        "tokens": tokens,
        "microseconds": time,
    }


def test_times_that_are_of_the_costs_form_are_foretold_exactly():
    line, ours, *_ = foretell(timings(), timings(0.1))
    assert (line.cost, line.tested, ours.cost, ours.tested) == ("line in tokens", "shift", "equipoise", "shift")
    assert max(ours.gpu, ours.slowest, ours.with_residual) < 1e-6 < line.gpu
    assert foretell(timings(), timings(0.1))[3].gpu == pytest.approx(0.1, rel=0.3)


def test_nothing_is_fitted_on_what_is_tested():
    changed = timings()
    changed["microseconds"][changed["traffic"] == "shift"] *= 2
    assert foretell(changed, changed)[1].gpu == pytest.approx(0.5)


def test_slots_are_chosen_by_expected_time_and_judged_by_measured():
    found = choose_slots(timings())
    assert [(one.traffic, one.tokens_per_gpu) for one in found] == [
        (traffic, batch) for traffic in ("same", "shift") for batch in (16, 4096)
    ]
    assert [one.slots for one in found] == [8, 10, 8, 10]
    assert [one.over_best for one in found] == pytest.approx([0] * 4)


def test_the_slowest_of_two_alike_is_expected_beyond_them():
    time = np.full((1, 2), 100.0)
    assert expected_slowest(time, 0) == [100]
    assert expected_slowest(time, 0.1) == pytest.approx(100 * (1 + 0.1 / np.sqrt(np.pi)), rel=5e-3)


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"gpu": 0.061}, ["each GPU > 6.0%"]),
        ({"slowest": 0.066, "with_residual": 0.051}, ["slowest GPU > 6.5%", "with the residual > 5.0%"]),
    ],
)
def test_errors_are_held_to_their_targets(changed, missed):
    assert foretold_misses(replace(FORETOLD, **changed)) == missed


def test_choices_are_held_to_their_targets():
    late = replace(CHOSEN, over_best=0.04)
    assert choice_misses([CHOSEN] * 12 + [late] * 2) == []
    assert choice_misses([CHOSEN] * 11 + [late] * 3) == ["11 of 14 within 3%"]
    assert choice_misses([CHOSEN] * 13 + [replace(CHOSEN, over_best=0.11)]) == ["over the best by more than 10%"]


def test_both_tables_are_printed_or_both_as_json(tmp_path):
    np.savez(tmp_path / "h100_grouped_gemm.npz", **timings())
    np.savez(tmp_path / "h100_spares.npz", **timings())
    printed = CliRunner().invoke(app, ["time", "--measured", str(tmp_path)]).stdout
    assert "line in tokens" in printed
    assert "10 even" in printed
    told = json.loads(CliRunner().invoke(app, ["time", "--measured", str(tmp_path), "--json"]).stdout)
    assert [len(told["foretold"]), len(told["chosen"])] == [4, 4]
    with pytest.raises(InputError, match="is missing; expected the measured times"):
        read_timings(tmp_path / "elsewhere", "timings")
