from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Placement, write_placement
from equipoise.cli import app
from tests.formats.samples import PLACEMENT, placement_sample


def show(*arguments):
    return CliRunner().invoke(app, ["show", *(str(argument) for argument in arguments)])


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def loads(tmp_path):
    counts = np.ones((20, 3, 4), dtype=int)
    counts[:, 2, 1] = 5
    counts[:, 0, 3] = 0
    path = tmp_path / "loads.npz"
    np.savez(path, counts=counts)
    return path


@pytest.fixture
def placement(tmp_path):
    path = tmp_path / "placement.json"
    rows = [[0, 1, 2, 0, 1, 2, 0, 3], [0, 1, 2, 3, 0, 1, 2, 3]]
    write_placement(Placement(rows, Cluster(gpus=4, nodes=2, slots_per_gpu=2), experts=4), path)
    return path


def test_loads_by_figures(loads):
    figures = json.loads(show(loads, "--json").stdout)
    assert (figures["kind"], figures["windows"], figures["layers"], figures["experts"]) == ("loads", 20, 3, 4)
    assert (figures["load"], figures["load_by_layer"]) == (300, [60, 80, 160])
    np.testing.assert_allclose(figures["skew_by_layer"], [4 / 3, 1, 2.5])
    assert figures["most_skewed_layers"] == [2, 0, 1]
    assert figures["hottest_experts"][0] == {"layer": 2, "expert": 1, "load": 100, "times_mean": 2.5}
    assert [window["load"] for window in figures["by_window"]] == [15] * 20


def test_loads_by_table(loads):
    result = show(loads)
    assert result.exit_code == 0
    assert "20 windows x 3 layers x 4 experts" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["load", "60", "80", "160"] in lines
    assert ["layer", "2", "1", "100", "2.50"] in lines
    assert "... and 4 more" in result.stdout


def test_idle_loads_have_no_skew(tmp_path):
    path = tmp_path / "loads.json"
    path.write_text("[[0, 0], [0, 0]]")
    assert show(path).exit_code == 0
    assert json.loads(show(path, "--json").stdout)["skew_by_layer"] == [1, 1]


def test_a_placement_by_figures(placement):
    figures = json.loads(show(placement, "--json").stdout)
    assert (figures["kind"], figures["valid"], figures["duplicates"]) == ("placement", True, [0, 0])
    assert figures["cluster"] == {"gpus": 4, "nodes": 2, "slots_per_gpu": 2, "dead": []}
    assert figures["experts_with_copies"] == [3, 4]
    assert figures["most_copies"] == {"copies": 3, "layer": 0, "expert": 0}


def test_a_placement_by_table_whatever_its_name(placement):
    renamed = placement.rename(placement.with_suffix(".txt"))
    result = show(renamed)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"placement {renamed}\n")
    assert "3, of expert 0 in layer 0" in result.stdout
    assert "3.5 in a layer, 3 to 4" in result.stdout


def test_an_invalid_placement_ends_with_1_and_what_is_wrong(placement):
    placement.write_text(placement.read_text().replace("[0,1,2,3,0,1,2,3]", "[0,0,2,3,0,1,2,3]"))
    result = show(placement)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {placement}: layer 1, GPU 0 holds expert 0 twice; expected different experts\n"


def test_a_truncated_placement_is_refused_as_one(placement):
    placement.write_text(placement.read_text()[:-20])
    result = show(placement)
    assert result.exit_code == 1
    assert "not JSON: line" in result.stderr


def test_the_figures_of_recorded_loads(real_loads):
    figures = json.loads(show(real_loads / "deepseek_v3_sglang_ep.npz", "--json").stdout)
    facts = json.loads((real_loads / "deepseek_v3_sglang_ep.json").read_text())
    assert np.median(figures["skew_by_layer"]) == pytest.approx(facts["skew_aggregate_median"], abs=1e-3)
    assert max(figures["skew_by_layer"]) == pytest.approx(facts["skew_aggregate_max"], abs=1e-3)
    assert figures["load"] == facts["total_selections"]


def test_a_placement_of_an_engine_with_an_expert_twice_on_a_gpu(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"physical_to_logical_map": [[0, 0, 1, 2], [0, 1, 2, 0]]}')
    figures = json.loads(show(path, "--gpus", 2, "--json").stdout)
    assert (figures["valid"], figures["duplicates"]) == (False, [1, 0])
    assert figures["fault"] == "layer 0, GPU 0 holds expert 0 twice; expected different experts"
    assert "no: layer 0, GPU 0 holds expert 0 twice" in show(path, "--gpus", 2).stdout
    result = show(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "say how many GPUs there are (--gpus)" in result.stderr


def test_dense_layers_of_an_engines_placement_are_passed_over_if_they_are_said(tmp_path):
    path = placement_sample("sglang", tmp_path)  # of a model whose layer 0 is dense
    with_it, without = (
        json.loads(show(path, "--gpus", 4, *first, "--json").stdout) for first in ((), ("--first-moe-layer", 1))
    )
    assert (with_it["layers"], without["layers"]) == (3, 2)
    assert without["experts_with_copies"] == (PLACEMENT.logcnt > 1).sum(axis=1).tolist()


def test_a_format_that_is_forced_says_whether_it_is_loads(tmp_path):
    path = tmp_path / "pattern.npy"
    np.save(path, np.array([[[1, 1, 0]], [[1, 0, 1]]]))
    assert json.loads(show(path, "--json").stdout)["kind"] == "placement"
    assert json.loads(show(path, "--from", "numpy", "--json").stdout)["kind"] == "loads"
    result = show(path, "--from", "excel")
    assert result.exit_code == 2
    assert "is no format" in result.stderr


def test_a_placement_is_served_loads_and_its_par_is_that_of_the_plan_and_of_diff(tmp_path):
    np.save(tmp_path / "loads.npy", np.random.default_rng(0).integers(1, 99, (3, 2, 8)))
    placement, loads = tmp_path / "plan.json", tmp_path / "loads.npy"
    planned = run("plan", loads, "--gpus", 4, "--redundant", 4, "-o", placement, "--first-moe-layer", 3, "--json")
    shown = run("show", placement, "--loads", loads)
    par = json.loads(run("show", placement, "--loads", loads, "--json").stdout)["par"]
    assert par["mean"] == pytest.approx(np.mean(par["by_layer"]))
    assert par["mean"] == json.loads(planned.stdout)["par_of_recorded"]
    assert par == json.loads(run("diff", placement, placement, "--loads", loads, "--json").stdout)["par"]["new"]
    assert [line.split()[:2] for line in shown.stdout.splitlines() if line[:1].isdigit()] == [
        [str(layer), f"{mean:.4f}"] for layer, mean in zip((3, 4), par["by_layer"], strict=True)
    ]
    assert f"PAR {par['mean']:.4f}, mean over windows" in shown.stdout
    assert run("show", loads, "--loads", loads).exit_code == 2
