"""exchange_experts(): the weights go from one placement to another, in place, on ``torch.distributed``."""

from __future__ import annotations

from hashlib import sha256
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

from equipoise.cluster import Cluster
from equipoise.errors import InputError
from equipoise.migration.migration import Migration
from equipoise.placement import Placement
from equipoise.runtime.agreement import agree, all_did
from equipoise.runtime.rounds import first_arrivals, rounds_of
from equipoise.runtime.slot_bytes import bytes_of_slot, check_tensors, empty_slot, slot_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.distributed import ProcessGroup

    Restore = Callable[[int, int], Sequence[Tensor]]


NAMED = 12  # of the experts that are lost, those that a message names


class ExchangeError(RuntimeError):
    """An exchange that could not be carried through: a rank is gone, or what it sent did not come."""


def exchange_experts(
    tensors: Sequence[Sequence[Tensor]],
    migration: Migration | tuple[Placement, Placement],
    group: ProcessGroup | None = None,
    *,
    buffer_bytes: int | None = None,
    restore: Restore | None = None,
    stream: torch.cuda.Stream | None = None,
) -> None:
    """Move experts' weights from one placement to another, in place; every rank of the group calls this.

    The parameters, and what is raised, are those of :class:`ExpertExchange`.
    """
    exchange = ExpertExchange(tensors, migration, group, buffer_bytes=buffer_bytes, restore=restore, stream=stream)
    while not exchange.done:
        exchange.begin()
        exchange.commit()


