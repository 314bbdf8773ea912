"""The live plug-in beside vLLM's default policy: the same inputs, through vLLM's own call, moves by its own schedule.

vLLM's modules are imported for real, so their folder needs what they import too; ``benchmarks/engines.txt`` says what.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.cases import Case
from benchmarks.compare import Result, Turns, judge, take_turns, timed
from benchmarks.loads import counts_of
from benchmarks.planner import Answer
from equipoise import Cluster, InputError
from equipoise.engines.live import live_settings
from equipoise.engines.vllm import EquipoisePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

HOW_TO_GET = (
    "pip install --no-deps --target FOLDER vllm==0.33.0 sglang==0.5.23 xgrammar==0.2.8\n"
    "pip install --target FOLDER -r benchmarks/engines.txt\nthen add --peers FOLDER"
)
LIVE_WINDOW = 0
LIMITS = ("", "10%", "5%", "2%")
CALLED = (
    Case("deepseek_v3_sglang_ep", 1, 288, 32),
    Case("deepseek_v3_sglang_ep", 3, 288, 32),
    Case("deepseek_v3_sglang_ep", 7, 288, 32),
    Case("deepseek_v3_sglang_ep", 1, 288, 32, groups=8, nodes=4),
)


@dataclass(frozen=True)
class Called:
    """What came of one call.

    Attributes
    ----------
    moves : int
        Experts sent from one rank to another, over all layers, as vLLM schedules them.
    moved : float
        The same as a share of the slots.
    batches : int
        Most batches that vLLM needs for a layer.
    """

    result: Result
    moves: int
    moved: float
    batches: int


def import_vllm(folder: Path) -> None:
    """Let vLLM be imported from a folder, after all that is installed.

    Raises
    ------
    InputError
        If it cannot be imported.
    """
    sys.path.append(str(folder.resolve()))
    try:
        import_module("vllm.distributed.eplb.eplb_state")
    except ImportError as error:
        raise InputError(f"vLLM cannot be imported from {folder}: {error}. To get it:\n{HOW_TO_GET}") from None


def called_of(folder: Path | None) -> list[Case]:
    """Return the cases: on recorded loads or on the sample."""
    return [case if folder else case.on_sample for case in CALLED]


def call(case: Case, folder: Path | None, rounds: int) -> list[Called]:
    """Return what vLLM's call comes to with its default policy, and with ours under each limit of moves."""
    from vllm.distributed.eplb.policy import DefaultEplbPolicy

    before = replace(case, window=LIVE_WINDOW)
    live = timed(VLLMCall("vLLM", DefaultEplbPolicy, None), before, counts_of(before, folder))[0].phy2log
    counts = counts_of(case, folder)
    ours = [VLLMCall(f"equipoise {limit}".strip(), EquipoisePolicy, live, limit) for limit in LIMITS]
    turns = take_turns(case, counts, [VLLMCall("vLLM", DefaultEplbPolicy, live), *ours], rounds)
    return [_judge(one, counts, live) for one in turns]


@dataclass(frozen=True)
class VLLMCall:
    """A policy, called as vLLM's asynchronous worker calls it.

    Attributes
    ----------
    live : ndarray or None, int64 ``[layers, slots]``
        The map that the worker holds; None before there is any.
    max_moves : str
        What ``EQUIPOISE_MAX_MOVES`` says; not set where it is empty.
    """

    name: str
    policy: Any
    live: NDArray[np.int64] | None
    max_moves: str = ""

    def fresh(self, counts: NDArray[np.int64]) -> Any:
        """Return new tensors ``[layers, experts]`` and ``[layers, slots]``, or None in the place of the second."""
        import torch

        return torch.tensor(counts), None if self.live is None else torch.tensor(self.live)

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        """Let vLLM call the policy."""
        from vllm.distributed.eplb.async_worker import run_rebalance_experts
        from vllm.distributed.eplb.eplb_state import EplbStats

        weight, live = loads
        stats = EplbStats(weight, cluster.slots, groups, cluster.nodes, cluster.gpus)
        model, engine = SimpleNamespace(eplb_stats=stats), SimpleNamespace(policy=self.policy)
        with _limited(self.max_moves):
            return Answer(run_rebalance_experts(model, engine, live, None).numpy())


@contextmanager
def _limited(max_moves: str) -> Iterator[None]:
    """Plan with this limit of moves and no other settings."""
    others = {name: text for name, text in os.environ.items() if not name.startswith("EQUIPOISE_")}
    limit = {"EQUIPOISE_MAX_MOVES": max_moves} if max_moves else {}
    with patch.dict(os.environ, others | limit, clear=True):
        live_settings.cache_clear()
        try:
            yield
        finally:
            live_settings.cache_clear()


def _judge(turns: Turns, counts: NDArray[np.int64], live: NDArray[np.int64]) -> Called:
    from vllm.distributed.eplb.migration_scheduler import schedule_migration_batches_for_layers

    placement = turns.placement
    layers = schedule_migration_batches_for_layers(placement.cluster.slots_per_gpu, live, placement.phy2log)
    moves = sum(len(flow.expert_ids) for batches in layers for batch in batches for flow in batch)
    return Called(judge(turns, counts), moves, moves / live.size, max(map(len, layers)))
