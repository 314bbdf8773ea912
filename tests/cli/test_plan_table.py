"""``equipoise plan --csv``: one table, a row for each GPU of each layer."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Placement, plan, read_placement, write_placement
from equipoise.cli import app
from equipoise.migration.migration import Migration

COUNTS = np.random.default_rng(0).lognormal(3, 1, (4, 3, 16)).round()
ON_CLUSTER = ("--gpus", 4, "--nodes", 2, "--redundant", 8)
CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=6)
OF_LAYER = ["layer", "decoder layer", "PAR before", "PAR after", "bound", "gap", "moves"]
OF_GPU = ["GPU", "node", "load before", "load after", "moves to it", "experts"]


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("loads.npy", COUNTS)


def table_of(*arguments):
    """Return the head, and what the rows have under each of its names: numbers, where all are."""
    result = equipoise("plan", *arguments, "--csv", "table.csv")
    assert result.exit_code == 0, result.stderr
    assert "table.csv: table of layers and GPUs\n" in result.stdout
    return columns_of(Path("table.csv").read_text(encoding="utf-8"))


def columns_of(text):
    head, *rows = csv.reader(StringIO(text))
    texts = dict(zip(head, map(list, zip(*rows, strict=True)), strict=True))
    return {
        name: cells if name == "experts" or "" in cells else np.array(cells, np.float64)
        for name, cells in texts.items()
    }


@pytest.mark.parametrize("windows", [1, 4])
def test_the_figures_are_those_of_json_and_of_the_placement(windows):
    part = ("--windows", f":{windows}")
    columns = table_of("loads.npy", *ON_CLUSTER, *part, "-o", "placement.json")
    figures = json.loads(equipoise("plan", "loads.npy", *ON_CLUSTER, *part, "--json").stdout)
    assert list(columns) == OF_LAYER + OF_GPU
    assert columns["layer"].tolist() == np.repeat(range(3), 4).tolist()
    assert columns["GPU"].tolist() == [0, 1, 2, 3] * 3
    assert columns["node"].tolist() == [0, 0, 1, 1] * 3
    names = {"PAR before": "par_before", "PAR after": "par", "bound": "bound", "gap": "gap", "moves": "moves"}
    for column, name in names.items():
        assert columns[column].tolist() == np.repeat(figures["by_layer"][name], 4).tolist()
    assert columns["moves to it"].reshape(3, 4).sum(axis=1).tolist() == figures["by_layer"]["moves"]
    by_gpu = read_placement("placement.json").by_gpu.reshape(12, 6)
    assert [[int(expert) for expert in experts.split()] for experts in columns["experts"]] == by_gpu.tolist()
    total = columns["load after"].reshape(3, 4).sum(axis=1)
    np.testing.assert_allclose(columns["load before"].reshape(3, 4).sum(axis=1), total)
    if windows == 1:
        np.testing.assert_allclose(total, COUNTS[0].sum(axis=1))
        for when in ("before", "after"):
            load = columns[f"load {when}"].reshape(3, 4)
            np.testing.assert_allclose(load.max(axis=1) / load.mean(axis=1), columns[f"PAR {when}"][::4])


def test_gpus_that_are_new_or_dead_have_rows_and_those_that_leave_have_none():
    current = plan(COUNTS[0], Cluster(gpus=5, slots_per_gpu=4)).placement
    write_placement(current, "current.json")
    more = table_of("loads.npy", "--current", "current.json", "--gpus", 6, "--slots", 24, "--dead", "2")
    assert more["GPU"].tolist() == [0, 1, 2, 3, 4, 5] * 3
    assert (more["load before"].reshape(3, 6)[:, 5] == 0).all()
    assert (more["load after"].reshape(3, 6)[:, 2] == 0).all()
    assert [experts == "" for experts in more["experts"]] == [False, False, True, False, False, False] * 3
    assert (more["moves to it"].reshape(3, 6)[:, 5] == 4).all()
    less = table_of("loads.npy", "--current", "current.json", "--gpus", 4, "--slots", 16)
    assert less["GPU"].tolist() == [0, 1, 2, 3] * 3


def test_moves_to_a_gpu_are_what_a_migration_brings_it():
    current = Placement.default(CLUSTER, experts=16, layers=3)
    columns = table_of("loads.npy", *ON_CLUSTER, "-o", "placement.json")
    migration = Migration(current, read_placement("placement.json"))
    arrive = migration.source != migration.gpu
    moved = np.zeros((3, 4))
    np.add.at(moved, (migration.layer[arrive], migration.gpu[arrive]), 1)
    assert columns["moves to it"].reshape(3, 4).tolist() == moved.tolist()


def test_groups_and_times_have_columns_named_as_on_the_page():
    costs = ("--gpu", "H100", "--model", "config.json", "--tokens", "16,4096")
    config = {"num_experts": 16, "num_experts_per_tok": 2, "hidden_size": 1024, "moe_intermediate_size": 512}
    Path("config.json").write_text(json.dumps(config | {"num_hidden_layers": 4, "first_k_dense_replace": 1}))
    columns = table_of("loads.npy", *ON_CLUSTER, "--groups", 4, *costs, "--report", "page.html")
    names = ["served off its node"]
    names += [f"microseconds {when}, {tokens} tokens" for tokens in ("16", "4,096") for when in ("before", "after")]
    assert list(columns) == OF_LAYER + names + OF_GPU
    page = " ".join(Path("page.html").read_text(encoding="utf-8").split())
    assert "".join(f'<th scope="col">{name}</th>' for name in ["layer", *OF_LAYER[2:], *names]) in page
    assert columns["decoder layer"].tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_the_numbers_of_the_layers_are_those_of_the_placement_that_is_written():
    assert set(table_of("loads.npy", *ON_CLUSTER)["decoder layer"]) == {""}
    for option, numbers in ((("--first-moe-layer", 3), [3, 4, 5]), (("--moe-layers", "1,3,5"), [1, 3, 5])):
        columns = table_of("loads.npy", *ON_CLUSTER, *option)
        assert columns["decoder layer"].tolist() == np.repeat(numbers, 4).tolist()


def test_on_standard_output_there_is_nothing_else():
    written = table_of("loads.npy", *ON_CLUSTER)
    printed = columns_of(equipoise("plan", "loads.npy", *ON_CLUSTER, "--csv", "-", "-o", "a.json").stdout)
    assert printed.keys() == written.keys()
    assert printed["experts"] == written["experts"]
    assert read_placement("a.json").layers == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--csv", "table.xlsx"), "--csv: table.xlsx does not end in .csv"),
        (("--csv", "current.csv", "--cost", "current.csv"), "--csv: the table would replace the cost"),
        (("-o", "a.csv", "--csv", "a.csv", "--to", "equipoise"), "--csv: the table would replace the placement"),
        (("--csv", "-", "--json"), "--json: the table is on standard output; write it to a file"),
        (("-o", "-", "--csv", "-"), "--csv: the placement is on standard output; write it to a file"),
        (("--csv", "-", "--report", "-"), "--report: the table is on standard output; write it to a file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_planned(arguments, message, monkeypatch):
    monkeypatch.setattr("equipoise.planner.plan", lambda *_, **__: pytest.fail("planned"))
    result = equipoise("plan", "loads.npy", *ON_CLUSTER, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_plan_that_fails_leaves_the_table_that_was_there():
    Path("table.csv").write_text("before")
    assert equipoise("plan", "loads.npy", "--gpus", 4, "--redundant", 3, "--csv", "table.csv").exit_code == 1
    assert Path("table.csv").read_text() == "before"
