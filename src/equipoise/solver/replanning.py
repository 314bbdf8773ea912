"""Step 4 from a live placement: fill what is free, then relieve and refine, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from equipoise.solver.compiling import entry, kernel
from equipoise.solver.free_slots import fill
from equipoise.solver.history import History, record
from equipoise.solver.pool import Pool, Queues, empty_pool, empty_queues, peak
from equipoise.solver.prices import Terms
from equipoise.solver.relief import Scratch, empty_scratch, relieve
from equipoise.solver.transfers import Search, empty_search, improve
from equipoise.solver.windows import Windows, empty_windows, set_windows

if TYPE_CHECKING:
    from equipoise.solver.arrays import Flags, Floats, Integers


class Start(NamedTuple):
    """What lives where, and what changes of it cost; a price of 1 is that of loading one expert's weights."""

    live: Integers  # [layers, gpus, live slots], the expert in each, none twice on a GPU; -1: none
    held: Flags  # [layers, gpus, experts], whether the GPU holds the expert's weights already
    home: Integers  # [layers, experts], the node on which serving the expert costs nothing; -1 for any
    node: Integers  # [gpus], the node that each GPU is on
    move_price: float  # of an expert that a GPU did not hold
    off_node_price: float  # of as much load as a slot has on average, served off its home node; inf forbids it


class StopRules(NamedTuple):
    """Where the search rules."""

    aim: Floats  # [layers], the peak to come near to
    thresholds: Floats  # how far above the aim what is above it counts, one after another; see relieve
    good_enough: Floats  # [layers], the peak below which nothing but single changes is tried
    known: Integers  # [layers], how many changes are known, from a search made before
    changes: Integers  # [layers], how many changes may be made


class Workspace(NamedTuple):
    """All that replanning one layer after another needs; one per thread."""

    pool: Pool
    queues: Queues
    windows: Windows
    scratch: Scratch
    search: Search


def empty_workspace(
    experts: int, gpus: int, slots_per_gpu: int, windows: int, tries: int, least: int, domain: Integers | None
) -> Workspace:
    """Return room for layers of this size, whose experts must be on ``least`` GPUs, or domains if given."""
    return Workspace(
        empty_pool(experts, gpus, slots_per_gpu, least, domain),
        empty_queues(experts, gpus),
        empty_windows(experts, gpus, windows),
        empty_scratch(experts, slots_per_gpu, windows),
        empty_search(experts, gpus, slots_per_gpu, tries, 0),
    )


@entry
def replan_layers(
    loads: Floats,
    weights: Floats,
    start: Start,
    rules: StopRules,
    work: Workspace,
    histories: History,
    relieved: Integers,
    changes: Integers,
    slots: Integers,
) -> None:
    """Replan every layer by itself.

    loads: float64 [layers, windows, experts], in units of the mean GPU load of the window. weights: float64 [layers,
    windows], adding up to 1. histories: arrays [layers, most changes + 1], written. relieved: int64 [layers],
    written: how many changes were made at a price, all of which a later search may know. changes: int64 [layers],
    written: how many were made in all. slots: int64 [layers, gpus, slots per GPU], written: the expert in each slot;
    one that stays on its GPU stays in its slot. Slots beyond those that the workspace plans for are written -1.
    """
    pool, windows = work.pool, work.windows
    for layer in range(loads.shape[0]):
        set_windows(windows, loads[layer], weights[layer])
        total = _set_mean(pool, loads[layer], weights[layer])
        fill(pool, work.queues, start.live[layer], start.home[layer], start.node)
        per_load = start.off_node_price * pool.slots.size / total if total > 0 else 0.0
        terms = Terms(start.held[layer], start.home[layer], start.node, start.move_price, per_load)
        history = History(
            histories.change[layer], histories.peak[layer], histories.moves[layer], histories.off_node[layer]
        )
        aim, good_enough, most = rules.aim[layer], rules.good_enough[layer], rules.changes[layer]
        made = relieve(pool, windows, terms, work.scratch, aim, rules.thresholds, rules.known[layer], most, history)
        relieved[layer] = made
        # Swaps settle where they like: on other nodes too.
        while per_load == 0 and made < most and peak(pool) > good_enough and improve(pool, work.search, aim):
            made += 1
            record(pool, terms, history, made, peak(pool))
        changes[layer] = made
        _write(pool, start.live[layer], slots[layer])


@kernel
def _set_mean(pool: Pool, loads: Floats, weight: Floats) -> float:
    """Make the weighted mean of the windows the pool's loads; return their sum."""
    total = 0.0
    for expert in range(pool.load.size):
        load = 0.0
        for w in range(weight.size):
            load += weight[w] * loads[w, expert]
        pool.load[expert] = load
        total += load
    return total


@kernel
def _write(pool: Pool, live: Integers, slots: Integers) -> None:
    """Write the pool's experts into slots, [gpus, slots per GPU]: one that lived on its GPU where it was.

    Slots that are left over are written -1.
    """
    for gpu in range(slots.shape[0]):
        for place in range(slots.shape[1]):
            stays = place < live.shape[1] and _place_of(pool.slots[gpu], live[gpu, place]) >= 0
            slots[gpu, place] = live[gpu, place] if stays else -1
        for place in range(pool.slots.shape[1]):
            if _place_of(slots[gpu], pool.slots[gpu, place]) < 0:
                slots[gpu, _place_of(slots[gpu], -1)] = pool.slots[gpu, place]


@kernel
def _place_of(slots: Integers, expert: int) -> int:
    """Return the first slot that holds the expert; -1 where none does."""
    for place in range(slots.size):
        if slots[place] == expert:
            return place
    return -1
