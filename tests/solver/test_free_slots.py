from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise.solver.pool import Pool, empty_queues
from tests.solver.compiled import fill_slots
from tests.solver.pools import assert_consistent, loaded_pool


@dataclass(frozen=True)
class Task:
    """What lives on GPUs already, and where experts should live."""

    load: list[int]
    live: list[set[int]]
    slots_per_gpu: int
    home: list[int]  # -1 for any
    node: list[int]

    def filled(self) -> Pool:
        experts, gpus = len(self.load), len(self.live)
        pool, slots = loaded_pool(self.load, gpus, self.slots_per_gpu), np.full((gpus, experts), -1)
        for gpu, held in enumerate(self.live):
            slots[gpu, : len(held)] = sorted(held)
        fill_slots(pool, empty_queues(experts, gpus), slots, np.array(self.home), np.array(self.node))
        assert_consistent(pool)
        return pool

    def free(self, node: int | None = None) -> int:
        """Return the free slots of a node, or of all."""
        return sum(
            max(self.slots_per_gpu - len(held), 0)
            for gpu, held in enumerate(self.live)
            if node in (None, self.node[gpu])
        )

    def missing(self, node: int | None = None) -> list[int]:
        """Return the experts that live nowhere: those at home on a node, or all."""
        lacking = set(range(len(self.load))) - set().union(*self.live)
        return sorted(expert for expert in lacking if node is None or self.home[expert] == node)

    def there_is_room(self) -> bool:
        """Return whether all that live somewhere can stay, and those that do not find a free slot at home."""
        anywhere, nodes = len(self.missing(-1)), set(self.home) - {-1}
        return (
            max(map(len, self.live)) <= self.slots_per_gpu
            and self.free() >= len(self.missing())
            and all(self.free(node) >= len(self.missing(node)) + anywhere for node in nodes)
        )


