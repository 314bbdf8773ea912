"""``plan`` and ``diff`` with the files of engines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.formats import Deployment, read_placement, write_placement
from equipoise.formats.registry import PLACEMENTS
from tests.formats.engines import sglang_slots
from tests.formats.samples import COUNTS, PLACEMENT, loads_sample

pytest.importorskip("yaml")
CLUSTER = ("--gpus", 4, "--nodes", 2, "--redundant", 2)


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def loads(tmp_path):
    path = tmp_path / "loads.npy"
    np.save(path, COUNTS)
    return path


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_plan_is_written_for_an_engine(tmp_path, loads, name):
    own, output = tmp_path / "own.json", tmp_path / f"out{(*PLACEMENTS[name].written, '.json')[0]}"
    known = PLACEMENTS[name]
    layers = ("--first-moe-layer", 3) * known.numbered + ("--num-layers", 5) * known.padded
    assert equipoise("plan", loads, *CLUSTER, "-o", own).exit_code == 0
    result = equipoise("plan", loads, *CLUSTER, "-o", output, "--to", name, *layers)
    assert (result.exit_code, result.stderr) == (0, "")
    deployment = Deployment(4, 2, first_moe_layer=3, num_layers=5)
    expected, read = read_placement(own), read_placement(output, name, deployment)
    assert read.cluster == expected.cluster
    np.testing.assert_array_equal(read.held, expected.held)
    if name == "sglang":
        assert sglang_slots(output, 3) == expected.phy2log[0].tolist()


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_placement_of_an_engine_is_planned_from_and_compared_with(tmp_path, loads, name):
    current = tmp_path / f"live{(*PLACEMENTS[name].written, '.json')[0]}"
    write_placement(PLACEMENT, current, name, Deployment(first_moe_layer=1))
    known = ("--gpus", 4, "--nodes", 2, "--first-moe-layer", 1)
    result = equipoise(
        "plan", loads, "--current", current, *known, "--max-moves", 3, "-o", tmp_path / "new.json", "--json"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    moves = json.loads(result.stdout)["moves"]
    assert 0 < moves <= 3
    known = (*known[:2], *known[4:])  # diff needs no nodes
    assert json.loads(equipoise("diff", current, tmp_path / "new.json", *known, "--json").stdout)["moves"] == moves


def test_loads_of_an_engine_are_planned_for(tmp_path):
    pytest.importorskip("torch")
    folder = loads_sample("sglang-passes", tmp_path)
    for asked in ((), ("--from", "sglang-passes")):
        result = equipoise("plan", folder, *asked, *CLUSTER, "--json")
        assert json.loads(result.stdout)["windows"] == 3
    assert equipoise("plan", folder, "--from", "csv", *CLUSTER).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--to", "sglang"), 2, "say which file to write with --output"),
        (("--to", "sglang", "-o", "x.yaml"), 1, "x.yaml: sglang takes files that end in .json"),
        (("--to", "numpy", "-o", "x.npz"), 1, "x.npz: format is 'numpy'; expected 'equipoise', 'sglang'"),
        (("-o", "x.csv"), 1, "x.csv: such files hold loads, not a placement"),
        (("--first-moe-layer", 3), 2, "no file is written that has the layers' numbers"),
        (
            ("--to", "vllm-ascend", "-o", "x.json", "--moe-layers", "1,3"),
            2,
            "vllm-ascend do not have the layers' numbers",
        ),
        (("--num-layers", 5, "-o", "x.json"), 2, "files for equipoise have the layers with experts alone"),
        (("--dead", 3, "-o", "x.yaml"), 1, "x.yaml: layer 0, GPU 3, slot 6 is empty; TensorRT-LLM takes"),
        (("--num-layers", 1, "-o", "x.yaml"), 1, "2 layers from layer 0 on do not fit into 1 decoder layers"),
    ],
)
def test_what_an_engine_would_refuse_is_refused(tmp_path, monkeypatch, loads, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    result = equipoise("plan", loads, "--gpus", 4, "--redundant", 2, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert sorted(tmp_path.iterdir()) == [loads]


@pytest.mark.parametrize("name", PLACEMENTS)
def test_a_plan_of_recorded_loads_for_an_engine(tmp_path, real_loads, name):
    recording = real_loads / "deepseek_v3_sglang_ep.npz"
    output = tmp_path / f"out{(*PLACEMENTS[name].written, '.json')[0]}"
    known = ("--gpus", 32, "--nodes", 4)
    layers = ("--model", "deepseek-v3", "--groups", 1)
    result = equipoise("plan", recording, *known, *layers, "--redundant", 32, "-o", output, "--to", name)
    assert (result.exit_code, result.stderr) == (0, "")
    known += ("--first-moe-layer", 3)
    again = equipoise("plan", recording, *known, "--current", output, "--max-moves", 0, "--json")
    assert json.loads(again.stdout)["moves"] == 0
