"""How often a batch picks what: one histogram over codes, each a row or a GPU.

A *row* is an expert with several replicas. The picks of all others need not be told apart: they load the GPU that alone
holds their expert.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def codes_of(
    log2phy: tl.tensor,
    logcnt: tl.tensor,
    experts: tl.tensor,
    columns: tl.tensor,
    slots_per_gpu: tl.tensor,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
) -> tl.tensor:
    """Return the row of each expert, -1 where it has none, and its code: the row, or ROWS + the GPU; ``[EXPERTS]``.

    The code is -1 for an expert that nobody holds. log2phy: ``[experts, columns]``. logcnt: ``[experts]``.
    """
    expert = tl.arange(0, EXPERTS)
    inside = expert < experts
    replicated = tl.load(logcnt + expert, mask=inside, other=0) > 1
    number = tl.cumsum(replicated.to(tl.int32), 0) - 1
    row = tl.where(replicated & (number < ROWS), number, -1)
    slot = tl.load(log2phy + expert * columns, mask=inside, other=-1).to(tl.int32)
    alone = tl.where(slot < 0, -1, ROWS + tl.maximum(slot, 0) // slots_per_gpu)
    return row, tl.where(row < 0, alone, row)


@triton.jit
def counted(
    picks: tl.tensor,
    start: tl.tensor,
    end: tl.tensor,
    code: tl.tensor,
    experts: tl.tensor,
    BLOCK: tl.constexpr,
    CODES: tl.constexpr,
) -> tl.tensor:
    """Return how many of the picks from start to end have each code, ``[CODES]``; at most BLOCK picks."""
    at = start + tl.arange(0, BLOCK)
    pick = tl.load(picks + at, mask=at < end, other=-1).to(tl.int32)
    inside = (pick >= 0) & (pick < experts)
    found = tl.gather(code, tl.where(inside, pick, 0), 0)
    counts = inside & (found >= 0)
    return tl.histogram(tl.where(counts, found, 0), CODES, mask=counts)


@triton.jit
def count_kernel(
    picks: tl.tensor,
    unpadded: tl.tensor,
    log2phy: tl.tensor,
    logcnt: tl.tensor,
    found: tl.tensor,
    size: tl.tensor,
    top_k: tl.tensor,
    experts: tl.tensor,
    columns: tl.tensor,
    slots_per_gpu: tl.tensor,
    HAS_PADDING: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
    CODES: tl.constexpr,
) -> None:
    """Count BLOCKS blocks of picks; each program writes what it found.

    picks: ``[size]``, of tokens with top_k each, of which the first ``unpadded`` count. found: ``[programs, CODES]``,
    written.
    """
    end = tl.load(unpadded).to(tl.int32) * top_k if HAS_PADDING else size
    _, code = codes_of(log2phy, logcnt, experts, columns, slots_per_gpu, EXPERTS, ROWS)
    counts = tl.zeros((CODES,), tl.int32)
    for block in tl.static_range(BLOCKS):
        counts += counted(picks, (tl.program_id(0) * BLOCKS + block) * BLOCK, end, code, experts, BLOCK, CODES)
    tl.store(found + tl.program_id(0) * CODES + tl.arange(0, CODES), counts)
