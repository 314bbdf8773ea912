"""Batches to route: a placement, the rules of one of its GPUs, and what the batch picks."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from equipoise import Cluster, Placement, plan, sample_loads
from equipoise.router.held import Held
from equipoise.router.primary_first import primary_first
from equipoise.router.rules import RoutingRules
from tests.serving.placements import placements


class Case(NamedTuple):
    """A batch and what routes it.

    Attributes
    ----------
    placement : Placement
        One of several layers.
    layer : int
        The one in question.
    rules : RoutingRules
        Of one GPU, or of all.
    picks : torch.Tensor ``[tokens, top_k]``
        Experts, and here and there what is none.
    """

    placement: Placement
    layer: int
    rules: RoutingRules
    picks: torch.Tensor

    @property
    def held(self) -> Held:
        """The slots of the layer's experts, as an engine's map has them: int64, padded."""
        slots, counts = primary_first(self.placement)[self.layer], self.placement.logcnt[self.layer]
        return Held(torch.from_numpy(slots.copy()), torch.from_numpy(counts.copy()))

    @property
    def experts(self) -> torch.Tensor:
        """Those picks that are experts, one after another."""
        flat = self.picks.flatten()
        return flat[(flat >= 0) & (flat < self.placement.experts)]


def draw_picks(experts, tokens, top_k, seed, dtype=torch.int64):
    """Return picks of experts of very different popularity, one in ten of them none."""
    rng = np.random.default_rng(seed)
    popularity = rng.lognormal(0, 1.5, experts)
    picks = rng.choice(experts, (tokens, top_k), p=popularity / popularity.sum())
    none = rng.choice([-1, experts, 2**31 - 1], picks.shape)
    return torch.from_numpy(np.where(rng.random(picks.shape) < 0.1, none, picks)).to(dtype)


@st.composite
def cases(draw, most_tokens=400):
    """Draw batches of all kinds."""
    placement = draw(placements())
    layer = draw(st.integers(0, placement.layers - 1))
    rank = draw(st.none() | st.sampled_from(placement.cluster.live))
    rules = RoutingRules(placement.cluster, placement.experts, rank, draw(st.sampled_from([0, 3, 50, 256])))
    dtype, top_k = draw(st.sampled_from([torch.int32, torch.int64])), draw(st.integers(1, 3))
    picks = draw_picks(placement.experts, draw(st.integers(0, most_tokens)), top_k, draw(st.integers(0, 999)), dtype)
    return Case(placement, layer, rules, picks)


@cache
def sample_placement():
    """Return a placement of DeepSeek-V3's shape, planned for the sample's first windows."""
    cluster = Cluster(gpus=32, nodes=4, slots_per_gpu=9)
    return plan(sample_loads().counts[:4], cluster, routing="filled", effort="fast").placement


def sample_case(tokens, rank=None, floor=0, seed=0):
    """Return a batch from the sample's last window, of layer 7; one pick in ten is of no expert."""
    placement, popularity = sample_placement(), sample_loads().counts[-1, 7]
    rng = np.random.default_rng(seed)
    picks = rng.choice(256, (tokens, 8), p=popularity / popularity.sum())
    picks[rng.random(picks.shape) < 0.1] = -1
    return Case(placement, 7, RoutingRules(placement.cluster, 256, rank, floor), torch.from_numpy(picks))


def served(slots, case):
    """Return how many picks each slot got, of those that are experts."""
    flat = case.picks.flatten()
    inside = (flat >= 0) & (flat < case.placement.experts)
    return torch.bincount(slots.flatten()[inside].long(), minlength=case.placement.cluster.slots)


def gpu_loads(slots, case):
    """Return how many picks each GPU got."""
    return served(slots, case).reshape(case.placement.cluster.gpus, -1).sum(dim=1)
