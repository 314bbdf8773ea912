"""vLLM's and SGLang's planners: their own files, unmodified, from a folder that pip filled.

What is stubbed, and why: the packages around the planner files (``vllm``, ``vllm.distributed``, ``sglang``,
...) are replaced by empty modules that only say where their folder is, since importing them for real starts
each engine's configuration and needs its dozens of dependencies. The planner files themselves import torch
and NumPy alone.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmarks.planner import Answer
from equipoise import Cluster, InputError, Placement

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.planner import Planner

HOW_TO_GET = (
    "pip install torch\npip install --no-deps --target FOLDER vllm==0.33.0 sglang==0.5.23\nthen add --peers FOLDER"
)
STUBBED = (
    "vllm",
    "vllm.distributed",
    "vllm.distributed.eplb",
    "vllm.distributed.eplb.policy",
    "sglang",
    "sglang.srt",
    "sglang.srt.eplb",
)


def load_peers(folder: Path) -> list[Planner]:
    """Return the peers' planners from the folder they were installed into.

    Raises
    ------
    InputError
        If torch or one of the peers is not there.
    """
    stub_packages(folder)
    # Torch's idle threads would go on spinning for a while, on the cores that the next planner is measured on.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import torch
    except ImportError:
        raise InputError(f"the peers need torch. To get it:\n{HOW_TO_GET}") from None
    torch.set_num_threads(os.cpu_count() or 1)
    return [VLLM(), SGLang("deepseek_vec"), SGLang("deepseek")]


def stub_packages(folder: Path) -> None:
    """Put an empty module in the place of every package around the planner files.

    Raises
    ------
    InputError
        If a package is not in the folder.
    """
    for name in STUBBED:
        package = folder.resolve().joinpath(*name.split("."))
        if not package.is_dir():
            raise InputError(f"{folder} holds no {name}; expected both peers. To get them:\n{HOW_TO_GET}")
        sys.modules[name] = stub = ModuleType(name)
        stub.__path__ = [str(package)]


@dataclass(frozen=True)
class VLLM:
    """vLLM's default policy, told the live placement if there is one."""

    live: Placement | None = None
    name: str = "vLLM"

    def fresh(self, counts: NDArray[np.int64]) -> Any:
        """Return new tensors ``[layers, experts]`` and ``[layers, slots]``, or None in the place of the second."""
        import torch

        return torch.tensor(counts), self.live and torch.tensor(self.live.phy2log)

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        """Call the policy as vLLM does, which knows nothing of dead GPUs and numbers those that are left anew."""
        policy = import_module("vllm.distributed.eplb.policy.default").DefaultEplbPolicy
        weight, live = loads
        gpus = len(cluster.live)
        phy2log = policy.rebalance_experts(weight, cluster.live_slots, groups, cluster.nodes, gpus, live).numpy()
        slots = phy2log.reshape(len(phy2log), gpus, -1)
        return Answer(Placement.on_live(slots, cluster, weight.shape[1]).phy2log)


@dataclass(frozen=True)
class SGLang:
    """One of SGLang's algorithms, in its hierarchical form where there are groups."""

    algorithm: str

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"SGLang {self.algorithm}"

    def fresh(self, counts: NDArray[np.int64]) -> Any:
        """Return a new tensor ``[steps, layers, experts]`` of a single step."""
        import torch

        return torch.tensor(counts[None])

    def run(self, loads: Any, cluster: Cluster, groups: int) -> Answer:
        """Call the algorithm as SGLang does."""
        algorithms = import_module("sglang.srt.eplb.eplb_algorithms")
        suffix = "_hierarchical" if groups > 1 else ""
        phy2log, _, _ = algorithms.rebalance_experts(
            tokens_per_expert=loads,
            num_physical_experts=cluster.slots,
            num_local_physical_experts=cluster.slots_per_gpu,
            num_groups=groups,
            num_nodes=cluster.nodes,
            algorithm=algorithms.EplbAlgorithm[self.algorithm + suffix],
        )
        return Answer(phy2log.numpy())
