"""Who is still there after ranks were killed, and a group of those."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING

import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore

from equipoise.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch._C._distributed_c10d import Store

LOOK_AGAIN = 0.05  # seconds


def find_survivors(store: Store, rank: int, ranks: Sequence[int], seconds: float) -> list[int]:
    """Return which ranks are there, the same on all of them.

    Parameters
    ----------
    store : Store
        One that no rank that may be gone serves: a file that all reach, or a server of its own.
    rank : int
        This one.
    ranks : sequence of int
        Those that were there before.
    seconds : float
        How long the others may take to notice. All need no longer than that, if nobody is gone.

    Raises
    ------
    InputError
        If the others went on without this one, which came too late.
    """
    store.set(f"there/{rank}", "")
    end = monotonic() + seconds
    while (there := [one for one in ranks if store.check([f"there/{one}"])]) != list(ranks) and monotonic() < end:
        sleep(LOOK_AGAIN)
    # Who looks first says who goes on.
    found: list[int] = json.loads(store.compare_set("survivors", "", json.dumps(there)))
    if rank not in found:
        raise InputError(f"ranks {found} went on without this one, {rank}; expected it within {seconds} seconds")
    return found


def regroup(store: Store, rank: int, survivors: Sequence[int], seconds: float, backend: str) -> None:
    """Make a new default group of the survivors, in the order of their old numbers.

    seconds: after which a rank of it gives up waiting.
    """
    with suppress(RuntimeError):  # of a group whose ranks are gone
        dist.destroy_process_group()
    dist.init_process_group(
        backend,
        store=PrefixStore("again", store),
        rank=list(survivors).index(rank),
        world_size=len(survivors),
        timeout=timedelta(seconds=seconds),
    )
