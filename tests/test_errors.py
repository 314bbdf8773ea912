from __future__ import annotations

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Cluster, InputError, Placement, plan
from equipoise.cli import app
from equipoise.engines.settings import read_settings
from equipoise.errors import setting

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=3)
LOADS = [[float(load) + 3 for load in range(8)]]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")

# What is asked for, in Python and in the command; and what each of the two is told.
SAID = [
    (
        {"max_moves": 3},
        ["--max-moves", "3"],
        "max_moves and min_gain limit the moves from a current placement; expected current with them",
        "--max-moves and --min-gain limit the moves from a current placement; expected --current with them",
    ),
    (
        {"groups": 4, "locality": "none", "off_node": 0.05},
        ["--groups", "4", "--locality", "none", "--off-node", "5%"],
        "off_node is 0.05 but locality is 'none'; expected groups and locality='soft', or no off_node",
        "--off-node is 0.05 but --locality is 'none'; expected --groups and --locality soft, or no --off-node",
    ),
    (
        {"off_node": 0.05},
        ["--off-node", "5%"],
        "off_node is 0.05 but groups is 1; expected groups and locality='soft', or no off_node",
        "--off-node is 0.05 but --groups is 1; expected --groups and --locality soft, or no --off-node",
    ),
    (
        {"groups": 8, "cluster": Cluster(gpus=6, nodes=3, slots_per_gpu=3)},
        ["--groups", "8", "--gpus", "6", "--nodes", "3"],
        "8 groups do not divide over 3 nodes; use 2 nodes, or groups=1 to let experts live on any node",
        "8 groups do not divide over 3 nodes; use 2 nodes, or --groups 1 to let experts live on any node",
    ),
]


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "loads.npy"
    np.save(path, LOADS)
    return str(path)


@pytest.mark.parametrize(("asked", "options", "in_python", "in_command"), SAID)
def test_everybody_is_told_of_settings_as_they_typed_them(recording, asked, options, in_python, in_command):
    asked = {"cluster": CLUSTER} | asked
    with pytest.raises(InputError) as refused:
        plan(LOADS, **asked)
    assert str(refused.value) == in_python
    given = options if "--gpus" in options else ["--gpus", "4", "--nodes", "2", *options]
    said = CliRunner().invoke(app, ["plan", recording, "--slots", "18" if "6" in given else "12", *given])
    assert said.exit_code == 1
    assert said.stderr == f"error: {in_command}\n"


def test_groups_of_what_is_live_are_said_to_be_its(recording):
    live = plan(LOADS, CLUSTER, groups=4).placement
    with pytest.raises(InputError, match=r"^4 groups of the current placement do not divide over 3 nodes; "):
        plan(LOADS, Cluster(gpus=6, nodes=3, slots_per_gpu=3), current=live)


def test_variables_are_named_where_they_contradict_each_other():
    with pytest.raises(InputError) as refused:
        read_settings({"EQUIPOISE_LOCALITY": "strict", "EQUIPOISE_OFF_NODE": "5%"})
    assert str(refused.value) == (
        "EQUIPOISE_OFF_NODE is 0.05 but EQUIPOISE_LOCALITY is 'strict'; expected EQUIPOISE_GROUPS and "
        "EQUIPOISE_LOCALITY=soft, or no EQUIPOISE_OFF_NODE"
    )


@pytest.mark.parametrize(
    ("command", "option"),
    [(["show", "README"], "(--from)"), (["simulate", "--window", "99"], "(--window)"), (["plan", "x"], "--gpus")],
)
def test_commands_never_show_marks_or_parameters(tmp_path, monkeypatch, command, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README").write_text("nothing of the kind")
    said = CliRunner().invoke(app, command)
    assert option in said.stderr
    assert not CONTROL.search(said.stderr)


def test_a_file_in_front_changes_no_words():
    error = InputError("loads.npz: ", f"say {setting('format')}")
    assert str(error) == "loads.npz: say format"
    assert error.said(lambda name, _: f"<{name}>") == "loads.npz: say <format>"


def test_what_people_type_is_no_setting():
    with pytest.raises(InputError, match="locality is 'off_node=3'"):
        Placement([[0]], Cluster(gpus=1), 1, locality="off_node=3")
