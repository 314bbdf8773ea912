"""Rooms import downward only, and no file imports itself by way of others."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "equipoise"
RANKS = [
    {"solver", "errors"},
    {"units", "cluster", "loads"},
    {"placement", "synthetic"},
    {"serving", "migration"},
    {"timing"},
    {"planning", "formats"},
    {"forecasting"},
    {"planner"},
    {"replay", "router"},
    {"engines", "runtime", "sizing"},
    {"report", "__init__"},
    {"cli"},
    {"__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}


def module_of(file: Path) -> tuple[str, ...]:
    """Return ``("serving", "balance")``; of a folder ``("serving", "__init__")``."""
    return file.relative_to(PACKAGE).with_suffix("").parts


MODULES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imported(file: Path) -> set[tuple[str, ...]]:
    """Return the modules that a file imports anywhere: for type checkers and inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {module_named(name) for name in names if name.split(".")[0] == "equipoise"}
    return found


def module_named(name: str) -> tuple[str, ...]:
    """Return the module that a dotted name is, or is in."""
    parts = tuple(name.split(".")[1:])
    for end in range(len(parts), -1, -1):
        for module in (parts[:end], (*parts[:end], "__init__")):
            if module in MODULES:
                return module
    raise AssertionError(f"{name} is in no module")


ARROWS = {module: imported(file) for module, file in MODULES.items()}


def test_every_room_has_a_rank():
    assert {module[0] for module in MODULES} <= set(RANK)


@pytest.mark.parametrize("module", MODULES, ids="/".join)
def test_imports_lead_downward_or_stay_in_the_room(module):
    upward = {other for other in ARROWS[module] if other[0] != module[0] and RANK[other[0]] >= RANK[module[0]]}
    assert not upward


def test_no_file_imports_itself_by_way_of_others():
    try:
        TopologicalSorter({module: others - {module} for module, others in ARROWS.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join("/".join(module) for module in error.args[1]))


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("import equipoise", ("__init__",)),
        ("from equipoise import Cluster", ("__init__",)),
        ("def f():\n from equipoise.serving import balance", ("serving", "balance")),
        ("if TYPE_CHECKING:\n from equipoise.formats import read_loads", ("formats", "__init__")),
        ("from equipoise.planning.plan import Plan", ("planning", "plan")),
    ],
)
def test_every_kind_of_import_counts(tmp_path, line, module):
    file = tmp_path / "some.py"
    file.write_text(f"import os\n{line}\n")
    assert imported(file) == {module}


def test_importing_the_package_waits_for_nothing_heavy():
    heavy = ["numba", "scipy", "torch", "plotly", "pyarrow", "typer", "rich"]
    code = f"import sys, equipoise; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
