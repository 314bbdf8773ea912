"""How long something took, and how much of that the first run spent on compiling."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from numba.core.event import install_timer

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Time:
    """Milliseconds in all, and those of them in which Numba compiled."""

    milliseconds: float = 0.0
    compiling: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Time]:
    """Give the time that the block takes; it is known when the block has ended."""
    time = Time()

    def note_compiling(seconds: float) -> None:
        time.compiling = seconds * 1e3

    started = perf_counter()
    with install_timer("numba:compile", note_compiling):
        yield time
    time.milliseconds = (perf_counter() - started) * 1e3
