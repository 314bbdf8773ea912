"""The fill in one program: the picks of every row shared over its replicas, and written down for the look-up."""

from __future__ import annotations

import triton
import triton.language as tl

from equipoise.router import rules
from equipoise.router.kernels.counting import codes_of, counted

TABLE = tl.constexpr(rules.TABLE)
EXPERT_TURN = tl.constexpr(rules.EXPERT_TURN)
NEVER = tl.constexpr(rules.NEVER)
NODE_MATE = tl.constexpr(rules.NODE_MATE)
OTHER_NODE = tl.constexpr(rules.OTHER_NODE)
SIXTEENTHS = tl.constexpr(rules.SIXTEENTHS)


@triton.jit
def _distance(
    everything: tl.tensor, gpus: tl.tensor, gpus_per_node: tl.tensor, rank: tl.tensor, GPUS: tl.constexpr
) -> tl.tensor:
    """Return by how much each GPU counts as fuller because it is further away, ``[GPUS]``; of all that is sent."""
    gpu, own = tl.arange(0, GPUS), tl.maximum(rank, 0)
    away = tl.where(gpu // gpus_per_node == own // gpus_per_node, NODE_MATE, OTHER_NODE)
    away = tl.where((gpu == rank) | (rank < 0), 0, away)
    return away * everything // (gpus * SIXTEENTHS)


@triton.jit
def _seats(
    slot: tl.tensor,
    valid: tl.tensor,
    scratch: tl.tensor,
    gpus: tl.tensor,
    slots_per_gpu: tl.tensor,
    GPUS: tl.constexpr,
    SEATS: tl.constexpr,
) -> tl.tensor:
    """Return which of the rows' replicas each slot of each GPU holds, -1 for none, ``[GPUS * SEATS]``.

    slot, valid: ``[ROWS, REPLICAS]``. scratch: ``[slots]``, overwritten: threads that hold a replica tell those that
    hold its slot.
    """
    seat = tl.arange(0, GPUS * SEATS)
    here = (seat // SEATS < gpus) & (seat % SEATS < slots_per_gpu)
    at = scratch + seat // SEATS * slots_per_gpu + seat % SEATS
    tl.store(at, -1, mask=here)
    tl.debug_barrier()
    number = tl.arange(0, slot.shape[0])[:, None] * slot.shape[1] + tl.arange(0, slot.shape[1])[None, :]
    tl.store(scratch + slot, number, mask=valid)
    tl.debug_barrier()
    return tl.load(at, mask=here, other=-1)


@triton.jit
def _poured(load: tl.tensor, others: tl.tensor, valid: tl.tensor, PASSES: tl.constexpr) -> tl.tensor:
    """Return what each replica gets of its expert's load if that makes its GPUs level; others: what they carry else.

    load: ``[ROWS]``. others, valid: ``[ROWS, REPLICAS]``.
    """
    below, level = valid, load
    for _ in tl.static_range(PASSES):
        carried = tl.sum(tl.where(below, others, 0), 1)
        level = (load + carried) // tl.maximum(tl.sum(below.to(tl.int32), 1), 1)
        below = below & (others <= level[:, None])
    return tl.where(below, level[:, None] - others, 0)


@triton.jit
def _settled(
    load: tl.tensor,
    split: tl.tensor,
    valid: tl.tensor,
    gpu: tl.tensor,
    seats: tl.tensor,
    fixed: tl.tensor,
    ROUNDS: tl.constexpr,
    PASSES: tl.constexpr,
) -> tl.tensor:
    """Return the units of each replica after all rounds, ``[ROWS, REPLICAS]``.

    load: ``[ROWS]``, of each row. split, valid, gpu: ``[ROWS, REPLICAS]``. seats: ``[GPUS * SEATS]``. fixed:
    ``[GPUS]``, what each GPU carries besides.
    """
    ROWS: tl.constexpr = gpu.shape[0]
    REPLICAS: tl.constexpr = gpu.shape[1]
    SEATS: tl.constexpr = seats.shape[0] // fixed.shape[0]
    primary = tl.arange(0, REPLICAS)[None, :] == 0
    even = load // tl.maximum(tl.sum(valid.to(tl.int32), 1), 1)
    now = tl.where(split, even[:, None], tl.where(primary, load[:, None], 0))
    before = now
    flat_gpu = tl.reshape(gpu, (ROWS * REPLICAS,))
    for _ in tl.static_range(ROUNDS):
        seated = tl.gather(tl.reshape(now, (ROWS * REPLICAS,)), tl.maximum(seats, 0), 0)
        gpu_load = fixed + tl.sum(tl.reshape(tl.where(seats < 0, 0, seated), (fixed.shape[0], SEATS)), 1)
        others = tl.reshape(tl.gather(gpu_load, flat_gpu, 0), (ROWS, REPLICAS)) - now
        target = _poured(load, others, valid, PASSES)
        after = tl.where(split, tl.maximum(now + ((target - before) >> 1), 0), now)
        before = now
        now = after
    return now


@triton.jit
def _ends(now: tl.tensor, whole: tl.tensor, turn: tl.tensor, KIND: tl.constexpr) -> tl.tensor:
    """Return where in a whole that is shared out as the units are each replica's part ends, ``[ROWS, REPLICAS]``."""
    upto, everything = tl.cumsum(now, 1).to(KIND), tl.sum(now, 1).to(KIND)
    upto = tl.where((everything == 0)[:, None], 1, upto)  # what nobody picks is its primary's
    everything = tl.maximum(everything, 1)
    rounding = everything * turn // TABLE
    return (upto * whole.to(KIND)[:, None] + rounding[:, None]) // everything[:, None]


@triton.jit
def fill_kernel(
    picks: tl.tensor,
    unpadded: tl.tensor,
    found: tl.tensor,
    log2phy: tl.tensor,
    logcnt: tl.tensor,
    scratch: tl.tensor,
    out: tl.tensor,
    entries: tl.tensor,
    size: tl.tensor,
    top_k: tl.tensor,
    programs: tl.tensor,
    experts: tl.tensor,
    columns: tl.tensor,
    slots_per_gpu: tl.tensor,
    gpus: tl.tensor,
    gpus_per_node: tl.tensor,
    rank: tl.tensor,
    ranks: tl.tensor,
    turn: tl.tensor,
    floor: tl.tensor,
    HAS_PADDING: tl.constexpr,
    COUNTED: tl.constexpr,
    IN_ORDER: tl.constexpr,
    BLOCK: tl.constexpr,
    PROGRAMS: tl.constexpr,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
    REPLICAS: tl.constexpr,
    GPUS: tl.constexpr,
    SEATS: tl.constexpr,
    CODES: tl.constexpr,
    UNITS: tl.constexpr,
    ROUNDS: tl.constexpr,
    PASSES: tl.constexpr,
) -> None:
    """Share the picks of every row over its replicas, and write where each pick goes.

    picks: ``[size]``, of tokens with top_k each, of which the first ``unpadded`` count. found: ``[programs, CODES]``,
    what the picks were counted to be; unless COUNTED this counts them itself. log2phy: ``[experts, columns]``. logcnt:
    ``[experts]``. scratch: ``[slots]``, overwritten. rank: -1 where all route the same tokens.

    Written: out, the table ``[experts, 64]``, of experts with a single replica the first entry alone, and entries
    ``[experts]``, how many count; or IN_ORDER out ``[experts, REPLICAS]``, where in an expert's picks each part ends.
    """
    row, code = codes_of(log2phy, logcnt, experts, columns, slots_per_gpu, EXPERTS, ROWS)
    if COUNTED:
        program, each_code = tl.arange(0, PROGRAMS)[:, None], tl.arange(0, CODES)[None, :]
        counts = tl.sum(tl.load(found + program * CODES + each_code, mask=program < programs, other=0), 0)
    else:
        end = tl.load(unpadded).to(tl.int32) * top_k if HAS_PADDING else size
        counts = counted(picks, 0, end, code, experts, BLOCK, CODES)

    each_expert, each_row, gpu_number = tl.arange(0, EXPERTS), tl.arange(0, ROWS), tl.arange(0, GPUS)
    expert = tl.max(tl.where(row[None, :] == each_row[:, None], each_expert[None, :], -1), 1)
    used = (expert >= 0)[:, None]
    expert = tl.maximum(expert, 0)
    picked = tl.gather(counts, each_row, 0)
    alone = tl.where(gpu_number < gpus, tl.gather(counts, tl.minimum(ROWS + gpu_number, CODES - 1), 0), 0)

    replica = tl.arange(0, REPLICAS)[None, :]
    held = used & (tl.load(logcnt + expert)[:, None] > replica)
    slot = tl.load(log2phy + (expert * columns)[:, None] + replica, mask=held, other=-1).to(tl.int32)
    valid = slot >= 0
    gpu = tl.where(valid, tl.maximum(slot, 0) // slots_per_gpu, 0)

    fixed = alone * UNITS + _distance(tl.sum(counts, 0) * UNITS, gpus, gpus_per_node, rank, GPUS)
    split = valid & (picked * ranks > floor)[:, None]
    seats = _seats(slot, valid, scratch, gpus, slots_per_gpu, GPUS, SEATS)
    now = _settled(picked * UNITS, split, valid, gpu, seats, fixed, ROUNDS, PASSES)

    single = (each_expert < experts) & (row < 0)
    if IN_ORDER:
        never = tl.full((EXPERTS, REPLICAS), NEVER, tl.int32)
        tl.store(out + each_expert[:, None] * REPLICAS + replica, never, mask=single[:, None])
        ends = _ends(now, picked, turn, tl.int64).to(tl.int32)
        tl.store(out + expert[:, None] * REPLICAS + replica, ends, mask=used)
    else:
        first = tl.load(log2phy + each_expert * columns, mask=single, other=-1)
        tl.store(out + each_expert * TABLE, first, mask=single)
        tl.store(entries + each_expert, tl.where(row < 0, 1, TABLE), mask=each_expert < experts)
        entry = tl.arange(0, TABLE)[None, :]
        turned = (entry + (expert * EXPERT_TURN + turn)[:, None]) % TABLE
        ends = _ends(now, tl.full((ROWS,), TABLE, tl.int32), turn, tl.int32)
        which = tl.sum((ends[:, :, None] <= turned[:, None, :]).to(tl.int32), 1)
        slots = tl.load(log2phy + (expert * columns)[:, None] + which, mask=used, other=-1)
        tl.store(out + expert[:, None] * TABLE + entry, slots, mask=used)
