"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL_LOADS = Path(__file__).parents[2] / "shared" / "loads"


@pytest.fixture(scope="session")
def real_loads() -> Path:
    """Folder of recorded loads of real models, which the project does not ship."""
    if not REAL_LOADS.is_dir():
        pytest.skip(f"no recorded loads in {REAL_LOADS}")
    return REAL_LOADS
