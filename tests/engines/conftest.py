"""The engines' own packages, from a folder that pip filled; and an environment without settings."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from equipoise.engines.live import live_settings
from equipoise.engines.warming import BEGUN, begin_warm_up

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Start every test from the default settings, with all compiled."""
    monkeypatch.setenv(BEGUN, "begun")
    begin_warm_up.cache_clear()
    for name in [name for name in os.environ if name.startswith("EQUIPOISE_")]:
        monkeypatch.delenv(name)
    live_settings.cache_clear()
    yield
    live_settings.cache_clear()


@pytest.fixture
def set_variable(monkeypatch):
    """Return a function that sets a variable, whatever settings have been read before."""

    def set_variable(name, text):
        monkeypatch.setenv(name, text)
        live_settings.cache_clear()

    return set_variable


def _from_folder(folder: Path, module: str):
    """Import a module of an engine, whose packages come after this environment's own."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return import_module(module)


@pytest.fixture(scope="session")
def vllm_policies(engines):
    """Return vLLM's own module of policies."""
    return _from_folder(engines, "vllm.distributed.eplb.policy")


@pytest.fixture(scope="session")
def vllm_state(vllm_policies):
    """Return vLLM's own module that calls the policy and takes over what it says."""
    return import_module("vllm.distributed.eplb.eplb_state")


@pytest.fixture(scope="session")
def sglang_locations(engines):
    """Return SGLang's own module that calls the algorithm and takes over what it says."""
    return _from_folder(engines, "sglang.srt.eplb.expert_location")
