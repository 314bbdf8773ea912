"""Situations to re-plan in: a cluster, what lives on it or lived on another one, and the loads that come next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from equipoise import Cluster, Placement, Scenarios, plan
from equipoise.planning.current import resident
from equipoise.planning.homes import homes, off_node_load

LOCALITIES = [{"locality": "strict"}, {"locality": "soft"}, {"off_node": 0.0}, {"off_node": 0.1}, {"locality": "none"}]
LOADS = {
    "counts": st.integers(0, 1000).map(float),
    "few values": st.sampled_from([0.0, 1.0, 3.0]),
    "any size": st.floats(-300, 300).map(lambda exponent: 10.0**exponent),
}


@dataclass(frozen=True, eq=False)
class Situation:
    """What plan() is given; the settings are its groups and locality."""

    loads: np.ndarray | Scenarios  # [layers, experts], or windows that may come
    cluster: Cluster
    settings: dict[str, Any]
    current: Placement

    @property
    def within_its_cap(self) -> bool:
        """Whether no more load than is allowed is off its home node in what is live, under the loads that come."""
        if "off_node" not in self.settings:
            return True
        loads = self.loads.mean if isinstance(self.loads, Scenarios) else self.loads
        live = resident(self.current, self.cluster)
        off = off_node_load(live, loads, homes(live, self.settings["groups"], loads)).sum()
        return bool(off <= self.settings["off_node"] * loads.sum())

    def plan(self, **changes: Any):
        """Return the plan for these loads as they are, however few selections they may be."""
        loads = self.loads if isinstance(self.loads, Scenarios) else Scenarios(self.loads)
        return plan(loads, self.cluster, **({"current": self.current} | self.settings | changes))


@st.composite
def live_ones(draw, most_left_over=1, may_die=True, strict=False):
    """The placement that is live is a valid one on the same cluster, planned for other loads, in slots of any order."""
    cluster, experts, settings = draw(_clusters(most_left_over, may_die, strict))
    loads = draw(_loads(experts))
    earlier, rng = draw(_loads(experts, len(loads))), np.random.default_rng(draw(st.integers(0, 9)))
    slots = plan(Scenarios(earlier), cluster, **settings).placement.phy2log.reshape(len(loads), cluster.gpus, -1)
    shuffled = rng.permuted(slots, axis=2).reshape(len(loads), -1)
    return Situation(loads, cluster, settings, Placement(shuffled, cluster, experts))


@st.composite
def changed_ones(draw, strict=False):
    """The placement that is live is of another cluster, and holds anything: empty slots, one expert twice, not all."""
    cluster, experts, settings = draw(_clusters(1, may_die=True, strict=strict))
    loads = draw(_loads(experts))
    gpus, slots_per_gpu = draw(st.integers(1, cluster.gpus + 2)), draw(st.integers(1, cluster.slots_per_gpu + 2))
    dead = draw(st.sets(st.integers(0, gpus - 1), max_size=gpus - 1))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    slots = rng.integers(-draw(st.integers(0, 1)), experts, (len(loads), gpus, slots_per_gpu))
    slots[:, sorted(dead)] = -1
    before = Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu, dead=tuple(dead))
    return Situation(loads, cluster, settings, Placement(slots.reshape(len(loads), -1), before, experts))


@st.composite
def _clusters(draw, most_left_over, may_die, strict):
    """A cluster, how many experts it can hold, and the groups and locality with which it can."""
    nodes, gpus_per_node = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    groups_per_node, group_size = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    per_node, gpus = groups_per_node * group_size, nodes * gpus_per_node
    slots_per_gpu = draw(st.integers(-(-per_node // gpus_per_node), per_node + most_left_over))
    grouped = nodes * groups_per_node > 1 and (strict or draw(st.booleans()))
    locality = {"locality": "strict"} if strict else draw(st.sampled_from(LOCALITIES))
    settings = {"groups": nodes * groups_per_node} | locality if grouped else {"groups": 1}
    dead: list[int] = []
    for gpu in draw(st.permutations(range(gpus)))[: draw(st.integers(0, gpus - 1)) if may_die else 0]:
        on_node = [other for other in range(gpus) if other // gpus_per_node == gpu // gpus_per_node]
        neighbours = on_node if settings.get("locality") == "strict" or settings.get("off_node") == 0 else range(gpus)
        left = len(set(neighbours) - {*dead, gpu})
        if left * slots_per_gpu >= (per_node if neighbours is on_node else per_node * nodes):
            dead.append(gpu)
    return Cluster(gpus, nodes, slots_per_gpu, tuple(dead)), per_node * nodes, settings


@st.composite
def _loads(draw, experts, layers=None):
    layers = layers or draw(st.integers(1, 3))
    one = LOADS[draw(st.sampled_from(sorted(LOADS)))]
    rows = draw(st.lists(st.lists(one, min_size=experts, max_size=experts), min_size=layers, max_size=layers))
    return np.array(rows) * draw(st.sampled_from([1.0] * 3 + [0.0]))
