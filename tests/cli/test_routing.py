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
        served = balance(PLACEMENT, LOADS, routing=name, batch=None if name == "filled" else batch)
        by_layer = served.par.mean(axis=0)
        assert found == {"mean": served.mean_par, "worst": served.par.max(), "by_layer": by_layer.tolist(), "times": []}
    peaks = [least_peak_split(PLACEMENT, window).peak / (window.sum(axis=1) / 3) for window in LOADS]
    np.testing.assert_allclose(figures["routings"]["filled"]["by_layer"], np.mean(peaks, axis=0))
    assert figures["output"] is None


def test_the_par_of_an_even_split_is_that_of_show(files):
    shown = CliRunner().invoke(app, ["show", str(files[0]), "--loads", str(files[1]), "--json"])
    even = json.loads(routing(*files, "--json").stdout)["routings"]["even"]
    assert {name: json.loads(shown.stdout)["par"][name] for name in ("mean", "worst", "by_layer")} == {
        name: even[name] for name in ("mean", "worst", "by_layer")
    }


def test_the_table_and_the_split(files, tmp_path):
    output = tmp_path / "split.npz"
    result = routing(*files, "-o", output)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines if len(line) == 3 and line[1][0].isdigit()] == list(get_args(Routing))
    assert "2 windows x 2 layers x 3 experts" in result.stdout
    assert "PAR is the mean over windows and layers" in result.stdout
    assert result.stdout.endswith(f"{output}: best split, of all windows added up\n")
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
        assert (
            found["in_batches"]["by_layer"]
            == balance(PLACEMENT, LOADS, routing=name, batch=64, picks=128).par_of_layers.tolist()
        )
    printed = routing(*files, "--batch", 64, "--top-k", 2).stdout
    assert "of 128 picks" in printed
    assert "of 128 picks" not in routing(*files, "--batch", 64).stdout


def test_of_many_windows_batches_are_drawn_from_some(files):
    many = np.random.default_rng(0).integers(1, 100, (40, 2, 3))
    np.save(files[1], many)
    asked = ("--batch", 64, "--top-k", 2)
    figures = json.loads(routing(*files, *asked, "--json").stdout)
    assert (figures["windows"], figures["windows_drawn"]) == (40, 16)
    even = figures["routings"]["even"]
    assert even["mean"] == balance(PLACEMENT, many).mean_par
    some = many[[window * 40 // 16 for window in range(16)]]
    assert even["in_batches"]["mean"] == balance(PLACEMENT, some, batch=64, picks=128).mean_par
    assert "Batches are drawn from 16 of the windows, evenly apart." in routing(*files, *asked).stdout
    assert "drawn from" not in routing(*files).stdout
