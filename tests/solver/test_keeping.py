"""Machine code is found where it can only be read, made by one process, and missed with a word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equipoise import warm_up
from equipoise.solver import keeping
from equipoise.solver.compiling import entry
from equipoise.solver.keeping import Kept, kept_in, places

LOOP = """
from equipoise.solver.compiling import entry
import numpy as np

@entry
def double(values):
    for i in range(values.size):
        values[i] *= 2
"""
CALL = """
import loop, sys
print("ready", flush=True)
sys.stdin.readline()
values = loop.np.ones(3)
loop.double(values)
assert values.tolist() == [2, 2, 2]
print(len(loop.double.stats.cache_misses), flush=True)
"""
PLAN = """
import equipoise
from equipoise.solver.afresh import plan_layers
from equipoise.solver.bounding import bound_layers
equipoise.plan([[6, 2, 2, 2]], equipoise.Cluster(gpus=2, slots_per_gpu=3))
print(equipoise.__file__, sum(len(loop.stats.cache_misses) for loop in (plan_layers, bound_layers)))
"""


def double(values):
    for i in range(values.size):
        values[i] *= 2


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Name a folder to keep code in, not there yet."""
    monkeypatch.setenv("EQUIPOISE_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    return tmp_path / "kept"


@pytest.fixture
def loop(tmp_path, monkeypatch, folder):
    """Make a module of one loop, for processes to import."""
    (tmp_path / "loop.py").write_text(LOOP)
    paths = [str(tmp_path), *sys.path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def begun(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, stderr=-1, text=True)


@pytest.mark.usefixtures("loop")
def test_processes_that_start_together_compile_once(folder):
    several = [begun(CALL) for _ in range(3)]
    for process in several:
        assert process.stdout.readline() == "ready\n"
    for process in several:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate() for process in several]
    assert sorted(printed for printed, _ in ended) == ["0\n", "0\n", "1\n"], ended
    assert [place.parent for place in kept_in()] == [folder]


def test_code_that_can_only_be_read_is_used(tmp_path):
    warm_up(replanning=False)
    package = tmp_path / "site" / "equipoise"
    shutil.copytree(Path(keeping.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    (kept,) = kept_in()
    shutil.copytree(kept, package / "solver" / "__pycache__" / kept.name)
    home = tmp_path / "home"
    home.mkdir()
    read_only(tmp_path)
    variables = {name: text for name, text in os.environ.items() if "CACHE" not in name}
    ended = run_without_rights(PLAN, variables | {"PYTHONPATH": str(package.parent), "HOME": str(home)})
    assert ended.stdout.split() == [str(package / "__init__.py"), "0"], ended.stderr
    assert ended.stderr == ""
    assert list(home.iterdir()) == []


def test_where_nothing_can_be_kept_a_process_says_what_to_set(tmp_path, folder):
    folder.parent.joinpath("kept").touch()  # a file is no folder
    values = np.array([1.0, 2.0])
    ended = subprocess.run(
        [sys.executable, "-c", f"import numpy as np\n{LOOP_TWICE}"], capture_output=True, text=True, check=True
    )
    assert ended.stderr.count("EQUIPOISE_CACHE_DIR") == 1
    assert str(folder) in ended.stderr
    entry(double)(values)
    assert values.tolist() == [2.0, 4.0]


LOOP_TWICE = """
from equipoise.solver.keeping import Kept
from equipoise.solver.compiling import Entry
import sys
def one(values):
    values[0] = 1
def two(values):
    values[0] = 2
for function in (one, two):
    Entry(function)(np.zeros(1))
"""


def flipped(whole):
    return whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:100], flipped])
def test_a_file_that_is_damaged_is_made_anew(folder, damage):
    entry(double)(np.ones(2))
    (file,) = places()[0].glob("*.code")
    file.write_bytes(damage(file.read_bytes()))
    again = entry(double)
    again(np.ones(2))
    assert len(again.stats.cache_misses) == 1
    third = entry(double)
    third(np.ones(2))
    assert len(third.stats.cache_hits) == 1


def test_a_folder_in_the_users_home_may_be_named_by_a_tilde(monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE_DIR", "~/kept")
    assert [place.parent for place in places()] == [Path.home() / "kept"]


def test_where_nobody_knows_the_home_there_is_no_place_in_it(monkeypatch):
    for name in keeping.NAMED_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(keeping, "user_cache_dir", lambda *_: "~/.cache/numba")  # as it is where HOME is not set
    assert [place.parent.name for place in places()] == ["__pycache__"]


def test_code_of_other_types_is_beside_it(folder):
    entry(double)(np.ones(2))
    integers = entry(double)
    integers(np.ones(2, np.int64))
    assert len(integers.stats.cache_misses) == 1
    both = entry(double)
    both(np.ones(2, np.int64))
    both(np.ones(2))
    assert len(both.stats.cache_hits) == 2


def test_the_first_place_with_the_code_counts_and_the_first_that_takes_it(tmp_path, monkeypatch):
    no_folder = tmp_path / "file"
    no_folder.touch()
    monkeypatch.setattr(keeping, "places", lambda: [no_folder / "a", tmp_path / "b", tmp_path / "c"])
    entry(double)(np.ones(2))
    assert (tmp_path / "b").is_dir()
    assert not (tmp_path / "c").exists()
    monkeypatch.setattr(keeping, "places", lambda: [no_folder / "a", tmp_path / "c", tmp_path / "b"])
    kept = entry(double)
    kept(np.ones(2))
    assert len(kept.stats.cache_hits) == 1
    assert isinstance(kept._cache, Kept)


def read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)


def run_without_rights(code: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Python as a user whom permissions bind, root too."""
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search,-fowner"
        command = ["setpriv", "--bounding-set", rights, "--inh-caps", rights, *command]
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
