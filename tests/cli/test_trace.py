from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import read_loads, synthetic_trace
from equipoise.cli import app

SMALL = ("--windows", 4, "--layers", 2, "--experts", 8)


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_file_holds_the_trace_and_one_line_says_that_it_is_synthetic(tmp_path):
    path = tmp_path / "trace.npz"
    result = equipoise("trace", "slow", path, *SMALL, "--selections", 900, "--seed", 7)
    expected = synthetic_trace("slow", windows=4, layers=2, experts=8, selections=900, seed=7)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"{path}: 4 windows x 2 layers x 8 experts, a synthetic trace (slow); nothing of it was recorded\n"
    )
    np.testing.assert_array_equal(read_loads(path).counts, expected.counts)
    with np.load(path) as archive:
        assert archive["counts"].dtype == np.int64


@pytest.mark.parametrize("regime", ["steady", "slow", "fast", "noise", "change"])
def test_show_reads_what_trace_writes_without_options(tmp_path, regime):
    path = tmp_path / "trace.npz"
    assert equipoise("trace", regime, path).exit_code == 0
    figures = json.loads(equipoise("show", path, "--json").stdout)
    assert (figures["windows"], figures["layers"], figures["experts"]) == (100, 8, 256)
    assert figures["load"] == synthetic_trace(regime).counts.sum()


def test_the_same_command_writes_the_same_bytes(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    for path in (first, second):
        equipoise("trace", "noise", path, *SMALL)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("step", [(os, "fsync"), (Path, "replace")])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "trace.npz"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*step, fail)
    result = equipoise("trace", "steady", path, *SMALL)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {path}: No space left on device\n"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", 2**32], "seed is 4294967296; expected a whole number from 0 to 4294967295"),
        (["--selections", 10**13], "selections is 10000000000000; expected a whole number from 1 to 1000000000000"),
        (["--windows", 10**30], f"{10**30} windows x 8 layers x 256 experts are"),
    ],
)
def test_bad_input_ends_with_1_and_one_line_and_writes_nothing(tmp_path, arguments, message):
    result = equipoise("trace", "steady", tmp_path / "trace.npz", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "missing" / "trace.npz"
    result = equipoise("trace", "steady", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {path}: there is no folder {path.parent}; create it first\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calm", "trace.npz"], "'calm' is not one of 'steady', 'slow', 'fast', 'noise', 'change'"),
        (["steady", "trace.csv"], "trace.csv does not end in .npz"),
        (["steady", "trace.npz", "--windows", "0"], "--windows"),
        (["steady"], "OUT.npz"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    result = equipoise("trace", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())
