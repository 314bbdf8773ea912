"""rounds_of(): a migration in parts, each no larger than the buffers that it waits in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.errors import InputError, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.migration.migration import Migration

    Rows = NDArray[np.int64]


class Round(NamedTuple):
    """Rows of a migration that arrive in buffers one batch after another, and those that take their slots after that.

    Attributes
    ----------
    batches : list of ndarray, int64
        Rows that arrive, by batch.
    taken : ndarray, int64
        Rows that take their slots at the end; of earlier rounds too, if they had to wait.
    """

    batches: list[Rows]
    taken: Rows


def rounds_of(migration: Migration, expert_bytes: NDArray[np.int64], most: int | None) -> list[Round]:
    """Return the rounds of a migration: as few as the buffers allow, and after each every expert is in a slot.

    Layers go together as far as they fit. One that is too large by itself goes in parts.

    Parameters
    ----------
    migration : Migration
        What arrives where, in which batch, and after which it takes its slot.
    expert_bytes : ndarray, int64 ``[layers]``
        Bytes of one expert of each layer.
    most : int or None
        Bytes that may wait on a GPU; None for any number.

    Raises
    ------
    InputError
        If experts that can only change places together need more.
    """
    rounds: list[Round] = []
    together: list[Round] = []
    used = np.zeros(_gpus(migration), np.int64)
    for layer in np.flatnonzero(migration.batches).tolist():
        batches = _batches(migration, layer)
        needed = _arrivals(migration, np.concatenate(batches)) * int(expert_bytes[layer])
        whole = [Round(batches, np.concatenate(batches))]
        if most is None or (used + needed).max() <= most:
            together, used = together + whole, used + needed
            continue
        rounds += _joined(together)
        if needed.max() <= most:
            together, used = whole, needed
        else:
            rounds += _parts(migration, layer, batches, most // int(expert_bytes[layer]))
            together, used = [], np.zeros_like(needed)
    return rounds + _joined(together)


def _gpus(migration: Migration) -> int:
    return max(migration.before.cluster.gpus, migration.after.cluster.gpus)


def _arrivals(migration: Migration, rows: Rows) -> NDArray[np.int64]:
    """Return how many of the rows come to each GPU."""
    return np.bincount(migration.gpu[rows], minlength=_gpus(migration))


def _batches(migration: Migration, layer: int) -> list[Rows]:
    rows = np.flatnonzero(migration.layer == layer)
    return [rows[migration.batch[rows] == number] for number in range(int(migration.batches[layer]))]


def _joined(layers: list[Round]) -> list[Round]:
    """Return one round of several, or none."""
    if not layers:
        return []
    return [Round([batch for one in layers for batch in one.batches], np.concatenate([one.taken for one in layers]))]


def _parts(migration: Migration, layer: int, batches: list[Rows], most: int) -> list[Round]:
    """Return the rounds of a layer, in none of which more experts wait on a GPU than these."""
    parts: list[Round] = []
    now: list[Rows] = []
    waiting, slots = np.empty(0, np.int64), _slots(migration, layer)
    for number, arriving in enumerate(batches):
        if _arrivals(migration, np.concatenate([waiting, arriving])).max() > most:
            taken = _takeable(migration, slots, waiting[migration.commit[waiting] < number])
            waiting = np.setdiff1d(waiting, taken)
            parts.append(Round(now, taken))
            now = []
            slots[_places(migration, taken)] = migration.expert[taken]
            still = int(_arrivals(migration, np.concatenate([waiting, arriving])).max())
            if still > most:
                raise InputError(
                    f"{setting('buffer_bytes')} is too small for layer {layer}: {still} of its experts must wait on a "
                    f"GPU at once, and there is room for {most}"
                )
        waiting = np.concatenate([waiting, arriving])
        now.append(arriving)
    return [*parts, Round(now, waiting)]


def _slots(migration: Migration, layer: int) -> NDArray[np.int64]:
    """Return the expert in each slot before, ``[gpus, slots per GPU]`` of the larger of both clusters; -1 for none."""
    before, after = migration.before, migration.after
    places = max(before.cluster.slots_per_gpu, after.cluster.slots_per_gpu)
    slots = np.full((_gpus(migration), places), -1, np.int64)
    slots[: before.cluster.gpus, : before.cluster.slots_per_gpu] = before.by_gpu[layer]
    slots[[*before.cluster.dead, *after.cluster.dead]] = -1
    return slots


def _places(migration: Migration, rows: Rows) -> tuple[Rows, Rows]:
    """Return GPU and place of the slots that rows take."""
    return migration.gpu[rows], migration.slot[rows] % migration.after.cluster.slots_per_gpu


def _takeable(migration: Migration, slots: NDArray[np.int64], rows: Rows) -> Rows:
    """Return those of the rows that may take their slots now: no expert is left in buffers alone."""
    experts = migration.after.experts
    there = np.bincount(slots[slots >= 0], minlength=experts) > 0
    while True:
        new = slots.copy()
        new[_places(migration, rows)] = migration.expert[rows]
        lost = there & (np.bincount(new[new >= 0], minlength=experts) == 0)
        held = slots[_places(migration, rows)]
        keeps = (held >= 0) & lost[held]
        if not keeps.any():
            return rows
        rows = rows[~keeps]


def first_arrivals(migration: Migration) -> Rows:
    """Return of each row that of the same expert which reaches the same GPU first: it is sent once."""
    keys = np.stack([migration.layer, migration.gpu, migration.expert])
    in_time = np.lexsort((migration.batch, *keys[::-1]))
    new = np.ones(len(in_time), np.bool_)
    new[1:] = (keys[:, in_time[1:]] != keys[:, in_time[:-1]]).any(axis=0)
    first = np.empty(len(in_time), np.int64)
    first[in_time] = in_time[np.maximum.accumulate(np.where(new, np.arange(len(in_time)), 0))]
    return first
