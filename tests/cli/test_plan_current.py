"""``equipoise plan`` from a placement that is live, and with groups that may be served off their node."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import balance, read_placement
from equipoise.cli import app
from equipoise.migration.migration import count_moves

RNG = np.random.default_rng(0)
BEFORE, AFTER = RNG.lognormal(3, 1, (2, 3, 16)).astype(int)


@pytest.fixture
def files(tmp_path):
    """Loads that have drifted, and the placement that was made before; as paths."""
    loads, live = tmp_path / "loads.npy", tmp_path / "live.json"
    np.save(tmp_path / "before.npy", BEFORE)
    np.save(loads, AFTER)
    equipoise("plan", tmp_path / "before.npy", "--gpus", 4, "--nodes", 2, "--redundant", 8, "-o", live)
    return loads, live


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def figures_of(*arguments):
    result = equipoise(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_cluster_is_that_of_the_current_placement(files):
    loads, live = files
    figures = figures_of("plan", loads, "--current", live)
    assert figures["cluster"] == {"gpus": 4, "nodes": 2, "slots_per_gpu": 6, "dead": []}
    assert figures["current"] == str(live)


def test_more_gpus_keep_the_slots_of_each(files):
    loads, live = files
    figures = figures_of("plan", loads, "--current", live, "--gpus", 6, "--max-moves", 0)
    assert figures["cluster"] == {"gpus": 6, "nodes": 2, "slots_per_gpu": 6, "dead": []}
    assert figures["moves"] == figures["required"] == 3 * 2 * 6


@pytest.mark.parametrize(("budget", "most"), [("0", 0), ("5", 5), ("10%", 7), ("0%", 0)])
def test_moves_keep_to_the_budget_and_are_counted_from_the_current_placement(files, tmp_path, budget, most):
    loads, live = files
    figures = figures_of("plan", loads, "--current", live, "--max-moves", budget, "-o", tmp_path / "new.json")
    moves = count_moves(read_placement(live), read_placement(tmp_path / "new.json"))
    assert figures["by_layer"]["moves"] == moves.tolist()
    assert figures["moves"] == moves.sum() <= most
    assert figures["par"]["mean"] <= figures["par_before"]["mean"]
    before = balance(read_placement(live), AFTER).par.mean()
    assert figures["par_before"]["mean"] == pytest.approx(before)


def test_what_is_not_worth_it_is_said(files):
    loads, live = files
    table = equipoise("plan", loads, "--current", live, "--min-gain", "99%").stdout
    figures = figures_of("plan", loads, "--current", live, "--min-gain", "99%")
    par, declined = figures["par"]["mean"], figures["declined_par"]
    assert figures["moves"] == 0
    assert declined < par
    assert f"Not worth it: PAR {par:.4f} to {declined:.4f}. Nothing moves that need not.\n" in table
    assert "PAR before, with the current placement" in table


def test_experts_that_died_with_their_gpu_are_named(files):
    loads, live = files
    arguments = ("plan", loads, "--current", live, "--dead", 1, "--max-moves", 0)
    figures, table = figures_of(*arguments), equipoise(*arguments).stdout
    assert figures["cluster"]["dead"] == [1]
    assert figures["moves"] == figures["required"] == len(figures["lost"]) > 4
    first = figures["lost"][0]
    assert f"No live GPU holds expert {first['expert']} of layer {first['layer']}, " in table
    assert f" and {len(figures['lost']) - 4} others: their weights must come from disk.\n" in table
    assert "4 GPUs on 2 nodes, 6 slots on each GPU; 1 GPU dead" in table


def test_shares_of_moves_are_of_the_live_slots_here_and_in_what_diff_says(files, tmp_path):
    loads, live = files
    planned = figures_of("plan", loads, "--current", live, "--dead", 1, "-o", tmp_path / "new.json")
    compared = figures_of("diff", live, tmp_path / "new.json")
    assert planned["moves"] == compared["moves"] > 0
    assert planned["moved_share"] == compared["moved_share"] == planned["moves"] / (3 * 3 * 6)


def test_a_dead_gpu_stays_dead_until_the_cluster_is_given_anew(files, tmp_path):
    loads, live = files
    equipoise("plan", loads, "--current", live, "--dead", 1, "-o", tmp_path / "down.json")
    assert figures_of("plan", loads, "--current", tmp_path / "down.json")["cluster"]["dead"] == [1]
    up = figures_of("plan", loads, "--current", tmp_path / "down.json", "--gpus", 4, "--max-moves", 0)
    assert up["cluster"]["dead"] == []
    assert up["moves"] == 3 * 6


def test_groups_have_a_bound_for_each_locality(files):
    loads, _ = files
    cluster = ("--gpus", 4, "--nodes", 2, "--redundant", 8, "--groups", 4)
    strict, soft = (figures_of("plan", loads, *cluster, *extra) for extra in ((), ("--off-node", "10%")))
    none = figures_of("plan", loads, *cluster, "--locality", "none")
    assert (strict["locality"], soft["locality"], none["locality"]) == ("strict", "soft", "none")
    assert strict["off_node_share"] == 0 < soft["off_node_share"] <= 0.1 < none["off_node_share"]
    assert strict["bounds"]["strict"] >= soft["bounds"]["soft"] >= none["bounds"]["none"]
    for figures in (strict, soft, none):
        assert figures["bound"]["mean"] == figures["bounds"][figures["locality"]]
    table = equipoise("plan", loads, *cluster, "--off-node", "10%").stdout
    assert "4 expert groups, at home on a node each, served on others too" in table
    assert f"{soft['off_node_share']:.1%} of the load" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-moves", "ten"], "'ten' is no number of moves"),
        (["--max-moves", "110%"], "'110%' is no share"),
        (["--max-moves", "-3"], "'-3' is no number of moves"),
        (["--off-node", "nan"], "'nan' is no share"),
        (["--min-gain", "much"], "'much' is no share"),
        (["--locality", "lax"], "--locality"),
        (["--dead", "one"], "--dead"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    result = equipoise("plan", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-moves", "3%"], "--max-moves and --min-gain limit the moves from a current placement"),
        (["--off-node", "3%"], "--off-node is 0.03 but --groups is 1"),
        (
            ["--groups", "8", "--locality", "strict", "--off-node", "3%"],
            "--off-node is 0.03 but --locality is 'strict'",
        ),
        (["--dead", "32"], "GPU 32 is said to be dead; expected GPUs from 0 to 31"),
        (["--groups", "8", "--dead", "9"], "node 1 has 63 slots (7 live GPUs with 9 each) for the 64 experts"),
        (["--current", "missing.json"], "missing.json: No such file or directory"),
    ],
)
def test_bad_input_ends_with_1_and_one_line(arguments, message):
    result = equipoise("plan", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_a_current_placement_of_another_model_is_refused(files):
    result = equipoise("plan", "--current", files[1])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the loads have 58 layers of 256 experts, the current placement 3 of 16" in result.stderr


@pytest.mark.parametrize("locality", [(), ("--off-node", "10%")])
def test_the_groups_of_the_current_placement_stay_where_they_are(tmp_path, files, locality):
    loads, _ = files
    live = tmp_path / "grouped.json"
    of_groups = ("--gpus", 4, "--nodes", 2, "--redundant", 8, "--groups", 4, *locality)
    equipoise("plan", tmp_path / "before.npy", *of_groups, "-o", live)
    figures = figures_of("plan", loads, "--current", live, "--max-moves", "10%", "-o", tmp_path / "new.json")
    assert (figures["groups"], figures["locality"]) == (4, "soft" if locality else "strict")
    assert figures["off_node_share"] <= (0.1 if locality else 0)
    again = read_placement(tmp_path / "new.json")
    assert (again.groups, again.off_node) == (4, 0.1 if locality else 0.0)


def test_other_groups_than_the_current_placements_are_said(tmp_path, files):
    loads, _ = files
    live = tmp_path / "grouped.json"
    on = ("--gpus", 4, "--nodes", 2, "--redundant", 8)
    equipoise("plan", tmp_path / "before.npy", *on, "--groups", 4, "-o", live)
    said = equipoise("plan", loads, "--current", live, "--groups", 1).stdout
    assert "1 expert group\n" in said
    assert "the current placement has 4\n" in said
    assert "the current placement has" not in equipoise("plan", loads, "--current", live).stdout


def test_what_contradicts_is_refused_before_anything_is_compiled(files, monkeypatch):
    monkeypatch.setattr("equipoise.planner.warm_up", lambda *_: pytest.fail("compiled first"))
    result = equipoise("plan", files[0], "--gpus", 4, "--max-moves", 3)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: --max-moves and --min-gain limit the moves from a current placement")
