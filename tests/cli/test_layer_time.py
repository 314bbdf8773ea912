"""What experts take, as options say it: times beside every PAR, what they rest on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import (
    Batch,
    Cluster,
    Conditions,
    ExpertCost,
    Loads,
    Model,
    Never,
    Placement,
    balance,
    layer_time,
    plan,
    read_placement,
    simulate,
    write_cost,
    write_placement,
)
from equipoise.cli import app
from equipoise.serving.slot_shares import Routing

COUNTS = np.random.default_rng(0).integers(1, 100, (6, 3, 16))
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
COST = ExpertCost(
    layer=67,
    expert=15,
    tiles={128: 17},
    measured_to=4000,
    residual=0.06,
    scatter=0.04,
    conditions=Conditions("NVIDIA H100", {"torch": "2.11"}, 1024, 512, "bf16", top_k=2),
)
TINY = {"num_experts": 16, "num_experts_per_tok": 2, "hidden_size": 1024, "moe_intermediate_size": 512}


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def figures_of(*arguments):
    result = equipoise(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def words(text):
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Stand in a folder with loads, placements, a cost and a model of 16 experts in every second layer."""
    monkeypatch.chdir(tmp_path)
    np.save("loads.npy", COUNTS)
    write_placement(plan(COUNTS[0], CLUSTER).placement, "new.json")
    write_placement(Placement.default(CLUSTER, 16, 3), "old.json")
    write_cost(COST, "cost.json")
    config = TINY | {"num_hidden_layers": 6, "decoder_sparse_step": 2, "n_group": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))


def near(time):
    """Return what the figures of a layer time are."""
    mean, error = time
    return {"mean": pytest.approx(mean), "error": pytest.approx(error)}


def test_a_plan_has_the_times_of_its_layers_before_and_after():
    asked = ("plan", "loads.npy", "--gpus", 4, "--redundant", 4, "-o", "plan.json", "--cost", "cost.json")
    figures = figures_of(*asked, "--tokens", "500,16")
    result = plan(Loads(COUNTS), Cluster(gpus=4, slots_per_gpu=5))
    assert [time["tokens"] for time in figures["times"]] == [16, 500]
    loads, weights = Loads(result.scenarios.counts), result.scenarios.weights
    for time in figures["times"]:
        batch = Batch(time["tokens"], 2, COST)
        before, after = (layer_time(one, loads, batch) for one in (result.before, result.placement))
        assert (time["before"], time["after"]) == (near(before.mean(weights)), near(after.mean(weights)))
        assert time["by_layer"]["after"] == pytest.approx(after.by_layer(weights))
        assert np.mean(time["by_layer"]["after"]) == pytest.approx(time["after"]["mean"])
        assert time["saved"] == pytest.approx(1 - time["after"]["mean"] / time["before"]["mean"])
    assert (figures["cost"]["source"], figures["cost"]["top_k"], figures["cost"]["residual"]) == ("cost.json", 2, 0.06)


def test_a_plan_says_what_its_times_rest_on():
    printed = words(
        equipoise("plan", "loads.npy", "--gpus", 4, "--cost", "cost.json", "--tokens", 16, "--top-k", 3).stdout
    )
    assert "cost cost.json, measured on NVIDIA H100 in bf16 a token selects 3 experts" in printed
    assert "µs of a layer ± error before after saved at 16 tokens a GPU" in printed
    assert "Differences below 6.0%, the cost's own error, say nothing." in printed
    assert "last slope" not in printed
    printed = words(equipoise("plan", "loads.npy", "--gpus", 4, "--cost", "cost.json").stdout)
    assert "at 128 tokens a GPU" in printed
    assert "At 4096 tokens a GPU experts get more than was measured (4000): the last slope goes on." in printed
    assert "microseconds" not in equipoise("plan", "loads.npy", "--gpus", 4).stdout


def test_a_table_of_ones_own_is_levelled_and_said_to_be():
    Path("own.csv").write_text("tokens,microseconds\n1,42\n64,40\n128,55\n")
    printed = words(equipoise("plan", "loads.npy", "--gpus", 4, "--cost", "own.csv", "--top-k", 2).stdout)
    assert "cost own.csv, a table a token selects 2 experts rows of the table that fell, by 4.8% at most" in printed


def test_a_gpu_that_was_not_measured_is_taken_at_its_best():
    figures = figures_of("plan", "loads.npy", "--gpus", 4, "--gpu", "h100", "--model", ".", "--dtype", "fp8")
    model = Model(16, 2, 1024, 512, layers=6, first_moe_layer=1, moe_layer_step=2)
    batch = Batch(128, 2, ExpertCost.roofline("H100", model, "fp8"))
    assert figures["times"][0]["after"]["mean"] == pytest.approx(
        plan(Loads(COUNTS), Cluster(gpus=4, slots_per_gpu=4)).time_saved(batch).after.mean()[0], rel=1e-3
    )
    printed = equipoise("plan", "loads.npy", "--gpus", 4, "--gpu", "h100", "--model", ".").stdout
    assert "h100 at its best in bf16: nothing was measured, and kernels take longer" in printed


