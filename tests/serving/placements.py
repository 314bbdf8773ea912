"""Placements to route on, tokens to route, and what a routing makes of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from equipoise import Cluster, Placement, slot_shares


@st.composite
def placements(draw, most_nodes=3):
    """Every expert has a replica; the redundant slots hold anything, so that one GPU may hold an expert twice."""
    nodes, gpus_per_node, slots_per_gpu = (draw(st.integers(1, most)) for most in (most_nodes, 4, 4))
    gpus, layers = nodes * gpus_per_node, draw(st.integers(1, 3))
    experts = draw(st.integers(1, gpus * slots_per_gpu))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    redundant = rng.integers(0, draw(st.integers(1, experts)), (layers, gpus * slots_per_gpu - experts))
    slots = np.concatenate([np.tile(np.arange(experts), (layers, 1)), redundant], axis=1)
    return Placement(rng.permuted(slots, axis=1), Cluster(gpus, nodes, slots_per_gpu), experts)


def random_tokens(placement, tokens, top_k, seed, popularity=1):
    """Return the different experts that each token of each GPU selects, ``[layers, gpus, tokens, top_k]``."""
    shape = placement.layers, placement.cluster.gpus, tokens, placement.experts
    wait = np.random.default_rng(seed).exponential(size=shape) / popularity
    return wait.argsort(axis=-1)[..., :top_k]


def sources_of(tokens, placement):
    """Return the selections of each expert, by the GPU whose tokens they are, ``[layers, gpus, experts]``."""
    return (tokens[..., None] == np.arange(placement.experts)).sum(axis=(2, 3))


def expected(placement, routing, tokens, batch=None):
    """Return the selections that the routing expects in each slot, ``[layers, slots]``."""
    sources = sources_of(tokens, placement)
    shares = slot_shares(placement, routing, batch=batch, sources=sources)
    return np.take_along_axis(sources.sum(axis=1), placement.phy2log, axis=1) * shares


def counted(routed, placement):
    """Return the selections that each slot was given, ``[layers, slots]``, by the slots ``[layers, ...]`` chosen."""
    return np.array([np.bincount(slots.ravel(), minlength=placement.cluster.slots) for slots in routed])


def slots_of(placement, layer):
    """Return the slots of each expert of a layer, in rising order."""
    slots = placement.phy2log[layer].tolist()
    return [[slot for slot, held in enumerate(slots) if held == expert] for expert in range(placement.experts)]
