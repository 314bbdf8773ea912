from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, Placement, balance, least_peak_split, write_placement
from equipoise.cli import app
from equipoise.serving.slot_shares import Routing

PLACEMENT = Placement([[0, 1, 2, 0, 1, 0], [2, 1, 0, 2, 0, 1]], Cluster(gpus=3, slots_per_gpu=2), experts=3)
LOADS = np.array([[[90, 30, 10], [5, 6, 7]], [[10, 10, 10], [1, 2, 3]]])


def routing(*arguments):
    return CliRunner().invoke(app, ["routing", *(str(argument) for argument in arguments)])


@pytest.fixture
def files(tmp_path):
    write_placement(PLACEMENT, tmp_path / "placement.json")
    np.save(tmp_path / "loads.npy", LOADS)
    return tmp_path / "placement.json", tmp_path / "loads.npy"


@pytest.mark.parametrize("batch", [None, 1])
def test_the_figures_are_those_of_every_routing(files, batch):
    figures = json.loads(routing(*files, "--json", *(["--batch", batch] if batch else [])).stdout)
    assert (figures["windows"], figures["layers"], figures["experts"], figures["batch"]) == (2, 2, 3, batch)
    assert list(figures["routings"]) == list(get_args(Routing))
    for name, found in figures["routings"].items():
        par = balance(PLACEMENT, LOADS.sum(axis=0), routing=name, batch=None if name == "filled" else batch).par[0]
        assert found == {"mean": par.mean(), "worst": par.max(), "by_layer": par.tolist(), "times": []}
    peak = least_peak_split(PLACEMENT, LOADS).peak / (LOADS.sum(axis=(0, 2)) / 3)
    np.testing.assert_allclose(figures["routings"]["filled"]["by_layer"], peak)
    assert figures["output"] is None


def test_the_table_and_the_split(files, tmp_path):
    output = tmp_path / "split.npz"
    result = routing(*files, "-o", output)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines if len(line) == 3 and line[1][0].isdigit()] == list(get_args(Routing))
    assert "2 windows x 2 layers x 3 experts" in result.stdout
    assert result.stdout.endswith(f"{output}: best split\n")
    with np.load(output) as file:
        np.testing.assert_array_equal(file["shares"], least_peak_split(PLACEMENT, LOADS).shares)


def test_the_formats_of_both_files_may_be_said(files):
    figures = routing(*files, "--json").stdout
    assert routing(*files, "--from", "numpy", "--from", "equipoise", "--json").stdout == figures
    for name, file, message in (("csv", files[1], "not CSV: "), ("vllm-ascend", files[0], "the file: layer_list is ")):
        result = routing(*files, "--from", name)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: {file}: {message}")


def test_what_cannot_be_done_ends_with_1_before_the_work(files, tmp_path):
    result = routing(*files, "-o", tmp_path / "split.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("a split is not written to .csv files; use .npz or .pt\n")
    np.save(files[1], LOADS[:, :1])
    assert "expected the same" in routing(*files).stderr


def test_batches_are_drawn_where_the_picks_of_a_gpu_are_known(files):
    figures = json.loads(routing(*files, "--json", "--batch", 64, "--top-k", 2).stdout)
    assert figures["picks"] == 128
    for name, found in figures["routings"].items():
        par = balance(PLACEMENT, LOADS.sum(axis=0), routing=name, batch=64, picks=128).par[0]
        assert found["in_batches"]["by_layer"] == par.tolist()
    printed = routing(*files, "--batch", 64, "--top-k", 2).stdout
    assert "of 128 picks" in printed
    assert "of 128 picks" not in routing(*files, "--batch", 64).stdout
