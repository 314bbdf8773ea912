from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import write_placement
from equipoise.cli import app
from equipoise.formats import Deployment, read_loads, read_placement
from equipoise.formats.registry import LOADS, LOADS_WRITTEN, PLACEMENTS
from tests.formats.samples import COUNTS, PLACEMENT, loads_sample, placement_sample

pytest.importorskip("torch")


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("source", LOADS)
@pytest.mark.parametrize("target", LOADS_WRITTEN)
def test_loads_of_every_format_to_every_other(tmp_path, source, target):
    output = tmp_path / f"out{LOADS[target].written[0]}"
    result = equipoise("convert", loads_sample(source, tmp_path), output)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{output}: 3 windows x 2 layers x 6 experts, in the format {target}\n"
    np.testing.assert_array_equal(read_loads(output).counts, COUNTS)


@pytest.mark.parametrize("source", PLACEMENTS)
@pytest.mark.parametrize("target", PLACEMENTS)
def test_placements_of_every_format_to_every_other(tmp_path, source, target):
    output = tmp_path / f"out{(*PLACEMENTS[target].written, '.json')[0]}"
    path = placement_sample(source, tmp_path)  # of which SGLang's has a dense layer
    result = equipoise("convert", path, output, "--to", target, "--gpus", 4, "--first-moe-layer", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    layers = "decoder layers 1 to 2" if PLACEMENTS[target].numbered else "2 layers"
    assert result.stdout == f"{output}: {PLACEMENTS[target].engine}, {layers}, 8 slots\n"
    read = read_placement(output, target, Deployment(gpus=4, first_moe_layer=1))
    np.testing.assert_array_equal(read.phy2log, PLACEMENT.phy2log)


def test_decoder_layers_are_counted_as_asked(tmp_path):
    write_placement(PLACEMENT, tmp_path / "own.json")
    options = ("--to", "sglang", "--first-moe-layer", 3, "--num-layers", 6)
    assert equipoise("convert", tmp_path / "own.json", tmp_path / "map.json", *options).exit_code == 0
    rows = json.loads((tmp_path / "map.json").read_text())["physical_to_logical_map"]
    assert len(rows) == 6
    assert rows[3:5] == PLACEMENT.phy2log.tolist()


def test_layers_with_experts_need_not_follow_on_each_other(tmp_path):
    write_placement(PLACEMENT, tmp_path / "own.json")
    options = ("--to", "sglang", "--moe-layers", "1,3", "--num-layers", 5)
    result = equipoise("convert", tmp_path / "own.json", tmp_path / "map.json", *options)
    assert result.stdout.endswith("map.json: SGLang, decoder layers every 2nd from 1 to 3, 8 slots\n")
    rows = json.loads((tmp_path / "map.json").read_text())["physical_to_logical_map"]
    assert rows[1::2] == PLACEMENT.phy2log.tolist()
    options = ("--gpus", 4, "--moe-layers", "1,3")
    equipoise("convert", tmp_path / "map.json", tmp_path / "again.yaml", *options)
    again = read_placement(tmp_path / "again.yaml", deployment=Deployment(gpus=4))
    assert again.decoder_layers == (1, 3)
    np.testing.assert_array_equal(again.phy2log, PLACEMENT.phy2log)


def test_numbers_of_layers_go_through_all_files_of_loads(tmp_path):
    np.save(tmp_path / "loads.npy", COUNTS)
    equipoise("convert", tmp_path / "loads.npy", tmp_path / "a.npz", "--first-moe-layer", 3)
    equipoise("convert", tmp_path / "a.npz", tmp_path / "b.csv")
    equipoise("convert", tmp_path / "b.csv", tmp_path / "c.parquet")
    for name in ("a.npz", "b.csv", "c.parquet"):
        assert read_loads(tmp_path / name).decoder_layers == (3, 4)
    assert "decoder layers 3 to 4" in equipoise("show", tmp_path / "b.csv").stdout


def test_nodes_are_those_that_are_said(tmp_path):
    path = placement_sample("sglang", tmp_path)
    output = tmp_path / "own.json"
    equipoise("convert", path, output, "--gpus", 4, "--nodes", 2, "--first-moe-layer", 1)
    assert read_placement(output).cluster.nodes == 2


def test_a_format_that_is_forced_says_what_the_file_is(tmp_path):
    pattern = placement_sample("omni-infer", tmp_path)
    output = tmp_path / "loads.csv"
    for not_forced in ((), ("--to", "csv")):
        assert equipoise("convert", pattern, output, *not_forced).exit_code == 1
    assert "4 windows x 2 layers x 6 experts" in equipoise("convert", pattern, output, "--from", "numpy").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("own.json", "own.json"), 2, "would replace what is read"),
        (("own.json", "x.json", "--to", "excel"), 2, "'excel' is no format"),
        (("own.json", "x.csv"), 1, "x.csv: such files hold loads, not a placement"),
        (("own.json", "x.yaml", "--to", "sglang"), 1, "x.yaml: sglang takes files that end in .json"),
        (("own.json", "x.csv", "--to", "csv"), 1, "own.json: is a placement, in the format equipoise, not loads"),
        (("own.json", "missing/x.json"), 1, "there is no folder"),
        (("missing.json", "x.json"), 1, "missing.json: No such file"),
        (
            ("own.json", "x.json", "--to", "sglang", "--num-layers", "1"),
            1,
            "x.json: 2 layers from layer 0 on do not fit",
        ),
        (("own.json", "x.yaml", "--moe-layers", "3"), 1, "are 1, from 3 to 3, and there are 2 here"),
        (("own.json", "x.yaml", "--moe-layers", "3,1"), 2, "'3,1' names no layers"),
        (
            ("own.json", "x.yaml", "--moe-layers", "1,3", "--first-moe-layer", "1"),
            1,
            "say --moe-layers or --first-moe-layer, not both",
        ),
        (("loads.npy", "x.npz", "--gpus", "4"), 2, "these are loads, which are of no cluster"),
        (("own.json", "x.yaml", "--gpus", "8"), 2, "the placement has 4"),
        (("map.json", "x.yaml"), 1, "map.json: lists 8 slots but not which GPU they are on"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing(tmp_path, monkeypatch, arguments, code, message):
    placement_sample("sglang", tmp_path).rename(tmp_path / "map.json")
    np.save(tmp_path / "loads.npy", COUNTS)
    write_placement(PLACEMENT, tmp_path / "own.json")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    result = equipoise("convert", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert sorted(tmp_path.iterdir()) == before
