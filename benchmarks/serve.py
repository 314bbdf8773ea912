"""Serving by four processes: drifting traffic through a real MoE layer, whose experts move under several policies.

What counts is tokens: how even they are over the processes, what was sent to make them so, and how often serving stood
still for that. Milliseconds on two cores that four processes share mean nothing, and none are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from equipoise import Cluster, Loads, Migration, Placement, Router, plan, synthetic_trace
from equipoise.replay.deepseek_rule import deepseek_rule
from equipoise.router.primary_first import primary_first
from equipoise.router.reference import look_up
from equipoise.runtime.exchange import ExpertExchange
from equipoise.runtime.sharded_experts import ShardedExperts
from equipoise.runtime.slot_bytes import bytes_of_slot

if TYPE_CHECKING:
    from torch import Tensor

CLUSTER, EXPERTS, HIDDEN = Cluster(gpus=4, nodes=2, slots_per_gpu=5), 16, 64
WINDOWS, STEPS, TOKENS, TOP_K = 16, 4, 512, 2  # a plan after each window; steps of a window, tokens of a rank and step
SPREAD = 0.2  # of the logarithm of the factor by which a rank's mix is off
POLICIES = ("never", "DeepSeek's rule", "ours, 10 % a plan", "ours, filled, 10 % a plan")


@dataclass(frozen=True)
class Served:
    """What a policy makes of the traffic.

    Attributes
    ----------
    policy : str
        Who plans, and who chooses the replica.
    par : float
        Of the tokens that the processes really served, mean over the steps after the first window.
    mebibytes : float
        Of weights, sent from process to process.
    stalled : int
        Steps before which serving had to wait for weights.
    plans : int
        That changed anything.
    """

    policy: str
    par: float
    mebibytes: float
    stalled: int
    plans: int


def serve() -> list[Served]:
    """Return what each policy makes of the same traffic, served by four processes."""
    with TemporaryDirectory() as folder:
        context = mp.get_context("spawn")
        answers = context.SimpleQueue()
        mp.spawn(_rank, (folder, answers), nprocs=CLUSTER.gpus)
        return [Served(*figures) for figures in answers.get()]


class Experts(torch.nn.Module):
    """Experts as transformers stacks them: gate and up in one, SiLU, down."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = EXPERTS
        generator = torch.Generator().manual_seed(0)
        self.gate_up = torch.nn.Parameter(torch.randn(EXPERTS, 2 * HIDDEN, HIDDEN, generator=generator))
        self.down = torch.nn.Parameter(torch.randn(EXPERTS, HIDDEN, HIDDEN, generator=generator))

    def forward(self, hidden: Tensor, picks: Tensor, weights: Tensor) -> Tensor:
        """Return what the first pick of each row makes of it, weighted."""
        found = torch.zeros_like(hidden)
        for expert in picks.unique().tolist():
            rows = picks[:, 0] == expert
            gate, up = (hidden[rows] @ self.gate_up[expert].T).chunk(2, dim=1)
            found[rows] = (torch.nn.functional.silu(gate) * up) @ self.down[expert].T * weights[rows]
        return found


def _rank(rank: int, folder: str, answers: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=CLUSTER.gpus, timeout=timedelta(minutes=2)
    )
    moving = dist.new_group()
    with torch.no_grad():
        found = [_Serving(policy, rank, moving).all_windows() for policy in POLICIES]
    if rank == 0:
        answers.put(found)
    dist.destroy_process_group()


class _Serving:
    """One policy's turn."""

    def __init__(self, policy: str, rank: int, moving: dist.ProcessGroup) -> None:
        self.policy, self.rank, self.moving = policy, rank, moving
        self.placement = Placement.default(CLUSTER, EXPERTS, layers=1)
        self.router = Router(self.placement, rank, floor=0)
        self.layer = ShardedExperts(Experts(), self.placement.by_gpu[0, rank].tolist(), self.route)
        self.layer.spread(CLUSTER, None)
        self.exchange: ExpertExchange | None = None
        self.slots, self.sent, self.stalled, self.plans = torch.zeros(CLUSTER.slots), 0, 0, 0

    def route(self, picks: Tensor) -> Tensor:
        """Choose the slots: by filling, or as vLLM does; count what they serve."""
        maps = primary_first(self.placement)[0], self.placement.logcnt[0]
        hashed = look_up(picks, *(torch.from_numpy(array.copy()) for array in maps))
        slots = self.router(picks, 0) if "filled" in self.policy else hashed
        self.slots = torch.bincount(slots.flatten(), minlength=CLUSTER.slots)
        return slots

    def all_windows(self) -> tuple[str, float, float, int, int]:
        """Serve all windows, and plan after each; return the figures."""
        pars = []
        trace = synthetic_trace("slow", windows=WINDOWS, layers=1, experts=EXPERTS, seed=3).counts[:, 0]
        for number, counts in enumerate(trace):
            rng = np.random.default_rng([number, self.rank])
            mix = counts * rng.lognormal(0, SPREAD, EXPERTS)
            pars += [self.step(rng, mix / mix.sum()) for _ in range(STEPS)]
            self.replan()
        self.take_over()
        return self.policy, float(np.mean(pars[STEPS:])), self.sent / 2**20, self.stalled, self.plans

    def step(self, rng: np.random.Generator, share: np.ndarray) -> float:
        """Serve a batch of each rank while weights move, then let them take their slots; return the batch's PAR."""
        picks = torch.from_numpy(rng.choice(EXPERTS, (TOKENS, TOP_K), p=share))
        self.layer(torch.ones(TOKENS, HIDDEN), picks, torch.ones(TOKENS, TOP_K))
        dist.all_reduce(self.slots)
        self.take_over()
        gpus = self.slots.view(CLUSTER.gpus, -1).sum(dim=1).double()
        return float(gpus.max() / gpus.mean())

    def replan(self) -> None:
        """Plan for what was just counted, and begin to move."""
        counts = self.layer.picked.double()
        self.layer.picked.zero_()
        dist.all_reduce(counts)
        after = self.planned(counts.numpy()[None])
        if self.policy == "never" or np.array_equal(after.phy2log, self.placement.phy2log):
            return
        migration = Migration(self.placement, after)
        traffic = migration.bytes(bytes_of_slot(self.layer.tensors))
        self.sent += traffic.within_nodes + traffic.between_nodes
        self.exchange = ExpertExchange([self.layer.tensors], migration, self.moving)
        self.exchange.begin()
        self.plans += 1
        if self.policy == "DeepSeek's rule":  # as engines do that move all at once
            self.stalled += 1
            self.take_over()

    def planned(self, counts: np.ndarray) -> Placement:
        """Return what the policy plans."""
        if self.policy == "DeepSeek's rule":
            return deepseek_rule(counts, CLUSTER)
        routing = "filled" if "filled" in self.policy else "even"
        return plan(Loads(counts), CLUSTER, current=self.placement, max_moves=0.1, routing=routing).placement

    def take_over(self) -> None:
        """Let what was begun take its slots, and note if it had not arrived yet."""
        if self.exchange is None:
            return
        late = torch.tensor([int(not self.exchange.arrived)])
        dist.all_reduce(late, dist.ReduceOp.MAX)
        self.stalled += int(late) if "ours" in self.policy else 0
        self.placement = self.exchange.commit()
        self.router.place(self.placement)
        self.exchange = None
