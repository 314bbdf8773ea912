"""The least possible peak of a small layer, by constraint programming (OR-tools CP-SAT)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from math import floor, lcm
from typing import TYPE_CHECKING

import numpy as np
from ortools.sat.python import cp_model

from equipoise import InputError
from tests.reference.simple_steps import groupings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Optimum:
    """The best placement found for one layer, and how good any can be.

    Attributes
    ----------
    peak : Fraction
        Largest GPU load of ``phy2log``, exactly.
    bound : Fraction
        No placement has a lower peak; equal to ``peak`` where that is proven optimal.
    phy2log : ndarray, int64 ``[slots]``
        Expert in each slot.
    """

    peak: Fraction
    bound: Fraction
    phy2log: NDArray[np.int64]

    @property
    def proven(self) -> bool:
        """Whether the placement is proven optimal."""
        return self.peak == self.bound


def optimum(load: Sequence[int] | NDArray[np.int64], gpus: int, slots_per_gpu: int, *, work: float = 60) -> Optimum:
    """Return the placement of least peak: every expert somewhere, none twice on a GPU, loads split evenly.

    Parameters
    ----------
    load : sequence of int, ``[experts]``
        Whole numbers, so that the optimum is exact.
    gpus, slots_per_gpu : int
        One domain: any expert may live on any GPU.
    work : float
        Limit of work in CP-SAT's deterministic unit, about a second; the search has one thread.

    Raises
    ------
    InputError
        If the experts do not fit the slots, or the scaled loads are too large for 64-bit integers.
    """
    loads = [int(x) for x in load]
    order = sorted(range(len(loads)), key=lambda expert: (-loads[expert], expert))
    model = _Model([[loads[expert] for expert in order]], gpus, slots_per_gpu)  # heaviest first
    held, bound = model.solve(work)
    phy2log = np.array([order[expert] for gpu in held for expert in gpu])
    return Optimum(exact_peak(loads, phy2log, gpus), bound, phy2log)


def grouped_optimum(
    load: Sequence[int] | NDArray[np.int64],
    gpus: int,
    slots_per_gpu: int,
    *,
    groups: int,
    nodes: int,
    work: float = 60,
) -> Optimum:
    """Return the placement of least peak that keeps every group of consecutive experts on one node.

    Every split of the groups over the nodes is tried, the smallest node load first, until no later one can be
    better; each node is solved by :func:`optimum` with its own limit of work.
    """
    group_load = np.asarray(load, dtype=np.int64).reshape(groups, -1)
    group_experts = np.arange(group_load.size).reshape(groups, -1)

    @cache
    def node_optimum(members: tuple[int, ...]) -> Optimum:
        found = optimum(group_load[list(members)].ravel(), gpus // nodes, slots_per_gpu, work=work)
        return Optimum(found.peak, found.bound, group_experts[list(members)].ravel()[found.phy2log])

    def mean_bound(split: tuple[tuple[int, ...], ...]) -> Fraction:
        return Fraction(int(max(group_load[list(node)].sum() for node in split)) * nodes, gpus)

    found: list[Optimum] = []
    for split in sorted(groupings(groups, nodes), key=mean_bound):
        if found and mean_bound(split) >= min(found, key=lambda one: one.peak).peak:
            break
        parts = [node_optimum(node) for node in split]
        phy2log = np.concatenate([part.phy2log for part in parts])
        found.append(Optimum(max(part.peak for part in parts), max(part.bound for part in parts), phy2log))
    best = min(found, key=lambda one: one.peak)
    return Optimum(best.peak, min(one.bound for one in found), best.phy2log)


def soft_optimum(
    load: Sequence[int] | NDArray[np.int64],
    gpus: int,
    slots_per_gpu: int,
    *,
    groups: int,
    nodes: int,
    off_node: Fraction | int,
    work: float = 60,
) -> Optimum:
    """Return the placement of least peak that serves at most this much load off its group's home node.

    Every group of consecutive experts is at home on a node, equally many on each, wherever that serves best.
    """
    loads = [int(x) for x in load]
    model = _Model([loads], gpus, slots_per_gpu, nodes)
    model.limit_off_node(groups, nodes, off_node)
    held, bound = model.solve(work)
    phy2log = np.array([expert for gpu in held for expert in gpu])
    return Optimum(exact_peak(loads, phy2log, gpus), bound, phy2log)


def windows_optimum(loads: NDArray[np.int64], gpus: int, slots_per_gpu: int, *, work: float = 60) -> Optimum:
    """Return the placement of least mean peak over windows, ``[windows, experts]``: one that serves them all."""
    windows = loads.tolist()
    held, bound = _Model(windows, gpus, slots_per_gpu).solve(work)
    phy2log = np.array([expert for gpu in held for expert in gpu])
    peak = sum((exact_peak(load, phy2log, gpus) for load in windows), Fraction(0))
    return Optimum(peak / len(windows), bound / len(windows), phy2log)


def exact_peak(load: Sequence[int], phy2log: NDArray[np.int64], gpus: int) -> Fraction:
    """Return the largest GPU load of a placement, without rounding."""
    counts = np.bincount(phy2log, minlength=len(load))
    share = [Fraction(w, int(c)) for w, c in zip(load, counts, strict=True)]
    return max(sum((share[expert] for expert in gpu), Fraction(0)) for gpu in phy2log.reshape(gpus, -1))


class _Model:
    """The layer in whole numbers: ``on[e][c][g]`` where expert e has c + 1 copies, one of them on GPU g."""

    def __init__(self, windows: list[list[int]], gpus: int, slots_per_gpu: int, nodes: int = 1) -> None:
        slots, experts = gpus * slots_per_gpu, len(windows[0])
        if not slots_per_gpu <= experts <= slots:
            raise InputError(
                f"{experts} experts for {gpus} GPUs of {slots_per_gpu} slots; "
                f"expected {slots_per_gpu} to {slots} experts, so that all fit and none is twice on a GPU"
            )
        self.experts, self.gpus = range(experts), range(gpus)
        self.copies = range(min(gpus, slots - experts + 1))
        self.scale = lcm(*(c + 1 for c in self.copies))
        self.windows = [[w * self.scale for w in load] for load in windows]
        total = sum(map(sum, self.windows))
        if total >= 2**62:
            raise InputError(f"the loads times {self.scale} add up to {total}; expected less than 2**62")

        self.model = cp_model.CpModel()
        self.on = [[[self.model.new_bool_var("") for _ in self.gpus] for _ in self.copies] for _ in self.experts]
        self._count_the_copies()
        self._fill_the_gpus(slots_per_gpu)
        self._minimise_the_peaks()
        self._order_the_gpus(gpus // nodes)

    def _count_the_copies(self) -> None:
        """Give each expert one number of copies, all of them somewhere."""
        for by_count in self.on:
            has = [self.model.new_bool_var("") for _ in self.copies]
            self.model.add_exactly_one(has)
            for c in self.copies:
                self.model.add(sum(by_count[c]) == (c + 1) * has[c])
                for on_gpu in by_count[c]:
                    self.model.add_implication(on_gpu, has[c])

    def _fill_the_gpus(self, slots_per_gpu: int) -> None:
        """Fill every slot."""
        for g in self.gpus:
            self.model.add(sum(self.on[e][c][g] for e in self.experts for c in self.copies) == slots_per_gpu)

    def _minimise_the_peaks(self) -> None:
        """Minimise the load that no GPU exceeds, of all windows added up."""
        peaks = []
        for load in self.windows:
            peak = self.model.new_int_var(-(-sum(load) // len(self.gpus)), sum(load), "peak")
            for g in self.gpus:
                held = [(load[e] // (c + 1), self.on[e][c][g]) for e in self.experts for c in self.copies]
                self.model.add(sum(share * on_gpu for share, on_gpu in held) <= peak)
            peaks.append(peak)
        self.model.minimize(sum(peaks))

    def _order_the_gpus(self, per_node: int) -> None:
        """Put the first expert on the first GPUs of a node: they are alike, so that nothing is lost."""
        holds = [sum(self.on[0][c][g] for c in self.copies) for g in self.gpus]
        for g, (before, after) in enumerate(pairwise(holds)):
            if (g + 1) % per_node:
                self.model.add(before >= after)

    def limit_off_node(self, groups: int, nodes: int, off_node: Fraction | int) -> None:
        """Give every group a home, equally many on each node, and limit the load that replicas elsewhere serve."""
        home = [[self.model.new_bool_var("") for _ in range(nodes)] for _ in range(groups)]
        for by_node in home:
            self.model.add_exactly_one(by_node)
        for n in range(nodes):
            self.model.add(sum(by_node[n] for by_node in home) == groups // nodes)
        self.model.add(home[0][0] == 1)  # nodes are alike
        served = []
        for e, c, g in product(self.experts, self.copies, self.gpus):
            off = self.model.new_bool_var("")
            at_home = home[e * groups // len(self.experts)][g * nodes // len(self.gpus)]
            self.model.add(off >= self.on[e][c][g] - at_home)
            served.append(self.windows[0][e] // (c + 1) * off)
        self.model.add(sum(served) <= floor(off_node * self.scale))

    def solve(self, work: float) -> tuple[list[list[int]], Fraction]:
        """Return the experts of each GPU and a proven lower bound on the peak."""
        solver = cp_model.CpSolver()
        solver.parameters.max_deterministic_time = work
        solver.parameters.num_workers = 1
        if solver.solve(self.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise InputError(f"no placement found with {work} units of work; allow more")
        held = [
            [e for e in self.experts if any(solver.boolean_value(self.on[e][c][g]) for c in self.copies)]
            for g in self.gpus
        ]
        return held, Fraction(solver.response_proto.inner_objective_lower_bound, self.scale)
