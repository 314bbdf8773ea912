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
NOT_KEPT: list[str] = []
"""The loops that this process compiled, and could keep nowhere."""


def places() -> list[Path]:
    """Return the folders where code may be kept: the one that is named, or one beside the loops and one of the user."""
    named = next((os.environ[name] for name in NAMED_BY if os.environ.get(name)), None)
    if named:
        parents = [Path(named).expanduser().absolute()]
    else:
        parents = [Path(__file__).parent / "__pycache__", Path(user_cache_dir("numba", False))]
    # The user's is a relative path where nobody knows the user's home.
    return [parent / f"equipoise-{_digest()}" for parent in parents if parent.is_absolute()]


def kept_in() -> list[Path]:
    """Return the places that hold something."""
    return [place for place in places() if any(place.glob(f"*{SUFFIX}"))]


class Kept:
    """The machine code of one loop: what Numba asks for it, and gives it to keep."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"

    @property
    def cache_path(self) -> str:
        """The first place, for Numba's own statistics."""
        return str(places()[0])

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled for these types and this machine; None where it never was."""
        code = _find(self._name_of(signature, context.codegen()))
        return code and CompileResult._rebuild(context, *loads(code))

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, in the first place that can be written to."""
        name, code = self._name_of(signature, compiled.codegen), dumps(compiled._reduce())
        for place in places():
            with suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
                unfinished = place / f"{name}.{uuid4().hex}"
                try:
                    unfinished.write_bytes(sha256(code).digest() + code)
                    unfinished.replace(place / name)
                finally:
                    unfinished.unlink(missing_ok=True)
                return
        if not NOT_KEPT:
            LOG.warning(
                "Compiled loops cannot be kept, so that every process compiles them: nothing can be written to %s. Set "
                "EQUIPOISE_CACHE_DIR to a folder that can be, and run `equipoise warm-up`.",
                " or ".join(str(place.parent) for place in places()),
            )
        NOT_KEPT.append(self.name)

    @contextmanager
    def turn(self, signature: Any, context: Any) -> Iterator[None]:
        """Wait while another process compiles the same; nobody waits for what is there, or could be kept nowhere."""
        name = self._name_of(signature, context.codegen())
        lock = None if _find(name) else _lock(name)
        try:
            yield
        finally:
            if lock:
                lock.release()

    def _name_of(self, signature: Any, codegen: Any) -> str:
        """Return the file's name: of the loop, and a digest of its types, the compiler and what the processor can."""
        compiler = numba.__version__, os.environ.get("NUMBA_OPT"), sys.implementation.cache_tag
        made_for = f"{compiler} {codegen.magic_tuple()} {signature}"
        return f"{self.name}-{sha256(made_for.encode()).hexdigest()[:16]}{SUFFIX}"


def _find(name: str) -> bytes | None:
    """Return the first code of this name that is whole: of what is damaged, a processor would run any part."""
    for place in places():
        with suppress(OSError):
            content = (place / name).read_bytes()
            if sha256(content[32:]).digest() == content[:32]:
                return content[32:]
    return None


def _lock(name: str) -> Any:
    """Return a lock that other processes wait for; None where there can be none, or one has not ended."""
    from filelock import FileLock, Timeout  # which whoever finds all compiled need not import

    for place in places():
        with suppress(OSError, NotImplementedError):  # a folder may not be writable, or know no locks
            place.mkdir(parents=True, exist_ok=True)
            lock = FileLock(place / f"{name}.lock")
            try:
                lock.acquire(timeout=MOST_SECONDS_TO_WAIT)
            except Timeout:
                return None
            return lock
    return None


@cache
def _digest() -> str:
    """Return a few letters that change when a file of the solver does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
