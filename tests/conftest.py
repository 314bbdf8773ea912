"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Without a GPU, Triton's kernels run in its interpreter, in NumPy. It reads this when a kernel is defined.
if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd")):
    os.environ["TRITON_INTERPRET"] = "1"

# No test is timed: how long an example takes says what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REAL_LOADS = Path(__file__).parents[2] / "shared" / "loads"


@pytest.fixture(scope="session")
def real_loads() -> Path:
    """Folder of recorded loads of real models, which the project does not ship."""
    if not REAL_LOADS.is_dir():
        pytest.skip(f"no recorded loads in {REAL_LOADS}")
    return REAL_LOADS


@pytest.fixture(scope="session")
def engines() -> Path:
    """Folder with the engines' own packages."""
    folder = os.environ.get("TEST_ENGINES")
    if not folder:
        pytest.skip("TEST_ENGINES names no folder with vLLM and SGLang in it; benchmarks/engines.txt fills one")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def browser():
    """Chromium, to open pages in."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium to open pages in")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
