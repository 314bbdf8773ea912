from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Placement, balance, forecast, plan, read_placement, sample_loads
from equipoise.cli import app
from equipoise.cli.summaries.plan import what_was_planned

COUNTS = np.random.default_rng(0).integers(1, 100, (2, 3, 16))


@pytest.fixture
def loads(tmp_path):
    path = tmp_path / "loads.npy"
    np.save(path, COUNTS)
    return str(path)


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_without_loads_the_sample_is_planned_and_called_synthetic():
    result = equipoise("plan", "--effort", "fast")
    assert result.exit_code == 0
    assert "synthetic" in result.output
    assert "16 windows x 58 layers x 256 experts" in result.output
    assert "32 GPUs on 4 nodes" in result.output
    assert "288 slots for a layer, 32 of them redundant" in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert all(line == line.rstrip() for line in result.output.splitlines())
    assert "\x1b" not in result.output


def test_the_figures_are_those_of_the_placement_written(loads, tmp_path):
    output = tmp_path / "placement.json"
    result = equipoise(
        "plan", loads, "--gpus", 4, "--nodes", 2, "--groups", 4, "--redundant", 8, "-o", output, "--json"
    )
    assert result.exit_code == 0
    figures, placement = json.loads(result.stdout), read_placement(output)
    scenarios = forecast(COUNTS, placement.cluster, groups=4).scenarios
    assert placement.cluster == Cluster(gpus=4, nodes=2, slots_per_gpu=6)

    by_layer = {name: np.array(values) for name, values in figures["by_layer"].items()}
    default = Placement.default(placement.cluster, experts=16, layers=3)
    mean = scenarios.mean.sum(axis=1) / 4
    np.testing.assert_allclose(by_layer["par"], scenarios.peak(placement) / mean, rtol=1e-12)
    np.testing.assert_allclose(by_layer["par_before"], scenarios.peak(default) / mean, rtol=1e-12)
    np.testing.assert_allclose(by_layer["par"] / by_layer["bound"] - 1, by_layer["gap"], atol=1e-12)
    for name in ("par_before", "par", "bound", "gap"):
        assert figures[name]["mean"] == pytest.approx(by_layer[name].mean())
        assert figures[name]["worst"] == by_layer[name].max() == by_layer[name][figures[name]["worst_layer"]]
    assert figures["duplicates"] == placement.duplicates.sum()
    assert figures["experts_with_copies"] == pytest.approx((placement.logcnt > 1).sum() / 3)
    assert figures["moves"] == by_layer["moves"].sum() == figures["moved_share"] * placement.phy2log.size
    assert (figures["loads"], figures["synthetic"], figures["output"]) == (loads, False, str(output))


def test_the_table_says_the_same_as_json(loads, tmp_path):
    arguments = ("plan", loads, "--gpus", 4, "--slots", 20, "-o", tmp_path / "placement.json")
    table, figures = equipoise(*arguments).stdout, json.loads(equipoise(*arguments, "--json").stdout)
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in table.splitlines() if line.strip()}
    for words, name in (("PAR before, in the default layout", "par_before"), ("PAR after", "par")):
        values = figures[name]
        assert rows[words] == [f"{values['mean']:.4f}", f"{values['worst']:.4f}", str(values["worst_layer"])]
    assert f"{figures['moves']}, {figures['moved_share']:.1%} of the slots" in table
    assert f"{tmp_path / 'placement.json'}: Equipoise, 3 layers, 20 slots\n" in table


def test_the_same_request_writes_the_same_bytes(loads, tmp_path):
    written = []
    for workers in (1, 2):
        equipoise(
            "plan",
            loads,
            "--gpus",
            4,
            "--redundant",
            4,
            "--workers",
            workers,
            "-o",
            tmp_path / "placement.json",
        )
        written.append((tmp_path / "placement.json").read_bytes())
    assert written[0] == written[1]


def test_the_sample_can_be_planned_for_another_cluster():
    options = ("--gpus", 64, "--slots", 320, "--effort", "fast", "--forecast", "sum")
    figures = json.loads(equipoise("plan", *options, "--json").stdout)
    assert figures["cluster"] == {"gpus": 64, "nodes": 4, "slots_per_gpu": 5, "dead": []}
    assert figures["loads"] == "synthetic sample"
    before = balance(Placement.default(Cluster(64, 4, 5), 256, 58), sample_loads().sum()).par
    assert figures["par_before"]["mean"] == pytest.approx(before.mean())


@pytest.mark.parametrize("method", ["auto", "last", "windows", "factors"])
def test_what_is_planned_for_is_what_the_library_expects(tmp_path, method):
    past = np.random.default_rng(0).lognormal(3, 1, (8, 3, 16))
    np.save(tmp_path / "loads.npy", past)
    arguments = ("plan", tmp_path / "loads.npy", "--gpus", 4, "--slots", 20, "--forecast", method)
    result = equipoise(*arguments, "--json", "-o", tmp_path / "placement.json")
    figures, cluster = json.loads(result.stdout), Cluster(gpus=4, slots_per_gpu=5)
    expected = plan(past, cluster, forecast=method)
    found = expected.forecast
    assert np.array_equal(read_placement(tmp_path / "placement.json").phy2log, expected.placement.phy2log)
    assert (figures["forecast"], figures["scenarios"]) == (found.used(), found.scenarios.windows)
    assert figures["backtest"] == {name: pytest.approx(par.mean()) for name, par in found.tested.items()}
    assert bool(figures["backtest"]) == (method == "auto")
    table = " ".join(equipoise(*arguments).stdout.split())
    assert ", ".join(f"{name} in {layers} layer{'s' * (layers > 1)}" for name, layers in found.used().items()) in table
    best = sorted(figures["backtest"].items(), key=lambda tested: tested[1])[:3]
    in_words = "backtest PAR: " + ", ".join(f"{name} {par:.3f}" for name, par in best)
    assert (in_words in table) == (method == "auto")
    assert (" ms, the backtest of the forecasts included after " in table) == (method == "auto")
    assert ("Both are means over the windows planned for" in table) == (found.scenarios.windows > 1)