def test_the_page_of_a_plan_has_the_times():
    equipoise("plan", "loads.npy", "--gpus", 4, "--cost", "cost.json", "--tokens", 16, "--report", "page.html")
    page = words(Path("page.html").read_text())
    assert "time of a layer, 16 tokens a GPU" in page
    assert "what its slowest GPU takes for its experts, as measured, 6.0% off" in page
    assert "microseconds after, 16 tokens" in page
    equipoise("plan", "loads.npy", "--gpus", 4, "--report", "page.html")
    page = Path("page.html").read_text().partition("<script")[0]
    assert "µs" not in page
    assert "time of" not in page


def test_every_routing_has_its_time():
    figures = figures_of("routing", "new.json", "loads.npy", "--cost", "cost.json", "--tokens", 300)
    placement, batch = read_placement("new.json"), Batch(300, 2, COST)
    for name in get_args(Routing):
        [time] = figures["routings"][name]["times"]
        assert time == {
            "tokens": 300,
            "beyond": False,
            **near(layer_time(placement, COUNTS, batch, routing=name).mean()),
        }
    printed = words(equipoise("routing", "new.json", "loads.npy", "--cost", "cost.json", "--tokens", 300).stdout)
    assert "routing PAR mean worst 300 tokens" in printed
    assert "Microseconds of a layer stand under the tokens of a GPU" in printed


def test_two_placements_are_compared_under_loads():
    figures = figures_of("diff", "old.json", "new.json", "--loads", "loads.npy", "--cost", "cost.json", "--tokens", 64)
    old, new = read_placement("old.json"), read_placement("new.json")
    for name, placement in (("old", old), ("new", new)):
        par = balance(placement, COUNTS).par
        assert figures["par"][name] == {
            "mean": pytest.approx(par.mean()),
            "worst": par.max(),
            "by_layer": pytest.approx(par.mean(axis=0)),
        }
    assert figures["times"][0]["before"] == near(layer_time(old, COUNTS, Batch(64, 2, COST)).mean())
    assert figures["times"][0]["after"] == near(layer_time(new, COUNTS, Batch(64, 2, COST)).mean())
    printed = words(equipoise("diff", "old.json", "new.json", "--loads", "loads.npy", "--cost", "cost.json").stdout)
    assert "serving loads.npy old new PAR, mean" in printed
    assert "µs of a layer ± error old new saved at 128 tokens a GPU" in printed
    alone = equipoise("diff", "old.json", "new.json", "--loads", "loads.npy").stdout
    assert "PAR, worst" in alone
    assert "microseconds" not in alone


def test_every_window_of_a_replay_has_its_time():
    asked = ("simulate", "loads.npy", "--gpus", 4, "--nodes", 2, "--redundant", 4, "--window", 2)
    figures = figures_of(*asked, "--cost", "cost.json", "--tokens", "16,64")
    replay = simulate(COUNTS, CLUSTER, Never(), window=2, batches=[Batch(16, 2, COST), Batch(64, 2, COST)])
    never = figures["policies"]["never"]
    for tokens in (16, 64):
        assert never["by_window"][f"layer_time_{tokens}"] == pytest.approx(replay.layer_time[tokens])
        assert never[f"layer_time_{tokens}"] == pytest.approx(replay.layer_time[tokens].mean())
        errors = replay.columns()[f"layer_time_error_{tokens}"]
        assert never[f"layer_time_error_{tokens}"] == pytest.approx(np.sqrt(np.mean(errors**2) / 4))
    first = layer_time(
        plan(COUNTS[:2], CLUSTER, effort="fast", forecast="windows").placement, COUNTS[2], Batch(16, 2, COST)
    )
    assert replay.layer_time[16][0] == pytest.approx(first.mean()[0], rel=0.05)
    printed = words(equipoise(*asked, "--cost", "cost.json", "--report", "page.html").stdout)
    assert "µs of a layer ± error at 128 tokens a GPU at 4096 tokens a GPU never" in printed
    assert "What a layer takes</h2>" in Path("page.html").read_text()