class ExpertExchange:
    """The same in steps: while a model serves, weights arrive in buffers; then they take their slots.

    Each round is one :meth:`begin` and one :meth:`commit`, on all ranks. After a commit, :attr:`placement` is what is
    live: serve by it from there on. How the weights go is :class:`equipoise.Migration`'s: from the own GPU first, then
    from the own node, senders dealt evenly, and in a batch a GPU talks to one other.

    Parameters
    ----------
    tensors : sequence of sequences of torch.Tensor
        For each layer the tensors that have this GPU's slots as their first axis: weights, scales, biases, optimizer
        state; of any type. Overwritten.
    migration : Migration, or (before, after) of Placement
        The same on all ranks.
    group : ProcessGroup, optional
        The GPUs that are live in both placements' clusters, in the order of their numbers. One of its own if the
        model communicates in the meantime.
    buffer_bytes : int, optional
        Bytes that may wait on a GPU at once; more rounds are made of less.
    restore : callable, optional
        ``restore(layer, expert)`` returns what no live GPU holds, a tensor for each of the layer's.
    stream : torch.cuda.Stream, optional
        Where copies are queued while the model serves; else the current one.

    Attributes
    ----------
    placement : Placement
        What is live on all GPUs that take part, on the larger of the two clusters until all is done.
    done : bool
        Whether the placement is the one after.

    Raises
    ------
    InputError
        On all ranks alike, before anything moves: ranks that would do something else, tensors that do not fit, an
        expert that would be lost, or buffers that are too small.
    """

    def __init__(
        self,
        tensors: Sequence[Sequence[Tensor]],
        migration: Migration | tuple[Placement, Placement],
        group: ProcessGroup | None = None,
        *,
        buffer_bytes: int | None = None,
        restore: Restore | None = None,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        self._tensors, self._group, self._restore, self._stream = tensors, group, restore, stream
        self._device = _device_of(group)
        digest, wrong = b"", None
        try:
            self._migration = migration if isinstance(migration, Migration) else Migration(*migration)
            self._gpus = _taking_part(self._migration)
            self._first = first_arrivals(self._migration)
            self._check()
            sizes = np.array([bytes_of_slot(layer) for layer in tensors], np.int64)
            self._rounds = rounds_of(self._migration, sizes, buffer_bytes)
            digest = self._digest(buffer_bytes)
        except InputError as error:
            wrong = str(error)
        agree(digest, wrong, group, self._device)
        ranks = dist.get_process_group_ranks(group)
        self._rank_of = dict(zip(self._gpus, ranks, strict=True))
        self._live = _on_larger(self._migration)
        self._next = 0
        self._buffers: dict[int, list[Tensor]] = {}
        self._mover: Thread | None = None
        self._failure: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether all has taken its slot."""
        return self._next == len(self._rounds)

    @property
    def arrived(self) -> bool:
        """Whether all of the round that was begun is in this GPU's buffers, so that a commit waits for others alone."""
        return self._mover is not None and not self._mover.is_alive()

    @property
    def placement(self) -> Placement:
        """What is live now."""
        return self._migration.after if self.done else self._live

    @property
    def _gpu(self) -> int:
        return self._gpus[dist.get_rank(self._group)]

    def begin(self) -> None:
        """Begin to move the next round into buffers, in a thread of its own; slots stay as they are.

        Raises
        ------
        InputError
            If all is done, or the last round has not been committed.
        """
        if self.done or self._mover:
            raise InputError("there is nothing to begin: " + ("all is done" if self.done else "commit comes next"))
        self._mover = Thread(target=self._move, args=(self._rounds[self._next].batches,), daemon=True)
        self._mover.start()

    def commit(self) -> Placement:
        """Wait for the round that was begun, and let what arrived take its slots; return what is live then.

        Raises
        ------
        InputError
            If no round was begun.
        ExchangeError
            If a rank could not do its part. Then no slot of this rank has changed in this round.
        """
        if self._mover is None:
            raise InputError("there is nothing to commit: begin comes first")
        self._mover.join()
        self._mover = None
        self._agree_that_all_arrived()
        taken = self._rounds[self._next].taken
        self._take(taken)
        self._live = _with(self._live, self._migration, taken)
        self._next += 1
        return self.placement

    def _check(self) -> None:
        migration, world = self._migration, dist.get_world_size(self._group)
        if len(self._gpus) != world:
            raise InputError(f"the group has {world} ranks; expected {len(self._gpus)}, the GPUs that are live")
        migration.after.validate(duplicates=True)
        slots = [
            one.cluster.slots_per_gpu for one in (migration.before, migration.after) if self._gpu < one.cluster.gpus
        ]
        check_tensors(self._tensors, migration.after.layers, max(slots))
        from_disk = migration.source < 0
        if self._restore is None and from_disk.any():
            lost = sorted(
                set(zip(migration.layer[from_disk].tolist(), migration.expert[from_disk].tolist(), strict=True))
            )
            named = ", ".join(f"{expert} of layer {layer}" for layer, expert in lost[:NAMED])
            more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
            raise InputError(f"no live GPU holds expert {named}{more}; expected restore= to say what they are")

    def _digest(self, buffer_bytes: int | None) -> bytes:
        migration = self._migration
        parts = [(one.cluster, one.experts, one.phy2log.tobytes()) for one in (migration.before, migration.after)]
        kinds = [[(tuple(tensor.shape[1:]), tensor.dtype) for tensor in layer] for layer in self._tensors]
        return sha256(repr((parts, kinds, buffer_bytes)).encode()).digest()

    def _move(self, batches: list[NDArray[np.int64]]) -> None:
        """Receive, send, copy and restore what this GPU has to; a failure is told at the commit."""
        try:
            with torch.cuda.stream(self._stream):  # does nothing where it is None
                for rows in batches:
                    self._exchange(rows)
        except BaseException as failure:
            self._failure = failure

    def _exchange(self, rows: NDArray[np.int64]) -> None:
        """Do one batch's part of this GPU."""
        migration, operations = self._migration, list[dist.P2POp]()
        for row in rows.tolist():
            if migration.gpu[row] == self._gpu:
                self._buffers[row] = self._arriving(row, operations)
            elif migration.source[row] == self._gpu and self._first[row] == row:
                peer = self._rank_of[int(migration.gpu[row])]
                operations += [dist.P2POp(dist.isend, part, peer, self._group) for part in self._held(row)]
        for work in dist.batch_isend_irecv(operations) if operations else []:
            work.wait()

    def _arriving(self, row: int, operations: list[dist.P2POp]) -> list[Tensor]:
        """Return the buffers of a row that comes to this GPU: filled, or to be filled by a receiving operation."""
        migration, first = self._migration, int(self._first[row])
        layer, source = int(migration.layer[row]), int(migration.source[row])
        if source == self._gpu:
            return [part.clone() for part in self._held(row)]
        if first != row:  # the expert came for another slot of this GPU
            place = int(migration.slot[first]) % migration.after.cluster.slots_per_gpu
            return self._buffers.get(first) or slot_bytes(self._tensors[layer], place)
        buffers = empty_slot(self._tensors[layer])
        if source >= 0:
            peer = self._rank_of[source]
            operations += [dist.P2POp(dist.irecv, part, peer, self._group) for part in buffers]
        else:
            self._restored(layer, int(migration.expert[row]), buffers)
        return buffers

    def _restored(self, layer: int, expert: int, buffers: list[Tensor]) -> None:
        """Fill the buffers with what no GPU holds; a failure is told at the commit, since others wait for this GPU."""
        assert self._restore is not None, "checked before anything moved"
        try:
            for buffer, tensor in zip(buffers, self._restore(layer, expert), strict=True):
                buffer.copy_(tensor.detach().reshape(-1).contiguous().view(torch.uint8))
        except Exception as failure:
            self._failure = failure

    def _held(self, row: int) -> list[Tensor]:
        """Return the bytes of the slot that a row is read from, on this GPU."""
        place = int(self._migration.source_slot[row]) % self._migration.before.cluster.slots_per_gpu
        return slot_bytes(self._tensors[int(self._migration.layer[row])], place)

    def _agree_that_all_arrived(self) -> None:
        """Raise unless all ranks have all that they need for this round."""
        failure, self._failure = self._failure, None
        try:
            together = all_did(failure is None, self._group, self._device)
        except RuntimeError as error:
            failure, together = failure or error, False
        if not together:
            self._buffers.clear()
            raise ExchangeError("a rank is gone or failed; nothing of this round has taken its slot here") from failure

    def _take(self, taken: NDArray[np.int64]) -> None:
        """Copy the buffers of rows that came to this GPU into their slots."""
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)
        for row in taken[self._migration.gpu[taken] == self._gpu].tolist():
            place = int(self._migration.slot[row]) % self._migration.after.cluster.slots_per_gpu
            slot = slot_bytes(self._tensors[int(self._migration.layer[row])], place)
            for part, arrived in zip(slot, self._buffers.pop(row), strict=True):
                part.copy_(arrived)


