"""Several files of loads, from a pipe too, and the part of them that is read, by every command that reads loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli import app

COUNTS = np.random.default_rng(0).integers(1, 99, (6, 2, 8))
COMMAND = [sys.executable, "-c", "from equipoise.cli import app; app()"]


def equipoise(*arguments, **options):
    return CliRunner().invoke(app, list(map(str, arguments)), **options)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{name}.npy" for name in ("morning", "noon")]
    for path, counts in zip(paths, np.split(COUNTS, 2), strict=True):
        np.save(path, counts)
    return paths


def shown(*arguments, **options):
    result = equipoise("show", *arguments, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_several_files_are_shown_as_windows_with_their_names(files):
    found = shown(*files)
    assert found["file"] == ", ".join(map(str, files))
    assert [window["load"] for window in found["by_window"]] == COUNTS.sum(axis=(1, 2)).tolist()
    assert [window["label"] for window in found["by_window"]][2:4] == ["morning 2", "noon 0"]
    assert "noon 2" in equipoise("show", *files).stdout


def test_windows_and_experts_say_which_part_is_shown(files):
    found = shown(*files, "--windows", "2:4", "--experts", 5)
    assert (found["windows"], found["experts"], found["load"]) == (2, 5, COUNTS[2:4, :, :5].sum())
    assert (shown(*files, "--windows", "4:")["windows"], shown(*files, "--windows", ":1")["windows"]) == (2, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "FILES", "--gpus", 4),
        ("simulate", "FILES", "--gpus", 4, "--window", 2),
        ("convert", "FILES", "out.npz"),
        ("routing", "placement.json", "FILES"),
        ("diff", "placement.json", "placement.json", "--loads", "FILES"),
    ],
)
def test_every_command_reads_the_same_part(files, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    np.savez("part.npz", counts=COUNTS[1:5, :, :4])
    assert equipoise("plan", "part.npz", "--gpus", 4, "-o", "placement.json").exit_code == 0
    expanded = []
    for argument in arguments:
        between = ["--loads"] if "--loads" in arguments else []
        expanded += [files[0], *between, files[1]] if argument == "FILES" else [argument]
    result = equipoise(*expanded, "--windows", "1:5", "--experts", 4)
    whole = equipoise(*["part.npz" if one == "FILES" else one for one in arguments])
    assert result.exit_code == whole.exit_code == 0, result.output
    if arguments[0] == "convert":
        assert "4 windows x 2 layers x 4 experts" in result.stdout


def test_a_plan_of_several_files_names_them(files, tmp_path):
    result = equipoise("plan", *files, "--gpus", 4, "--json")
    assert json.loads(result.stdout)["loads"] == ", ".join(map(str, files))
    assert equipoise("plan", *files, "--gpus", 4, "-o", files[1]).exit_code == 2


@pytest.mark.parametrize("text", ["7", "2:2", "3:1", ":", "a:b", "-1:2", "1:2:3"])
def test_what_names_no_windows_is_refused(files, text):
    result = equipoise("show", *files, f"--windows={text}")
    assert result.exit_code == 2
    assert "names no windows" in result.stderr


def test_what_leaves_nothing_is_refused_with_the_option_as_it_is_typed(files):
    assert "no window is left of 6 by --windows" in equipoise("show", *files, "--windows", "6:9").stderr
    assert "expected 9 at least (--experts)" in equipoise("show", *files, "--experts", 9).stderr
    for option in (("--windows", "1:"), ("--experts", "8")):
        assert "say which recorded loads" in equipoise("plan", *option).stderr


def test_two_placements_cannot_be_shown_or_converted_at_once(files):
    for command in (("show", *files), ("convert", *files, files[0].with_name("x.json"))):
        assert "say one placement" in equipoise(*command, "--from", "sglang").stderr


def test_standard_input_is_shown(files):
    assert shown("-", input=json.dumps(COUNTS.tolist()).encode())["windows"] == 6


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no process substitution")  # noqa: PTH110
def test_what_the_shell_substitutes_is_shown(files):
    line = f'exec "$@" show <(cat {files[0]}) --json'
    ran = subprocess.run(["bash", "-c", line, "bash", *COMMAND], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["load"] == COUNTS[:3].sum()
