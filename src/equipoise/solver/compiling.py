"""How the loops are compiled: one decorator for those that Python calls, one for those inside.

Neither can allocate: every array comes from outside. In return calls count no references to arrays, which would cost
several times what a short loop does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from numba.core.registry import CPUDispatcher

from equipoise.solver.inlining import Kernel
from equipoise.solver.keeping import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

# _nrt is Numba's runtime, which allocates and counts references. The wrappers are for callers other than Python.
BARE = {"nopython": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
ENTRY: dict[str, Any] = BARE | {"nogil": True}
INNER: dict[str, Any] = BARE | {"no_cpython_wrapper": True}


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that Python calls: it runs without the GIL, and its machine code is kept on disk."""
    return cast("Callable[P, R]", Entry(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only compiled functions call, as a part of them."""
    return cast("Callable[P, R]", Kernel(function, INNER))


class Entry(CPUDispatcher):
    """A function that Python calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function, targetoptions=ENTRY)
        self._cache = Kept(function)

    def compile(self, signature: Any) -> Any:
        """Compile for the types of the arguments, or load what is kept."""
        with self._cache.turn(signature, self.targetctx):
            return super().compile(signature)
