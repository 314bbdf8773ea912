"""A single file of an engine, as it is in its package, run without the rest of the engine.

Importing the package itself needs a GPU and dozens of dependencies, so what the file imports from its own engine is
stubbed, by each test for itself; torch and the standard library are real.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from unittest.mock import patch


@contextmanager
def engine_files(folder, names, stubs):
    """Yield the modules of these names; while they are in use, the stubs' attributes are what they can import."""
    with patch.dict(sys.modules, {name: _stub(name, attributes) for name, attributes in stubs.items()}):
        yield [_load(folder, name) for name in names]


def _stub(name, attributes):
    module = ModuleType(name)
    vars(module).update(attributes)
    return module


def _load(folder, name):
    spec = spec_from_file_location(name, folder.joinpath(*name.split(".")).with_suffix(".py"))
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
