"""A migration carried out batch by batch on what every slot of a layer holds, each promise checked on the way.

An expert's number stands for its weights, and a slot is a pair of its GPU and its place there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from equipoise import Migration, Placement

    Slot = tuple[int, int]  # GPU, place


class Row(NamedTuple):
    """One expert that must arrive; from disk where ``source`` is None."""

    expert: int
    slot: Slot
    source: Slot | None
    batch: int
    commit: int


class Execution(NamedTuple):
    """What carrying out a layer took."""

    batches: int
    staging: int
    busiest: int  # messages that one GPU sends and receives


def execute(migration: Migration, layer: int) -> Execution:
    """Carry out one layer, and raise an AssertionError for the first promise that is broken."""
    rows = rows_of(migration, layer)
    slots = survivors(migration, layer)
    wanted = contents(migration.after, layer)
    lasting = set(slots.values()) & set(wanted.values())
    buffers: dict[Slot, int] = {}
    overwritten: set[Slot] = set()
    batches = max((row.commit + 1 for row in rows), default=0)
    staging = 0
    for batch in range(batches):
        arriving = [row for row in rows if row.batch == batch]
        check_talk(arriving)
        for row in arriving:
            assert row.slot not in buffers
            buffers[row.slot] = read(row, slots, overwritten)
        for row in rows:
            if row.commit == batch:
                assert row.batch == batch or batch in reads(rows, row.slot), "it could have taken its slot earlier"
                slots[row.slot] = buffers.pop(row.slot)
                overwritten.add(row.slot)
                assert lasting <= {*slots.values(), *buffers.values()}, "an expert is lost"
        staging = max([staging, *Counter(gpu for gpu, _ in buffers).values()])
    assert not buffers
    assert wanted.items() <= slots.items()
    messages = Counter(gpu for row in rows if is_message(row) for gpu in (row.source[0], row.slot[0]))
    return Execution(batches, staging, max(messages.values(), default=0))


def rows_of(migration: Migration, layer: int) -> list[Row]:
    """Return the layer's rows, in their order."""
    columns = migration.columns()
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True))
    places_before, places_after = (p.cluster.slots_per_gpu for p in (migration.before, migration.after))
    found = []
    for row in rows:
        slot = divmod(row["slot"], places_after)
        source = None if row["source_slot"] == -1 else divmod(row["source_slot"], places_before)
        assert row["gpu"] == slot[0]
        assert row["source"] == (source[0] if source else -1)
        if row["layer"] == layer:
            found.append(Row(row["expert"], slot, source, row["batch"], row["commit"]))
    return found


def survivors(migration: Migration, layer: int) -> dict[Slot, int]:
    """Return the expert in each slot before, but for those on dead GPUs."""
    dead = {*migration.before.cluster.dead, *migration.after.cluster.dead}
    return {slot: expert for slot, expert in contents(migration.before, layer).items() if slot[0] not in dead}


def contents(placement: Placement, layer: int) -> dict[Slot, int]:
    """Return the expert in each slot that is not empty."""
    places = placement.cluster.slots_per_gpu
    return {divmod(slot, places): e for slot, e in enumerate(placement.phy2log[layer].tolist()) if e >= 0}


def is_message(row: Row) -> bool:
    """Return whether one GPU sends it to another."""
    return row.source is not None and row.source[0] != row.slot[0]


def reads(rows: Iterable[Row], slot: Slot) -> set[int]:
    """Return the batches in which the slot is read."""
    return {row.batch for row in rows if row.source == slot}


def check_talk(arriving: list[Row]) -> None:
    """Check that each GPU talks to one other, sending one expert and receiving one at most."""
    links = [(row.source[0], row.slot[0]) for row in arriving if is_message(row)]
    for ends in zip(*links, strict=True):
        assert len(set(ends)) == len(ends), "a GPU sends or receives two experts in a batch"
    pairs = {frozenset(link) for link in links}
    assert len(set().union(*pairs)) == 2 * len(pairs), "a GPU talks to two others in a batch"
    assert all(row.batch == 0 for row in arriving if not is_message(row))


def read(row: Row, slots: dict[Slot, int], overwritten: set[Slot]) -> int:
    """Return the expert as its source held it from the start, or from disk where no GPU holds it."""
    if row.source is None:
        assert row.expert not in slots.values(), "a GPU could have sent it"
        return row.expert
    assert row.source not in overwritten, "the slot has been overwritten before it was read"
    assert slots[row.source] == row.expert
    return slots[row.source]
