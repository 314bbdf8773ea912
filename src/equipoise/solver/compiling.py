"""How the loops are compiled: one decorator for those that Python calls, one for those inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

INNER: dict[str, Any] = {
    "error_model": "numpy",
    "_nrt": False,  # no runtime that allocates, hence none that counts references
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that Python calls: the machine code is kept on disk, and it runs without the GIL."""
    return cast("Callable[P, R]", njit(nogil=True, cache=True, error_model="numpy")(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only compiled functions call.

    It cannot allocate: every array comes from outside. In return its calls count no references, which otherwise costs
    several times what a short loop does, and compiling it takes half the time.
    """
    return cast("Callable[P, R]", njit(**INNER)(function))
