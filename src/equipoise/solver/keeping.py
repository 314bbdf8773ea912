"""Where machine code is kept, so that a loop is compiled once: by one process, whichever others ask for it.

It is looked for in every place, one that can only be read too, as in the image of a container; and kept in the first
that can be written to. Those who wait for a compiler wait for the same one, and load what it made.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from pickle import loads
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import user_cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMED_BY = ("EQUIPOISE_CACHE_DIR", "NUMBA_CACHE_DIR")
"""Variables that name a folder, the only place then."""
SUFFIX = ".code"
LOG = logging.getLogger("equipoise")
# If a compiler takes longer than this, it may never end.
MOST_SECONDS_TO_WAIT = 300.0


def places() -> list[Path]:
    """Return the folders where code may be kept: the one that is named, or one beside the loops and one of the user."""
    named = next((os.environ[name] for name in NAMED_BY if os.environ.get(name)), None)
    parents = [Path(named)] if named else [Path(__file__).parent / "__pycache__", Path(user_cache_dir("numba", False))]
    return [parent.absolute() / f"equipoise-{_digest()}" for parent in parents]


def kept_in() -> list[Path]:
    """Return the places that hold something."""
    return [place for place in places() if any(place.glob(f"*{SUFFIX}"))]


class Kept:
    """The machine code of one loop: what Numba asks for it, and gives it to keep."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.places = places()
        self.cache_path = str(self.places[0])  # for Numba's own statistics

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled for these types and this machine; None where it never was."""
        name = self._name_of(signature, context.codegen())
        for place in self.places:
            with suppress(Exception):  # a file that cannot be read, or is damaged, holds no code
                return CompileResult._rebuild(context, *loads((place / name).read_bytes()))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, in the first place that can be written to."""
        name, code = self._name_of(signature, compiled.codegen), dumps(compiled._reduce())
        for place in self.places:
            with suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
                unfinished = place / f"{name}.{uuid4().hex}"
                try:
                    unfinished.write_bytes(code)
                    unfinished.replace(place / name)
                finally:
                    unfinished.unlink(missing_ok=True)
                return
        _warn_of_no_place()

    @contextmanager
    def turn(self, signature: Any, context: Any) -> Iterator[None]:
        """Wait while another process compiles the same; nobody waits for what is there, or could be kept nowhere."""
        name = self._name_of(signature, context.codegen())
        lock = None if any((place / name).exists() for place in self.places) else self._lock(name)
        try:
            yield
        finally:
            if lock:
                lock.release()

    def _lock(self, name: str) -> Any:
        from filelock import FileLock  # which whoever finds all compiled need not import

        for place in self.places:
            with suppress(OSError):  # of which a timeout is one
                place.mkdir(parents=True, exist_ok=True)
                lock = FileLock(place / f"{name}.lock", timeout=MOST_SECONDS_TO_WAIT)
                lock.acquire()
                return lock
        return None

    def _name_of(self, signature: Any, codegen: Any) -> str:
        """Return the file's name: of the loop, and a digest of its types, the compiler and what the processor can."""
        made_for = f"{numba.__version__} {sys.implementation.cache_tag} {codegen.magic_tuple()} {signature}"
        return f"{self.name}-{sha256(made_for.encode()).hexdigest()[:16]}{SUFFIX}"


@cache
def _digest() -> str:
    """Return a few letters that change when a file of the solver does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


@cache
def _warn_of_no_place() -> None:
    """Say once in a process that every start will compile, and what ends that."""
    LOG.warning(
        "Compiled loops cannot be kept, so that every process compiles them: nothing can be written to %s. Set "
        "EQUIPOISE_CACHE_DIR to a folder that can be, and run `equipoise warm-up`.",
        " or ".join(str(place.parent) for place in places()),
    )