def _device_of(group: ProcessGroup | None) -> torch.device:
    """Return where a group's tensors are: on this process's GPU for NCCL, else on the CPU."""
    on_gpu = dist.get_backend(group) == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def _taking_part(migration: Migration) -> list[int]:
    """Return the GPUs that are live in both clusters, or in the one that they are in."""
    clusters = migration.before.cluster, migration.after.cluster
    dead = {*clusters[0].dead, *clusters[1].dead}
    return [gpu for gpu in range(max(cluster.gpus for cluster in clusters)) if gpu not in dead]


def _on_larger(migration: Migration) -> Placement:
    """Return the placement before, with room for the one after."""
    before, after = migration.before, migration.after
    if before.cluster == after.cluster:
        return before
    gpus, places = (max(getattr(one.cluster, name) for one in (before, after)) for name in ("gpus", "slots_per_gpu"))
    dead = {*before.cluster.dead, *after.cluster.dead}
    slots = np.full((before.layers, gpus, places), -1, np.int64)
    slots[:, : before.cluster.gpus, : before.cluster.slots_per_gpu] = before.by_gpu
    slots[:, sorted(dead)] = -1
    cluster = Cluster(gpus=gpus, slots_per_gpu=places, dead=sorted(dead))
    return Placement(slots.reshape(before.layers, -1), cluster, before.experts)


def _with(live: Placement, migration: Migration, taken: NDArray[np.int64]) -> Placement:
    """Return what is live once these rows have taken their slots."""
    place = migration.slot[taken] % migration.after.cluster.slots_per_gpu
    slots = live.phy2log.copy()
    slots[migration.layer[taken], migration.gpu[taken] * live.cluster.slots_per_gpu + place] = migration.expert[taken]
    return Placement(slots, live.cluster, live.experts)
