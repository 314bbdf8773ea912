from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from equipoise import Cluster, InputError, Migration, Placement, Traffic
from equipoise.migration import migration as module
from equipoise.migration.batches import in_batches
from equipoise.migration.costs import Costs
from equipoise.migration.migration import count_moves
from tests.reference.execution import execute, is_message, rows_of, survivors

EXPERTS = 5


@given(data=st.data(), layers=st.integers(1, 3), gpus=st.integers(1, 4), slots_per_gpu=st.integers(1, 4))
def test_moves_are_the_experts_that_are_new_to_a_gpu(data, layers, gpus, slots_per_gpu):
    experts = 5
    shape = layers, gpus, slots_per_gpu
    before, after = (data.draw(arrays(np.int64, shape, elements=st.integers(0, experts - 1))) for _ in range(2))
    cluster = Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)
    moves = count_moves(*(Placement(held.reshape(layers, -1), cluster, experts) for held in (before, after)))
    assert moves.tolist() == [
        sum(len(set(after[layer, gpu].tolist()) - set(before[layer, gpu].tolist())) for gpu in range(gpus))
        for layer in range(layers)
    ]


@st.composite
def placements(draw, layers):
    """A placement with empty slots, duplicates and dead GPUs, on which nothing is."""
    nodes, gpus_per_node, slots_per_gpu = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    gpus = nodes * gpus_per_node
    dead = draw(st.sets(st.integers(0, gpus - 1), max_size=gpus - 1))
    slots = draw(arrays(np.int64, (layers, gpus, slots_per_gpu), elements=st.integers(-1, EXPERTS - 1)))
    slots[:, sorted(dead)] = -1
    return Placement(slots.reshape(layers, -1), Cluster(gpus, nodes, slots_per_gpu, tuple(dead)), EXPERTS)


@st.composite
def migrations(draw):
    layers = draw(st.integers(1, 2))
    return Migration(draw(placements(layers)), draw(placements(layers)))


