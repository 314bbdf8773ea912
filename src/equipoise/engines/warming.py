"""Compiling while the engine loads its weights, in a process of its own, so that no re-plan waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

# Processes that this one starts have it too, and begin nothing.
BEGUN = "_EQUIPOISE_WARM_UP"


@cache
def begin_warm_up() -> subprocess.Popen[bytes] | None:
    """Start ``equipoise warm-up``, once for an engine's processes; a plan waits for it only where it comes first.

    It goes on when the engine ends, and is silent: whoever plans says what is wrong.
    """
    if BEGUN in os.environ:
        return None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "equipoise", "warm-up"],
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # what lies in the engine's folder is no package
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, TypeError):  # an embedded Python knows no executable; the first plan compiles what it needs
        return None
    os.environ[BEGUN] = "begun"
    return process
