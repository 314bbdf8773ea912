"""The benchmark judges every planner by the same rules, and knows a missed target."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.cases import CASES, Case, Target
from benchmarks.compare import Result, compare
from benchmarks.loads import cases_of, counts_of
from benchmarks.peers import VLLM, load_peers
from benchmarks.planner import Answer, Equipoise, Limits
from benchmarks.replanning import Replanned, replan
from benchmarks.replanning_cases import REPLANNINGS, Ask, Replanning, replannings_of
from benchmarks.report import replanning_json, replanning_table, show
from benchmarks.verdict import misses, replanning_misses
from equipoise import Cluster, InputError, Placement

if TYPE_CHECKING:
    from pathlib import Path

TINY = Case("tiny", None, slots=4, gpus=2, target=Target(par=1.2, times_vllm=2, ms=10))
COUNTS = np.array([[60, 30, 10]])
OURS = Result("equipoise default", 1.2, 1.2, bound=1.0, gap=0.2, duplicates=0, ms=1, times_vllm=2)
VLLM_RESULT = replace(OURS, planner="vLLM", bound=None, gap=None, times_vllm=1)


@dataclass
class Fixed:
    """A planner that always gives one answer and spoils the loads it was handed."""

    name: str
    phy2log: list[list[int]]

    def fresh(self, counts: np.ndarray) -> np.ndarray:
        return counts.copy()

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        loads[:] = 0
        return Answer(np.array(self.phy2log))


def test_all_planners_are_judged_alike_on_fresh_loads():
    even, duplicated = Fixed("vLLM", [[0, 1, 2, 0]]), Fixed("other", [[0, 0, 1, 2]])
    results = compare(TINY, COUNTS, [even, duplicated], rounds=2)
    assert [(result.par_mean, result.duplicates) for result in results] == [(1.2, 0), (1.2, 1)]
    assert results[0].times_vllm == 1


def test_sglangs_port_is_left_out_where_it_repeats_vllm():
    vllm, port = Fixed("vLLM", [[0, 1, 2, 0]]), Fixed("SGLang deepseek", [[0, 1, 2, 1]])
    assert len(compare(TINY, COUNTS, [vllm, replace(port, phy2log=vllm.phy2log)], rounds=1)) == 1
    assert len(compare(TINY, COUNTS, [vllm, port], rounds=1)) == 2


def test_equipoise_is_never_above_its_own_bound_in_gap():
    [result] = compare(TINY, COUNTS, [Equipoise("default")], rounds=1)
    assert result.gap is not None
    assert result.gap >= -1e-12


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"duplicates": 1}, ["duplicates"]),
        ({"par_mean": 1.21}, ["PAR > 1.2", "PAR > vLLM's"]),
        ({"times_vllm": 1.9}, ["ms > vLLM's / 2"]),
        ({"ms": 11}, ["ms > 10"]),
        ({"planner": "equipoise thorough", "times_vllm": 0.1}, []),
        ({"planner": "equipoise fast", "par_mean": 1.3}, []),
        ({"planner": "SGLang deepseek_vec", "duplicates": 9}, []),
    ],
)
def test_misses(changed, missed):
    result = replace(OURS, **changed)
    assert misses(TINY, result, [VLLM_RESULT, result]) == missed


def test_a_target_relative_to_the_bound():
    case = replace(TINY, target=Target(over_bound=1.1))
    assert misses(case, OURS, [OURS]) == ["PAR > bound x 1.1"]
    assert misses(case, replace(OURS, bound=1.1), [OURS]) == []


def test_every_case_divides_and_is_named_once():
    assert all(case.cluster.slots == case.slots for case in CASES)
    assert len(set(map(str, CASES))) == len(CASES)


def test_the_sample_stands_in_without_recorded_loads():
    cases = cases_of(None)
    assert cases
    assert all(case.target.par is None for case in cases)
    assert counts_of(cases[0], None).shape == (58, 256)


def test_every_case_has_its_recorded_loads(real_loads):
    shapes = [counts_of(case, real_loads).shape for case in CASES]
    assert all(experts <= case.slots for case, (_, experts) in zip(CASES, shapes, strict=True))


def test_missing_loads_and_peers_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"deepseek_v3_sglang_ep\.npz is missing"):
        counts_of(CASES[0], tmp_path)
    with pytest.raises(InputError, match="pip install --no-deps"):
        load_peers(tmp_path)


MOVED = Replanning(
    Case("tiny", 1, slots=9, gpus=3, dead=(2,)),
    asks=(Ask(Limits(max_moves=0.0)), Ask(target=Target(par=1.01, ms=1e6))),
    live="equipoise",
)
SOFT = Replanning(
    Case("tiny", 0, slots=6, gpus=2, groups=2, nodes=2),
    asks=(Ask(Limits(off_node=0.0)), Ask(Limits(locality="none"))),
)


@pytest.fixture
def tiny_loads(tmp_path: Path) -> Path:
    """Four experts, whose loads turn round from window 0 to window 1."""
    np.savez(tmp_path / "tiny.npz", counts=np.array([[[600, 210, 100, 90]], [[90, 100, 210, 600]]]))
    return tmp_path


def test_replanning_is_judged_by_what_moves_from_the_live_placement(tiny_loads):
    strictest, free = results = replan(MOVED, tiny_loads, beside_vllm=False, efforts=["default"], rounds=1)
    assert strictest.moved == strictest.required
    assert free.moved > strictest.moved
    assert free.result.par_mean < strictest.result.par_mean
    assert [(one.unplaced, one.off_node) for one in results] == [(0, None)] * 2
    assert [replanning_misses(MOVED, one, results) for one in results] == [[], []]


def test_soft_locality_is_judged_by_the_load_off_its_home_node(tiny_loads):
    strict, none = replan(SOFT, tiny_loads, beside_vllm=False, efforts=["default"], rounds=1)
    assert strict.off_node == 0
    assert none.off_node > 0
    assert strict.moved is None
    assert strict.required is None


def test_replanning_is_reported(tiny_loads, capsys):
    found = [(one, replan(one, tiny_loads, beside_vllm=False, efforts=["fast"], rounds=1)) for one in (MOVED, SOFT)]
    show(replanning_table(found))
    table = capsys.readouterr().out
    assert "tiny [1] 9/3 without GPU 2 from equipoise's [0]" in table
    assert "max_moves=0.0" in table
    [moved, _] = json.loads(replanning_json(found))
    assert [one["misses"] for one in moved["planners"]] == [[], []]


@pytest.mark.parametrize(
    ("limits", "changed", "missed"),
    [
        (Limits(max_moves=0.2), {"moved": 0.2}, []),
        (Limits(max_moves=0.2), {"moved": 0.3}, ["moved > max_moves"]),
        (Limits(max_moves=0.0), {"moved": 0.1, "required": 0.1}, []),
        (Limits(off_node=0.1), {"off_node": 0.11}, ["off node > off_node"]),
        (Limits(locality="soft"), {"off_node": 0.9}, []),
        (Limits(), {"unplaced": 2}, ["2 experts without a slot"]),
        (Limits(), {"result": replace(OURS, par_mean=1.4)}, ["PAR > 1.2", "PAR > within stricter limits"]),
        (Limits(), {"result": replace(VLLM_RESULT, par_mean=1.4), "ask": None}, []),
    ],
)
def test_replanning_misses(limits, changed, missed):
    stricter = Replanned(replace(OURS, par_mean=1.3), Ask(), unplaced=0, moved=0.0, required=0.0, off_node=0.0)
    one = replace(stricter, result=OURS, ask=Ask(limits, Target(par=1.2)))
    one = replace(one, **changed)
    assert replanning_misses(MOVED, one, [stricter, one]) == missed


def test_vllm_is_told_what_is_live_and_numbers_live_gpus_anew(monkeypatch):
    torch = pytest.importorskip("torch")
    told = []

    def rebalance_experts(*arguments: Any) -> Any:
        told.extend(arguments)
        return torch.tensor([[0, 1, 1, 0]])

    policy = SimpleNamespace(DefaultEplbPolicy=SimpleNamespace(rebalance_experts=rebalance_experts))
    monkeypatch.setitem(sys.modules, "vllm.distributed.eplb.policy.default", policy)
    live = Placement([[0, 1, 0, 1, 0, 1]], Cluster(gpus=3, slots_per_gpu=2), experts=2)
    planner = VLLM(live)
    answer = planner.run(planner.fresh(np.array([[3, 4]])), Cluster(gpus=3, slots_per_gpu=2, dead=[1]), groups=1)
    assert answer.phy2log.tolist() == [[0, 1, -1, -1, 1, 0]]
    assert told[1:5] == [4, 1, 1, 2]
    assert told[5].tolist() == live.phy2log.tolist()


def test_every_replanning_is_named_once_and_runs_on_the_sample():
    assert len(set(map(str, REPLANNINGS))) == len(REPLANNINGS)
    on_sample = replannings_of(None, beside_vllm=False)
    assert {one.live for one in on_sample} == {"equipoise", None}
    assert all(ask.target.par is None for one in on_sample for ask in one.asks)
    assert counts_of(on_sample[0].case, None).shape == (58, 256)
