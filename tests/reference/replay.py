"""The slow, obvious replay of a trace: window by window, expert by expert, sender by sender."""

from __future__ import annotations

from collections import Counter

import numpy as np

from equipoise import Loads, Migration, Scenarios, plan
from equipoise.replay.situation import Situation


def slow_replay(trace, cluster, policy, asked, interval, window, costs):
    """Return a row for each window served, in the order of the columns of a Replay; asked: of every plan."""
    rows, live = [], plan(Scenarios(trace[:window]), cluster, **(asked | {"effort": "fast"})).placement
    for now in range(window, len(trace)):
        before = live
        if (now - window) % interval == 0:
            past, coming = Loads(trace[now - window : now]), Loads(trace[now : now + interval])
            live = policy.decide(Situation(past, coming, before, asked))
        rows.append([now, *slow_balance(trace[now], live), *slow_moves(before, live, costs)])
    return rows


def slow_balance(counts, placement):
    """Return PAR, mean over the layers, and the sum of their peaks over the sum of their means."""
    peaks, means = [], []
    for load, slots in zip(counts, placement.phy2log.tolist(), strict=True):
        gpus = Counter()
        for slot, expert in enumerate(slots):
            gpus[slot // placement.cluster.slots_per_gpu] += load[expert] / slots.count(expert)
        peaks.append(max(gpus.values()))
        means.append(sum(gpus.values()) / placement.cluster.gpus)
    return np.mean([peak / mean for peak, mean in zip(peaks, means, strict=True)]), sum(peaks) / sum(means)


def slow_moves(before, after, costs):
    """Return moves, bytes within and between nodes, and the stall; an expert that is twice on a GPU is sent twice."""
    held = set(_held(before))
    sent = [one for one in _held(after) if one not in held]
    gpus_per_node = after.cluster.gpus_per_node
    on_node = {(layer, gpu // gpus_per_node, expert) for layer, gpu, expert in held}
    within = sum((layer, gpu // gpus_per_node, expert) in on_node for layer, gpu, expert in sent)
    size, stall = costs.expert_bytes, slow_stall(Migration(before, after), costs)
    return len(set(sent)), within * size, (len(sent) - within) * size, stall


def slow_stall(migration, costs):
    """Return the seconds of the busiest link: row by row, what every GPU sends and receives over each of its two."""
    gpus_per_node = migration.after.cluster.gpus_per_node
    seconds = Counter()
    for source, gpu in zip(migration.source.tolist(), migration.gpu.tolist(), strict=True):
        if source != gpu:
            link = "within_nodes" if source // gpus_per_node == gpu // gpus_per_node else "between_nodes"
            seconds[link, "out of", source] += costs.expert_bytes / getattr(costs, link)
            seconds[link, "into", gpu] += costs.expert_bytes / getattr(costs, link)
    return max(seconds.values(), default=0.0)


def _held(placement):
    """Return layer, GPU and expert of every slot."""
    slots_per_gpu = placement.cluster.slots_per_gpu
    return [(layer, slot // slots_per_gpu, expert) for (layer, slot), expert in np.ndenumerate(placement.phy2log)]