def test_a_model_says_groups_layers_and_top_k():
    asked = ("plan", "loads.npy", "--gpus", 4, "--nodes", 2, "--redundant", 4, "--model", "config.json")
    figures = figures_of(*asked, "-o", "sglang.json", "--to", "sglang")
    assert (figures["groups"], figures["locality"], figures["groups_of_model"]) == (4, "strict", True)
    printed = words(equipoise(*asked).stdout)
    assert "4 expert groups, each kept on its node as config.json has them; --groups 1 undoes it" in printed
    undone = equipoise(*asked, "--groups", 1).stdout
    assert "1 expert group" in undone
    assert "undoes" not in undone
    written = json.loads(Path("sglang.json").read_text())["physical_to_logical_map"]
    default = Placement.default(CLUSTER, 16, 1).phy2log[0].tolist()
    assert len(written) == 6
    assert written[::2] == [default] * 3
    back = equipoise("convert", "sglang.json", "back.json", "--model", ".", "--gpus", 4, "--nodes", 2)
    assert back.exit_code == 0, back.stderr
    assert read_placement("back.json").phy2log.tolist() == written[1::2]
    shown = figures_of("show", "sglang.json", "--model", ".", "--gpus", 4)
    assert shown["layers"] == 3


@pytest.mark.parametrize(("nodes", "groups"), [(1, 1), (2, 4), (4, 4)])
def test_groups_are_those_that_an_engine_would_keep_together(nodes, groups):
    asked = ("--gpus", 12, "--nodes", nodes, "--slots", 24, "--model", ".", "--forecast", "last")
    assert figures_of("plan", "loads.npy", *asked)["groups"] == groups
    assert figures_of("simulate", "loads.npy", *asked, "--window", 4)["groups"] == groups


def test_groups_that_do_not_divide_over_the_nodes_bind_nothing():
    assert figures_of("plan", "loads.npy", "--gpus", 6, "--nodes", 3, "--slots", 18, "--model", ".")["groups"] == 1


def test_a_live_placement_keeps_its_own_groups():
    assert figures_of("plan", "loads.npy", "--current", "new.json", "--model", ".")["groups"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cost", "cost.json", "--gpu", "H100"), "--gpu: say --cost or --gpu, not both"),
        (("--cost", "cost.json", "--dtype", "fp8"), "--dtype: goes with --gpu alone; a cost has its own"),
        (("--tokens", "128"), "--tokens: say what experts take, with --cost or --gpu"),
        (("--gpu", "H100"), "--model: say whose experts the GPU has"),
        (("--gpu", "H101", "--model", "."), "error: --gpu is 'H101'; expected 'A100', 'H100', "),
        (("--gpu", "A100", "--model", ".", "--dtype", "fp8"), "error: this GPU has no FP8; use --dtype bf16"),
        (("--gpu", "H100", "--model", "gpt-5"), "error: --model is 'gpt-5'; expected the path of its config.json, or"),
        (("--model", "deepseek-v3"), "the loads have 16 experts, deepseek-v3 has 256; expected another --model"),
        (("--cost", "no.json"), "error: no.json: No such file or directory"),
        (("--cost", "cost.json", "--model", "mixtral-8x7b"), "error: cost.json: the cost is for a hidden_size of 1024"),
        (("--cost", "cost.json", "--tokens", "0"), "'0' is no list of counts; expected whole numbers of at least 1"),
        (("--cost", "cost.json", "--tokens", "1,,2"), "'1,,2' is no list of counts"),
        (("--cost", "cost.json", "--tokens", 10**8), "--tokens is 100000000; expected at most 10,000,000"),
        (("--cost", "row.csv"), "error: row.csv: rows of the table: 1; expected two at least"),
        (
            ("--cost", "falls.csv", "--top-k", 2),
            "error: falls.csv: row 2: 64 tokens take 30 microseconds, 25% less",
        ),
        (("--cost", "table.csv"), "--top-k: say how many experts a token selects, or the --model"),
        (
            ("--cost", "below.csv"),
            "error: below.csv: row 1: microseconds is -40.0; expected a finite",
        ),
    ],
)
def test_what_makes_no_time_is_refused(options, message):
    tables = {"row": "1,40", "falls": "1,40\n64,30", "table": "1,40\n64,41", "below": "1,-40\n64,41"}
    for name, rows in tables.items():
        Path(f"{name}.csv").write_text(f"tokens,microseconds\n{rows}\n")
    for command in (["plan", "loads.npy", "--gpus", 4], ["simulate", "loads.npy", "--gpus", 4, "--window", 2]):
        result = equipoise(*command, *options)
        assert result.exit_code in (1, 2)
        assert result.stdout == ""
        assert message in words(result.stderr)


def test_times_of_placements_need_loads():
    result = equipoise("diff", "old.json", "new.json", "--cost", "cost.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--loads: say which loads shall be timed" in words(result.stderr)


def test_a_plan_never_replaces_the_cost():
    result = equipoise("plan", "loads.npy", "--gpus", 4, "--cost", "cost.json", "-o", "cost.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--output: the placement would replace the cost" in words(result.stderr)


def test_a_replay_says_where_times_are_beyond_what_was_measured():
    asked = ("simulate", "loads.npy", "--gpus", 4, "--window", 4, "--cost", "cost.json")
    assert "experts get more than was measured (4000)" in words(equipoise(*asked).stdout)
    assert "experts get more" not in equipoise(*asked, "--tokens", 16).stdout
