"""How the loops are compiled: one decorator for those that Python calls, one for those inside.

Neither can allocate: every array comes from outside. In return calls count no references to arrays, which would cost
several times what a short loop does.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from numba import njit

from equipoise.solver.inlining import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

# _nrt is Numba's runtime, which allocates and counts references. The wrappers are for callers other than Python.
BARE = {"error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
ENTRY: dict[str, Any] = BARE | {"nogil": True, "cache": True}
INNER: dict[str, Any] = BARE | {"nopython": True, "no_cpython_wrapper": True}


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that Python calls: it runs without the GIL, and its machine code is kept on disk.

    Numba takes machine code for up to date as long as the function's own file is. The digest in the name makes it look
    for other code when any of the loops has changed. Where no folder can be written to, every process compiles.
    """
    function.__qualname__ += f"_{_digest()}"
    try:
        return cast("Callable[P, R]", njit(**ENTRY)(function))
    except RuntimeError:
        return cast("Callable[P, R]", njit(**ENTRY | {"cache": False})(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only compiled functions call, as a part of them."""
    return cast("Callable[P, R]", Kernel(function, INNER))


@cache
def _digest() -> str:
    """Return a few letters that change when a file of the solver does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
