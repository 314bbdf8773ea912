"""The benchmark judges every planner by the same rules, and knows a missed target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.cases import CASES, Case, Target
from benchmarks.compare import Result, compare
from benchmarks.loads import cases_of, counts_of
from benchmarks.peers import load_peers
from benchmarks.planner import Answer, Equipoise
from benchmarks.verdict import misses
from equipoise import InputError

if TYPE_CHECKING:
    from equipoise import Cluster

TINY = Case("tiny", None, slots=4, gpus=2, target=Target(par=1.2, times_vllm=2))
COUNTS = np.array([[60, 30, 10]])
OURS = Result("equipoise default", 1.2, 1.2, bound=1.0, gap=0.2, duplicates=0, ms=1, times_vllm=2)
VLLM = replace(OURS, planner="vLLM", bound=None, gap=None, times_vllm=1)


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
        ({"planner": "equipoise thorough", "times_vllm": 0.1}, []),
        ({"planner": "equipoise fast", "par_mean": 1.3}, []),
        ({"planner": "SGLang deepseek_vec", "duplicates": 9}, []),
    ],
)
def test_misses(changed, missed):
    result = replace(OURS, **changed)
    assert misses(TINY, result, [VLLM, result]) == missed


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
