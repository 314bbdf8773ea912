"""The look-up: each pick's slot in the table, by the number of its token."""

from __future__ import annotations

import triton
import triton.language as tl

from equipoise.router import rules

TABLE = tl.constexpr(rules.TABLE)
HASH = tl.constexpr(rules.HASH)


@triton.jit
def look_up_kernel(
    picks: tl.tensor,
    table: tl.tensor,
    entries: tl.tensor,
    slots: tl.tensor,
    size: tl.tensor,
    top_k: tl.tensor,
    experts: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Write the slot of each pick; what is no expert passes through.

    picks, slots: ``[size]``. table: ``[experts, 64]``, of which the first ``entries``, ``[experts]``, count.
    """
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pick = tl.load(picks + at, mask=at < size, other=-1)
    inside = (pick >= 0) & (pick < experts)
    expert = tl.where(inside, pick, 0).to(tl.int64)
    hashed = ((at // top_k).to(tl.int64) * HASH) & 0xFFFFFFFF
    entry = hashed % tl.load(entries + expert)
    slot = tl.load(table + expert * TABLE + entry).to(pick.dtype)
    tl.store(slots + at, tl.where(inside, slot, pick), mask=at < size)
