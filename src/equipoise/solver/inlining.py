"""How the loops inside are compiled: to what their callers take in, not to machine code that nobody would run.

Numba makes machine code of every function, and of all that it calls once more in each of its callers; in nests as deep
as these that is most of the time to compile. A kernel stops at the code that LLVM links into its caller's; the entry at
the top is optimised and becomes machine code, once, with everything below it.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher


class Kernel(CPUDispatcher):
    """A function that only compiled functions call."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=Inlined)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Compile for the types of the arguments; a 0 among them is a number like any other, not a type of its own."""
        args = [types.unliteral(one) for one in args]
        return super().get_call_template(args, {name: types.unliteral(one) for name, one in kws.items()})

    def add_overload(self, compiled: Any) -> None:
        """Note what is compiled; not how Python would call it."""
        self.overloads[tuple(compiled.signature.args)] = compiled


class Inlined(Compiler):
    """The way from a kernel's source to code that can be linked."""

    def _compile_core(self) -> Any:
        state = self.state
        state.library = Ingredient(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        compiled = super()._compile_core()._replace(entry_point=object())  # what callers know it by
        state.targetctx.insert_user_function(compiled.entry_point, compiled.fndesc, [compiled.library])
        return compiled


class Ingredient(JITCodeLibrary):
    """The code of a kernel and of all that it calls, as it is linked into its caller's."""

    def finalize(self) -> None:
        """Add what the kernel calls, and leave it at that."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True