def random_migration(gpus, slots_per_gpu, experts, seed):
    """Between two placements that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    cluster = Cluster(gpus=gpus, slots_per_gpu=slots_per_gpu)
    filled = np.arange(cluster.slots) % experts
    return Migration(*(Placement([rng.permutation(filled)], cluster, experts) for _ in range(2)))


def migration_of(before, after, gpus, **cluster):
    return Migration(*(Placement([row], Cluster(gpus, **cluster), max(before) + 1) for row in (before, after)))


@given(migrations())
def test_carried_out_a_migration_loses_nothing_and_ends_where_it_should(migration):
    executions = [execute(migration, layer) for layer in range(migration.after.layers)]
    assert migration.batches.tolist() == [execution.batches for execution in executions]
    assert migration.staging == max(execution.staging for execution in executions)


@pytest.mark.parametrize(("gpus", "slots_per_gpu", "experts"), [(32, 9, 256), (64, 5, 256), (16, 3, 32), (4, 16, 60)])
def test_large_migrations_are_carried_out_in_few_batches(gpus, slots_per_gpu, experts):
    for seed in range(5):
        execution = execute(random_migration(gpus, slots_per_gpu, experts, seed), 0)
        assert execution.batches <= 1.2 * execution.busiest


@given(migrations())
def test_batches_are_less_than_twice_the_messages_of_the_busiest_gpu(migration):
    for layer in range(migration.after.layers):
        execution = execute(migration, layer)
        assert execution.batches < max(2 * execution.busiest, 2)


@given(migrations())
def test_the_nearest_holder_sends_and_of_these_the_one_that_sent_fewest(migration):
    node = nodes_of(migration)
    for layer in range(migration.after.layers):
        held = survivors(migration, layer)
        sent = Counter()
        for row in rows_of(migration, layer):
            gpu = row.slot[0]
            holders = sorted({holder for (holder, _), expert in held.items() if expert == row.expert})
            neighbours = [holder for holder in holders if node[holder] == node[gpu]]
            if gpu in holders:
                assert row.source[0] == gpu
            elif holders:
                assert row.source[0] == min(neighbours or holders, key=lambda holder: sent[holder])
                sent[row.source[0]] += 1


@given(migrations())
def test_there_is_a_row_for_each_slot_that_does_not_hold_its_expert(migration):
    after = migration.after
    assert len(set(zip(migration.layer.tolist(), migration.slot.tolist(), strict=True))) == len(migration.layer)
    for layer in range(after.layers):
        before = survivors(migration, layer)
        arriving = {
            slot
            for slot, expert in enumerate(after.phy2log[layer].tolist())
            if expert >= 0 and before.get(divmod(slot, after.cluster.slots_per_gpu)) != expert
        }
        assert arriving == set(migration.slot[migration.layer == layer].tolist())


@given(migrations())
def test_moves_agree_with_count_moves_where_nothing_arrives_twice(migration):
    twice = migration.after.duplicates > 0
    counted = count_moves(migration.before, migration.after)
    np.testing.assert_array_equal(migration.moves[~twice], counted[~twice])
    assert (migration.moves >= counted).all()


@given(migrations())
def test_every_row_is_traffic_of_one_kind(migration):
    traffic, by_link = migration.bytes(7), migration.by_link()
    messages = [row for layer in range(migration.after.layers) for row in rows_of(migration, layer) if is_message(row)]
    node = nodes_of(migration)
    links = Counter((node[row.source[0]], node[row.slot[0]]) for row in messages)
    assert {link: by_link[link] for link in np.ndindex(by_link.shape) if by_link[link]} == links
    assert traffic.within_nodes == 7 * by_link.trace()
    assert traffic.within_nodes + traffic.between_nodes == 7 * len(messages)
    assert traffic.local == 7 * migration.local.sum()
    assert traffic.from_disk == 7 * migration.from_disk.sum()
    assert sum(vars(traffic).values()) == 7 * len(migration.layer)


def test_nothing_moves_between_equal_placements():
    migration = migration_of([0, 1, 2, 0], [0, 1, 2, 0], gpus=2, slots_per_gpu=2)
    assert [len(column) for column in migration.columns().values()] == [0] * 8
    assert (migration.moves.tolist(), migration.batches.tolist(), migration.staging) == ([0], [0], 0)
    assert migration.bytes(1) == Traffic(0, 0, 0, 0)


def test_a_swap_is_one_batch_and_nothing_waits():
    migration = migration_of([0, 1], [1, 0], gpus=2)
    assert (migration.batch.tolist(), migration.commit.tolist(), migration.staging) == ([0, 0], [0, 0], 0)


def test_experts_that_change_slots_on_their_gpu_are_copied_there():
    migration = migration_of([0, 1, 2, 3], [1, 0, 2, 3], gpus=2, slots_per_gpu=2)
    assert (migration.source.tolist(), migration.source_slot.tolist()) == ([0, 0], [1, 0])
    assert (migration.moves.tolist(), migration.local.tolist(), migration.batches.tolist()) == ([0], [2], [1])


def test_an_expert_waits_until_its_slot_has_been_read_by_all():
    # Expert 0 goes from GPU 0 to three others; what GPU 0 gets instead comes in the first batch and waits two more.
    migration = migration_of([0, 1, 2, 3], [1, 0, 0, 0], gpus=4)
    assert migration.source.tolist() == [1, 0, 0, 0]
    assert migration.batch.tolist() == [0, 0, 1, 2]
    assert migration.commit.tolist() == [2, 0, 1, 2]
    assert migration.staging == 1


def test_what_was_only_on_a_dead_gpu_comes_from_disk():
    before = Placement([[0, 1, 2, 0]], Cluster(gpus=4), experts=3)
    after = Placement([[1, -1, 0, 2]], Cluster(gpus=4, dead=[1]), experts=3)
    migration = Migration(before, after)
    assert (migration.source.tolist(), migration.source_slot.tolist()) == ([-1, 0, 2], [-1, 0, 2])
    assert (migration.from_disk.tolist(), migration.moves.tolist()) == ([1], [3])


def nodes_of(migration):
    """Return the node of each GPU: where it is, or was if it leaves."""
    before, after = migration.before.cluster, migration.after.cluster
    sizes = [after.gpus_per_node if gpu < after.gpus else before.gpus_per_node for gpu in range(99)]
    return [gpu // size for gpu, size in enumerate(sizes)]


def test_a_node_that_shrinks_stays_one_node():
    before = Placement([[0, 1, 2, 3]], Cluster(gpus=4), experts=4)
    migration = Migration(before, Placement([[0, 2, 1, 3]], Cluster(gpus=2, slots_per_gpu=2), experts=4))
    assert migration.by_link().tolist() == [[2]]


def test_a_gpu_that_leaves_sends_from_the_node_that_it_was_on():
    before = Placement([[0, 1, 2, 3]], Cluster(gpus=4, nodes=2), experts=4)
    after = Placement([[0, 2, 1, 3]], Cluster(gpus=2, slots_per_gpu=2), experts=4)
    migration = Migration(before, after)
    assert (migration.gpu.tolist(), migration.source.tolist()) == ([0, 1], [2, 3])
    assert migration.by_link().tolist() == [[0, 0], [2, 0]]


def test_what_moves_is_known_before_any_batch_is_scheduled(monkeypatch):
    scheduled = []

    def counted(messages):
        scheduled.append(list(messages))
        return in_batches(scheduled[-1])

    monkeypatch.setattr(module, "in_batches", counted)
    migration = random_migration(gpus=8, slots_per_gpu=3, experts=20, seed=0)
    assert migration.moves.sum() > 0
    assert migration.bytes(1).within_nodes == migration.by_link().sum() == migration.moves.sum()
    assert (migration.moved_share, migration.from_disk.sum()) == (migration.moves.sum() / 24, 0)
    assert migration.local.sum() + migration.moves.sum() == len(migration.expert)
    assert Costs().stall(migration) > 0
    assert scheduled == []
    assert (migration.commit >= migration.batch).all()
    assert migration.batches.sum() == migration.batch.max() + 1
    assert [len(messages) for messages in scheduled] == [migration.moves.sum()]


def test_moves_are_a_share_of_the_slots_of_live_gpus():
    before = Placement([[0, 1, 2, 0]] * 2, Cluster(gpus=4), experts=3)
    after = Placement([[1, -1, 0, 2], [0, -1, 2, 1]], Cluster(gpus=4, dead=[1]), experts=3)
    migration = Migration(before, after)
    assert (migration.moves.tolist(), migration.moved_share) == ([3, 1], 4 / 6)


@given(migrations())
def test_moves_are_as_large_a_share_as_slot_by_slot(migration):
    cluster = migration.after.cluster
    live = [slot for slot in range(cluster.slots) if slot // cluster.slots_per_gpu not in cluster.dead]
    assert migration.moved_share == migration.moves.sum() / (migration.after.layers * len(live))


def test_columns_are_whole_numbers_of_one_length():
    columns = random_migration(gpus=4, slots_per_gpu=2, experts=6, seed=0).columns()
    assert list(columns) == ["layer", "expert", "gpu", "slot", "source", "source_slot", "batch", "commit"]
    assert {(column.dtype, column.shape) for column in columns.values()} == {
        (np.dtype(np.int64), columns["layer"].shape)
    }


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (Placement([[0, 1]] * 2, Cluster(gpus=2), 2), "before has 1 layers of 2 experts, the one after 2 of 2"),
        (Placement([[0, 1]], Cluster(gpus=2), 3), "before has 1 layers of 2 experts, the one after 1 of 3"),
        (Placement([[0, 1]], Cluster(gpus=2, dead=[1]), 2), "layer 0, slot 1 of the placement after is on a dead GPU"),
    ],
)
def test_placements_without_a_way_between_them_are_refused(after, message):
    with pytest.raises(InputError, match=message):
        Migration(Placement([[0, 1]], Cluster(gpus=2), experts=2), after)


@pytest.mark.parametrize("expert_bytes", [0, -1, 1.5, True])
def test_bytes_of_an_expert_are_a_whole_number(expert_bytes):
    with pytest.raises(InputError, match="expert_bytes is"):
        migration_of([0, 1], [1, 0], gpus=2).bytes(expert_bytes)
