"""Sharing out layers among threads."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def worthwhile_workers(work: int) -> int:
    """Return how many threads to plan in, given the slots to fill times the searches for each.

    Starting a thread takes as long as 40,000 of these; more than eight threads gain nothing.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8, 1 + work // 40_000)


def share_out(
    layers: int,
    workers: int,
    begin: Callable[[], Callable[[slice], None]],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Do a task for all layers, in parts, in this thread and ``workers - 1`` others.

    Every thread calls ``begin`` once, for the task with whatever it needs for itself, and then takes the next part that
    nobody has taken until there is none. If one thread raises, none takes another part, and the error is raised here.
    """
    # A few parts for each thread, because some layers take longer than others.
    size = -(-layers // (4 * workers))
    parts = deque(slice(first, min(first + size, layers)) for first in range(0, layers, size))
    finished: list[int] = []

    def work() -> None:
        try:
            task = begin()
            while part := _next(parts):
                task(part)
                finished.append(part.stop - part.start)
                if progress:
                    progress(sum(finished), layers)
        finally:
            parts.clear()

    if workers == 1:
        work()
        return
    with ThreadPoolExecutor(workers - 1) as helpers:
        helping = [helpers.submit(work) for _ in range(workers - 1)]
        work()
        for helper in helping:
            # One that has not started by now has nothing left to do.
            if not helper.cancel():
                helper.result()


def _next(parts: deque[slice]) -> slice | None:
    """Take the next part; another thread may have taken the last one meanwhile."""
    try:
        return parts.popleft()
    except IndexError:
        return None
