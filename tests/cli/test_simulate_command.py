"""``equipoise simulate``: a trace replayed under several policies."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Loads, simulate
from equipoise.cli import app
from equipoise.cli.terminal import progress
from equipoise.migration.costs import Costs
from equipoise.replay.policies import DeepSeekRule, FewMoves, Never, Oracle, WhenWorth

TRACE = np.random.default_rng(0).lognormal(3, 1, (9, 3, 16)).round()
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
ON_CLUSTER = ("--gpus", 4, "--nodes", 2, "--redundant", 4)


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.npy"
    np.save(path, TRACE)
    return path


def equipoise(*arguments):
    return CliRunner().invoke(app, ["simulate", *(str(argument) for argument in arguments)])


def figures_of(*arguments):
    result = equipoise(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_without_a_trace_the_sample_is_replayed_and_called_synthetic():
    result = equipoise("--window", 14, "--forecast", "last")
    assert result.exit_code == 0, result.stderr
    assert "synthetic sample" in result.stdout
    assert "16 windows x 58 layers x 256 experts" in result.stdout
    assert "32 GPUs on 4 nodes, 9 slots on each GPU" in result.stdout
    assert "2, by the last 14 windows, for 1 window each" in result.stdout
    assert "400.0 GB/s within its node, 50.0 GB/s to others" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert (result.stderr, "\x1b" in result.stdout) == ("", False)


def test_all_columns_of_all_policies_are_those_of_the_library(trace):
    settings = {"groups": 4, "interval": 2, "window": 3}
    links = ("--expert-bytes", "1kB", "--within-nodes", "3kB", "--between-nodes", "400")
    options = [text for name, value in settings.items() for text in (f"--{name}", value)]
    figures = figures_of(trace, *ON_CLUSTER, *options, *links, "--max-moves", "10%", "--max-moves", 6)
    costs = Costs(1000, 3000, 400)
    assert figures["costs"] == {"expert_bytes": 1000, "within_nodes": 3000, "between_nodes": 400}
    assert (figures["served"], figures["decisions"], figures["synthetic"]) == (6, 3, False)
    assert (figures["forecast"], figures["interval_seconds"]) == ("auto", None)
    policies = {
        "never": Never(),
        "DeepSeek's rule": DeepSeekRule(),
        "few moves: 10%": FewMoves(0.1),
        "few moves: 6": FewMoves(6),
        "any moves": FewMoves(1.0),
        "oracle": Oracle(),
    }
    assert list(figures["policies"]) == list(policies)
    for name, policy in policies.items():
        found, replay = figures["policies"][name], simulate(Loads(TRACE), CLUSTER, policy, **settings, costs=costs)
        assert found.pop("by_window") == {column: values.tolist() for column, values in replay.columns().items()}
        assert found.pop("moved_share") == pytest.approx(replay.moves.sum() / (3 * 3 * 20))
        assert found == replay.totals()


PLANNING = {
    "a share off its node": ({"groups": 4, "off_node": 0.1, "effort": "fast"}, "soft"),
    "soft": ({"groups": 4, "locality": "soft", "effort": "fast"}, "soft"),
    "no locality": ({"groups": 4, "locality": "none"}, "none"),
    "thorough": ({"effort": "thorough", "workers": 2}, "none"),
}


@pytest.mark.parametrize(("asked", "locality"), PLANNING.values(), ids=PLANNING)
def test_plans_are_asked_for_what_the_options_say(trace, asked, locality):
    options = [text for name, value in asked.items() for text in (f"--{name.replace('_', '-')}", value)]
    figures = figures_of(trace, "--gpus", 4, "--nodes", 2, "--slots", 24, "--window", 3, *options)
    assert (figures["cluster"]["slots_per_gpu"], figures["slots"], figures["redundant"]) == (6, 24, 8)
    assert (figures["groups"], figures["locality"]) == (asked.get("groups", 1), locality)
    assert (figures["off_node"], figures["effort"]) == (asked.get("off_node"), asked.get("effort", "default"))
    cluster = Cluster(gpus=4, nodes=2, slots_per_gpu=6)
    for name, policy in {"few moves: 5%": FewMoves(0.05), "any moves": FewMoves(1.0), "oracle": Oracle()}.items():
        assert figures["policies"][name]["by_window"] == by_window(policy, cluster, **asked)


def test_a_gpu_may_be_dead(trace):
    figures = figures_of(trace, "--gpus", 4, "--slots", 24, "--dead", 3, "--window", 3)
    cluster = Cluster(gpus=4, slots_per_gpu=6, dead=[3])
    assert (figures["cluster"]["dead"], figures["redundant"]) == ([3], 2)
    found = figures["policies"]["any moves"]
    assert found["by_window"] == by_window(FewMoves(1.0), cluster)
    assert found["moved_share"] == pytest.approx(found["moves"] / (6 * 3 * 18))


def test_the_format_of_the_trace_may_be_said(trace):
    asked = (trace, *ON_CLUSTER, "--window", 7, "--json")
    assert equipoise(*asked, "--from", "numpy").stdout == equipoise(*asked).stdout
    result = equipoise(*asked, "--from", "csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {trace}: not CSV: ")


def test_the_table_has_a_row_for_each_policy(trace):
    arguments = (trace, *ON_CLUSTER, "--max-moves", "5%", "--max-moves", "12.5%")
    figures, table = figures_of(*arguments), equipoise(*arguments).stdout
    assert table.startswith(f"trace {trace}\n")
    for name, policy in figures["policies"].items():
        row = next(line.removeprefix(name).split() for line in table.splitlines() if line.startswith(name))
        assert row[:3] == [f"{policy['par']:.4f}", f"{policy['worst_par']:.4f}", f"{policy['moved_share']:.1%}"]
        assert row[-2:] == [f"{policy['stall_seconds']:.3f}", "s"]
    ours = ["few moves: 5%", "few moves: 12.5%", "any moves"]
    assert list(figures["policies"]) == ["never", "DeepSeek's rule", *ours, "oracle"]


def by_window(policy, cluster=CLUSTER, **settings):
    replay = simulate(Loads(TRACE), cluster, policy, window=3, **settings)
    return {column: values.tolist() for column, values in replay.columns().items()}


def test_a_forecast_is_that_of_all_policies_that_look_ahead(trace):
    figures = figures_of(trace, *ON_CLUSTER, "--window", 3, "--forecast", "last")
    assert figures["forecast"] == "last"
    assert figures["policies"]["few moves: 5%"]["by_window"] == by_window(FewMoves(0.05, forecast="last"))
    assert figures["policies"]["any moves"]["by_window"] == by_window(FewMoves(1.0, forecast="last"))
    table = equipoise(trace, *ON_CLUSTER, "--window", 3, "--forecast", "last").stdout
    assert ["forecast", "last"] in [line.split() for line in table.splitlines()]
    table = equipoise(trace, *ON_CLUSTER, "--window", 3).stdout
    assert "auto: for each layer, by backtest at every decision\n" in table


def test_ours_move_only_what_is_worth_its_time_if_that_is_said(trace):
    settings = ("--window", 3, "--expert-bytes", "1MB")
    always, worth, never = (
        figures_of(trace, *ON_CLUSTER, *settings, *seconds)["policies"]
        for seconds in ((), ("--interval-seconds", 3e-4), ("--interval-seconds", 1e-9))
    )
    costs = Costs(expert_bytes=1_000_000)
    expected = by_window(WhenWorth(FewMoves(1.0), 3e-4, costs), costs=costs)
    assert worth["any moves"]["by_window"] == expected
    assert never["any moves"]["moves"] == 0 < worth["any moves"]["moves"] < always["any moves"]["moves"]
    assert never["DeepSeek's rule"] == always["DeepSeek's rule"]
    assert never["oracle"] == always["oracle"]
    table = equipoise(trace, *ON_CLUSTER, *settings, "--interval-seconds", 60).stdout
    assert "only what saves more time than it takes in 60 s of experts\n" in table
    assert "only what saves" not in equipoise(trace, *ON_CLUSTER, *settings).stdout


def test_the_same_trace_prints_the_same(trace):
    first, second = (equipoise(trace, *ON_CLUSTER, "--json").stdout for _ in range(2))
    assert first == second


def test_one_bar_shows_the_windows_of_all_policies(trace, monkeypatch):
    told = []
    shown = nullcontext(lambda done, total: told.append((done, total)))
    monkeypatch.setattr(progress, "progress_bar", lambda label: shown)
    equipoise(trace, *ON_CLUSTER, "--window", 5, "--interval", 2)
    assert told == [(done, 20) for done in range(2, 21, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trace.npy"], "say how many GPUs the trace is replayed on"),
        (["--max-moves", "few"], "'few' is no number of moves; expected one such as 500, or a share such as 10%"),
        (["--expert-bytes", "44XB"], "'44XB' is no size"),
        (["--between-nodes", "0"], "'0' is no size"),
        (["--forecast", "tomorrow"], "'tomorrow' is not one of 'auto', 'last', 'sum', 'average-1', 'average-4',"),
        (["--interval-seconds", "long"], "Invalid value for '--interval-seconds'"),
        (["--interval", "0"], "--interval"),
        (["--window", "0"], "--window"),
        (["--slots", "288", "--redundant", "32"], "say --slots or --redundant, not both"),
        (["--locality", "lax"], "--locality"),
        (["--off-node", "nan"], "'nan' is no share"),
        (["--effort", "extreme"], "--effort"),
        (["--dead", "one"], "--dead"),
        (["--workers", "0"], "--workers"),
        (["--from", "excel"], "'excel' is no format"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--window", "16"],
            "windows of the trace: 16; expected at least 17, 16 to decide by (--window) and 1 to",
        ),
        (
            ["--interval", "9"],
            "windows of the trace: 16; expected at least 17, 8 to decide by (--window) and 9 to",
        ),
        (["--interval-seconds", "0"], "--interval-seconds is 0.0; expected a finite number above 0"),
        (["--interval-seconds", "nan"], "--interval-seconds is nan; expected a finite number above 0"),
        (["--off-node", "3%"], "--off-node is 0.03 but --groups is 1"),
        (["--dead", "32"], "GPU 32 is said to be dead; expected GPUs from 0 to 31"),
        (["--slots", "286"], "286 slots do not divide over 32 GPUs; use 256, 288 or 320"),
        (["--groups", "6"], "256 experts do not divide into 6 groups"),
        (["--gpus", "32", "--redundant", "3"], "256 experts + 3 redundant = 259 slots do not divide over 32 GPUs"),
        (["missing.npy", "--gpus", "4"], "missing.npy: No such file or directory"),
    ],
)
def test_bad_input_ends_with_1_and_one_line(arguments, message):
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_windows_are_served_by_the_routing_that_is_asked_for(trace):
    figures = figures_of(trace, *ON_CLUSTER, "--window", 3, "--routing", "filled")
    replay = simulate(TRACE, CLUSTER, Never(), window=3, routing="filled")
    assert figures["policies"]["never"]["by_window"]["par"] == pytest.approx(replay.par.tolist())
    assert replay.par.mean() < simulate(TRACE, CLUSTER, Never(), window=3).par.mean()
    assert figures["routing"] == "filled"
    refused = equipoise(trace, *ON_CLUSTER, "--routing", "nearest")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "'nearest' is no routing; expected even, vllm," in " ".join(refused.stderr.replace("│", " ").split())