def test_of_a_single_window_nothing_is_forecast(tmp_path):
    np.save(tmp_path / "loads.npy", COUNTS[0])
    arguments = ("plan", tmp_path / "loads.npy", "--gpus", 4)
    figures = json.loads(equipoise(*arguments, "--json").stdout)
    assert (figures["forecast"], figures["backtest"]) == ({"recent": 3}, {})
    table = equipoise(*arguments).stdout
    assert not any(words in table for words in ("forecast", "windows planned for"))


def test_of_many_forecasts_the_most_used_are_named(loads):
    figures = json.loads(equipoise("plan", loads, "--gpus", 4, "--json").stdout)
    figures["forecast"] = {"windows": 20, "recent": 9, "last": 8, "sum": 2, "factors": 1}
    rows = [text for name, text in what_was_planned(figures) if name == "forecast"]
    assert rows == ["windows in 20 layers, recent in 9 layers, last in 8 layers, and 2 more"]


def test_a_long_path_is_not_broken(tmp_path):
    path = tmp_path / ("a" * 100) / "loads.npy"
    path.parent.mkdir()
    np.save(path, COUNTS)
    assert f"loads      {path}\n" in equipoise("plan", path, "--gpus", 4).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["LOADS"], "--gpus"),
        (["LOADS", "--gpus", "4", "--slots", "16", "--redundant", "0"], "--redundant"),
        (["--gpus", "0"], "--gpus"),
        (["--redundant", "-1"], "--redundant"),
        (["--effort", "extreme"], "--effort"),
        (["--forecast", "tomorrow"], "--forecast"),
        (["--workers", "many"], "--workers"),
        (["LOADS", "--gpus", "4", "-o", "LOADS"], "--output"),
        (["--what"], "--what"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_option(loads, arguments, message):
    result = equipoise("plan", *(loads if argument == "LOADS" else argument for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    np.testing.assert_array_equal(np.load(loads), COUNTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus", "30", "--slots", "300"], "30 GPUs do not divide over 4 nodes; use 3 or 5 nodes"),
        (
            ["--gpus", "30", "--groups", "8"],
            "30 GPUs do not divide over 4 nodes; use 3 or 5 nodes. All that was asked fits with --nodes 2 ",
        ),
        (
            ["--redundant", "30"],
            "256 experts + 30 redundant = 286 slots do not divide over 32 GPUs; use 0, 32 or 64",
        ),
        (["--slots", "286"], "286 slots do not divide over 32 GPUs; use 256, 288 or 320"),
        (["missing.npz", "--gpus", "4"], "missing.npz: No such file or directory"),
        (["-o", "missing/placement.json"], "missing/placement.json: there is no folder "),
    ],
)
def test_bad_input_ends_with_1_and_one_line(arguments, message):
    result = equipoise("plan", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_the_output_is_checked_before_anything_is_planned(monkeypatch, tmp_path):
    monkeypatch.setattr("equipoise.planner.plan", lambda *_, **__: pytest.fail("planned"))
    assert equipoise("plan", "-o", tmp_path).exit_code == 1


def test_too_little_memory_is_said_without_a_traceback(monkeypatch):
    def exhaust(*_, **__):
        raise MemoryError

    monkeypatch.setattr("equipoise.planner.plan", exhaust)
    result = equipoise("plan")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: this machine's memory is too small")


def test_a_failed_plan_leaves_an_earlier_placement(tmp_path):
    output = tmp_path / "placement.json"
    output.write_text("earlier")
    assert equipoise("plan", "--slots", 286, "-o", output).exit_code == 1
    assert output.read_text() == "earlier"


def test_a_plan_for_filled_routing_says_how_level_primaries_are(loads):
    asked = ("plan", loads, "--gpus", 4, "--redundant", 4, "--routing", "filled")
    figures = json.loads(equipoise(*asked, "--json").stdout)
    expected = plan(COUNTS, Cluster(gpus=4, slots_per_gpu=5), routing="filled")
    assert figures["par"]["mean"] == pytest.approx(expected.par.mean())
    assert (figures["routing"], figures["level_layers"]) == ("filled", 3)
    printed = " ".join(equipoise(*asked).stdout.split())
    assert "routing filled, and planned for that" in printed
    assert "primaries no GPU has more than need be in 3 of 3 layers" in printed
    assert "primaries" not in equipoise(*asked[:-2]).stdout


def test_what_replicas_on_several_nodes_cost_is_said(loads):
    arguments = ("plan", loads, "--gpus", 4, "--nodes", 2, "--slots", 36, "--min-replicas", 2, "--across", "nodes")
    figures, table = json.loads(equipoise(*arguments, "--json").stdout), equipoise(*arguments).stdout
    assert (figures["min_replicas"], figures["across"]) == (2, "nodes")
    par, without = figures["par"]["mean"], figures["par_without_min_replicas"]
    assert 1 <= without <= par + 1e-9
    assert f"Every expert on 2 nodes: PAR {par:.4f}, {without:.4f} without.\n" in table


def test_too_few_slots_for_the_replicas_are_refused_with_the_option_that_fits(loads):
    result = equipoise("plan", loads, "--gpus", 4, "--slots", 36, "--min-replicas", 3)
    assert result.exit_code != 0
    assert "use at least 12 slots per GPU, or --min-replicas 2" in " ".join(result.output.split())
