"""The benchmark of the plug-in judges both policies by vLLM's own call and schedule."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks.cases import Case
from benchmarks.engines import LIMITS, call, called_of, import_vllm
from benchmarks.report import engines_json, engines_table, show
from equipoise import Cluster, InputError, Placement
from equipoise.migration.migration import count_moves

pytest.importorskip("torch")
TINY = Case("tiny", 1, slots=24, gpus=8)


@pytest.fixture
def tiny_loads(tmp_path):
    """Three layers whose loads change from window 0 to window 1."""
    counts = np.random.default_rng(0).lognormal(5, 1, (2, 3, 16)).astype(np.int64)
    np.savez(tmp_path / "tiny.npz", counts=counts)
    return tmp_path


def test_moves_are_those_that_vllm_schedules(vllm_state, tiny_loads, capsys):
    vllm, *ours = found = call(TINY, tiny_loads, rounds=1)
    assert vllm.result.planner == "vLLM"
    assert len(ours) == len(LIMITS)
    free, *limited = ours
    assert free.result.par_mean <= vllm.result.par_mean
    assert [one.moves for one in limited] == [7, 3, 1]
    assert all(one.moved == pytest.approx(one.moves / 72) for one in found)
    show(engines_table([(TINY, found)]))
    assert "equipoise 10%" in capsys.readouterr().out
    [told] = json.loads(engines_json([(TINY, found)]))
    assert [one["moves"] for one in told["planners"]] == [one.moves for one in found]


def test_vllms_schedule_counts_moves_as_we_do(vllm_state):
    from vllm.distributed.eplb.migration_scheduler import schedule_migration_batches

    cluster = Cluster(gpus=4, slots_per_gpu=3)
    random = np.random.default_rng(0)
    for _ in range(50):
        before, after = (np.concatenate([random.permutation(8), random.integers(8, size=4)]) for _ in range(2))
        batches = schedule_migration_batches(3, before, after)
        moves = sum(len(flow.expert_ids) for batch in batches for flow in batch)
        assert moves == count_moves(*(Placement(slots[None], cluster, experts=8) for slots in (before, after))).sum()


def test_without_recorded_loads_the_sample_stands_in():
    assert {case.loads for case in called_of(None)} == {"sample"}


def test_a_folder_without_vllm_is_refused(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("benchmarks.engines.import_module", missing)
    monkeypatch.setattr("sys.path", sys.path[:])
    with pytest.raises(InputError, match=r"(?s)No module named 'vllm\.distributed.*benchmarks/engines\.txt"):
        import_vllm(tmp_path)
