"""What users wait for is timed for every version in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.beside import COMMAND, WAITS, Wait, time_waits
from benchmarks.report import beside_json, beside_table, show
from equipoise import Cluster, InputError, plan, sample_loads

ROOT = Path(__file__).parents[2]


def test_every_version_is_timed_for_the_same_thing(capsys):
    this, other = found = time_waits(ROOT, rounds=1, waits=(Wait("the sample", COMMAND),))
    planned = plan(sample_loads(), Cluster(gpus=32, nodes=4, slots_per_gpu=9))
    assert this.par == other.par == pytest.approx(planned.par.mean())
    assert (this.wait, this.version, other.version, this.times_this) == ("the sample", "this", str(ROOT), 1)
    assert other.times_this == pytest.approx(other.ms / this.ms)
    show(beside_table(found))
    table = capsys.readouterr().out
    for one in json.loads(beside_json(found)):
        assert f"{one['ms']:.0f}" in table
        assert f"{one['times_this']:.2f}" in table


@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.name)
def test_programs_are_python(wait):
    compile(wait.program, wait.name, "exec")


def test_another_version_is_looked_for_before_anything_is_timed(tmp_path):
    with pytest.raises(InputError, match="has no src/equipoise; expected a checkout"):
        time_waits(tmp_path, rounds=1)