@st.composite
def tasks(draw, most_live=None):
    """Loads that any number of GPUs here divides, so that sums of them are exact."""
    node = sorted(draw(st.lists(st.integers(0, 1), min_size=1, max_size=5)))
    experts = draw(st.integers(1, 8))
    least = -(-experts // len(node))
    slots_per_gpu = draw(st.integers(least, max(least, experts // 2)))
    load = [60 * draw(st.integers(0, 20)) for _ in range(experts)]
    homes = draw(st.sampled_from([[-1], [0, 1], [-1, 0, 1]]))
    home = [draw(st.sampled_from(homes)) for _ in range(experts)]
    live = st.sets(st.integers(0, experts - 1), max_size=most_live(slots_per_gpu) if most_live else experts)
    return Task(load, [draw(live) for _ in node], slots_per_gpu, home, node)


def gpus_of(pool) -> list[set[int]]:
    return [set(held) for held in pool.slots.tolist()]


@settings(max_examples=200, deadline=None)
@given(task=tasks())
def test_every_slot_is_filled_and_every_expert_lives(task):
    pool = task.filled()
    assert set(pool.slots.ravel().tolist()) == set(range(len(task.load)))


@settings(max_examples=200, deadline=None)
@given(task=tasks(most_live=lambda slots: slots))
def test_a_live_replica_that_has_a_slot_goes_only_for_an_expert_without_room(task):
    pool = task.filled()
    gone = [expert for held, now in zip(task.live, gpus_of(pool), strict=True) for expert in held - now]
    if task.there_is_room():
        assert not gone
    assert len(gone) <= len(task.missing())
    assert all(sum(expert in held for held in task.live) > gone.count(expert) for expert in gone)


@settings(max_examples=200, deadline=None)
@given(task=tasks())
def test_a_gpu_without_a_free_slot_gets_nothing_new_but_what_lives_nowhere_or_had_no_slot(task):
    for held, now in zip(task.live, gpus_of(task.filled()), strict=True):
        if len(held) >= task.slots_per_gpu:
            for expert in now - held:
                holders = [len(other) for other in task.live if expert in other]
                assert all(slots > task.slots_per_gpu for slots in holders)


@settings(max_examples=200, deadline=None)
@given(task=tasks(most_live=lambda slots: slots))
def test_what_is_new_is_at_home_unless_nothing_else_is_possible(task):
    for gpu, (held, now) in enumerate(zip(task.live, gpus_of(task.filled()), strict=True)):
        of_node = {expert for expert, home in enumerate(task.home) if home in (-1, task.node[gpu])}
        strangers = now - held - of_node
        assert strangers <= set(task.missing()) or of_node <= now


def slowly_filled(task):
    """Return the experts of each GPU where there is room for all that live somewhere, and at home for the others."""
    held = [set(gpu) for gpu in task.live]

    def share(expert):
        return task.load[expert] / max(sum(expert in gpu for gpu in held), 1)

    def lightest(node):
        roomy = [
            gpu for gpu in range(len(held)) if len(held[gpu]) < task.slots_per_gpu and node in (-1, task.node[gpu])
        ]
        return min(roomy, key=lambda gpu: sum(map(share, held[gpu])))

    for expert in sorted(task.missing(), key=lambda expert: -task.load[expert]):
        held[lightest(task.home[expert])].add(expert)
    while any(len(gpu) < task.slots_per_gpu for gpu in held):
        gpu = lightest(-1)
        lacking = [expert for expert in range(len(task.load)) if expert not in held[gpu]]
        at_home = [expert for expert in lacking if task.home[expert] in (-1, task.node[gpu])]
        held[gpu].add(max(at_home or lacking, key=share))
    return held


@settings(max_examples=200, deadline=None)
@given(task=tasks(most_live=lambda slots: slots // 2))
def test_free_slots_go_to_what_is_missing_and_then_to_the_heaviest_replicas(task):
    assume(task.there_is_room())
    assert gpus_of(task.filled()) == slowly_filled(task)


def test_of_too_many_those_go_whose_other_replicas_grow_least():
    # Without expert 1, its other replica would grow by 10; without expert 2, by 1; expert 0 has no other replica.
    task = Task([4, 20, 2, 1], [{0, 1, 2}, {1, 2, 3}], slots_per_gpu=2, home=[-1] * 4, node=[0, 0])
    assert gpus_of(task.filled()) == [{0, 1}, {2, 3}]


def test_where_nothing_is_free_the_replica_that_can_best_be_spared_goes_for_one_that_is_missing():
    # Experts 0 and 1 have two replicas each; those of expert 1 are lighter, and the first of them goes.
    task = Task([20, 10, 5, 50], [{0, 1}, {0, 1}, {2}], slots_per_gpu=2, home=[-1] * 4, node=[0, 0, 0])
    assert gpus_of(task.filled()) == [{0, 1}, {0, 1}, {2, 3}]
    full = Task([20, 10, 5, 50], [{0, 1}, {0, 1}, {2, 0}], slots_per_gpu=2, home=[-1] * 4, node=[0, 0, 0])
    assert gpus_of(full.filled()) == [{0, 1}, {3, 1}, {2, 0}] or gpus_of(full.filled()) == [{3, 1}, {0, 1}, {2, 0}]


def test_a_missing_expert_takes_a_slot_at_home_rather_than_a_free_one_elsewhere():
    task = Task([9, 8, 1, 5, 2], [{0, 1}, {1, 2}, {3}], slots_per_gpu=2, home=[0, 0, 0, 1, 0], node=[0, 0, 1])
    assert gpus_of(task.filled())[:2] in ([{0, 4}, {1, 2}], [{0, 1}, {4, 2}])


def test_a_missing_expert_goes_to_another_node_where_its_home_has_none_to_spare():
    task = Task([9, 8, 1, 5], [{0, 1}, {3}], slots_per_gpu=2, home=[0, 0, 0, 1], node=[0, 1])
    assert gpus_of(task.filled()) == [{0, 1}, {2, 3}]


def test_experts_without_load_are_placed_too():
    task = Task([0, 0, 0, 0], [set(), {1}], slots_per_gpu=3, home=[0, 0, 1, 1], node=[0, 1])
    assert set().union(*gpus_of(task.filled())) == {0, 1, 2, 3}
