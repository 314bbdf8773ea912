from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba.core import caching

from equipoise.solver.compiling import entry

if TYPE_CHECKING:
    import pytest


def double(values):
    for i in range(values.size):
        values[i] *= 2


def test_where_machine_code_cannot_be_kept_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    values = np.array([1.0, 2.0])
    entry(double)(values)
    assert values.tolist() == [2.0, 4.0]
