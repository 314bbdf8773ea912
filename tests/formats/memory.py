"""The most memory that a step takes, of what Python and NumPy allocate, touched or not."""

from __future__ import annotations

import tracemalloc


def most_memory(step):
    """Return what the step returns, and the bytes that it had at most beyond those before."""
    tracemalloc.start()
    try:
        result = step()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
