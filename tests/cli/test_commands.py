"""The command as the shell sees it: exit codes and streams of a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from equipoise.cli import SUMMARIES

COMMAND = [sys.executable, "-c", "from equipoise.cli import app; app()"]


def run(*arguments, **options):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    "command", [[*COMMAND, "--version"], [*COMMAND, "-V"], [sys.executable, "-m", "equipoise", "-V"]]
)
def test_version(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"equipoise {version('equipoise')}\n", "")


def test_json_is_all_there_is_on_stdout_and_nothing_on_stderr():
    result = run("plan", "--effort", "fast", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["synthetic"] is True


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "missing.npz"], 1),
        (["plan", "--slots", "1" + "0" * 13], 1),
        (["plan", "--what"], 2),
        (["what"], 2),
    ],
)
def test_failures_have_their_exit_code_and_no_traceback(arguments, code):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_help_loads_neither_numba_nor_torch():
    watch = "import sys, atexit; atexit.register(lambda: print(*sys.modules))"
    command = f"{watch}; sys.argv = ['equipoise', 'plan', '--help']; from equipoise.cli import app; app()"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    loaded = result.stdout.splitlines()[-1].split()
    assert "equipoise.cli.plan" in loaded
    assert not {"numba", "torch"} & set(loaded)


def test_a_reader_that_leaves_is_no_error_to_speak_of():
    with subprocess.Popen([*COMMAND, "plan", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments", [["plan", "--effort", "fast"], ["plan", "--effort", "fast", "--json"], ["--help"]]
)
def test_an_output_that_cannot_be_written_is_an_error_of_one_line(arguments):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written: No space left on device\n"


def test_a_placement_goes_to_standard_output_and_through_a_pipe():
    planned = run("plan", "--effort", "fast", "-o", "-")
    assert (planned.returncode, planned.stderr) == (0, "")
    converted = run("convert", "-", "-", "--to", "tensorrt-llm", input=planned.stdout)
    assert (converted.returncode, converted.stderr) == (0, "")
    recorded = run("plan", "-", "--gpus", "2", "--effort", "fast", "-o", "-", input="[[5, 1, 2, 4]]")
    assert json.loads(recorded.stdout)["experts"] == 4
    layer = json.dumps(json.loads(planned.stdout)["physical_to_logical_map"][0], separators=(",", ":"))
    assert f"\n  0: {layer}\n" in converted.stdout


def test_a_name_with_an_escape_sequence_is_spelled_out(tmp_path):
    path = tmp_path / "a\x1b[31mred.json"
    assert r"a\x1b[31mred.json: No such file" in run("show", str(path)).stderr
    path.write_text("[[1, 2]]")
    result = run("show", str(path))
    assert r"a\x1b[31mred.json" in result.stdout
    assert "\x1b" not in result.stdout


def test_ctrl_c_ends_with_130_and_no_traceback():
    planning = """
import signal, sys, time
import equipoise.planner

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
from equipoise.cli import app

equipoise.planner.plan = lambda *_, **__: (print("planning", flush=True), time.sleep(60))
sys.argv = ["equipoise", "plan"]
app()
"""
    with subprocess.Popen([sys.executable, "-c", planning], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"planning\n"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert b"Traceback" not in process.stderr.read()


def test_a_name_that_the_terminal_cannot_write_is_shown_all_the_same(tmp_path):
    path = tmp_path / "é.json"
    path.write_text("[[1, 2]]")
    result = run("show", str(path), env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert result.returncode == 0
    assert r"\xe9.json" in result.stdout


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_list_of_commands_says_what_their_own_help_says(name):
    called = name.replace("-", "_")
    command = getattr(import_module(f"equipoise.cli.{called}"), called)
    assert SUMMARIES[name] == " ".join(command.__doc__.split("\n\n")[0].split())


def test_help_of_all_commands_imports_none_of_them():
    watch = "import sys, atexit; atexit.register(lambda: print(*sys.modules))"
    command = f"{watch}; sys.argv = ['equipoise', '--help']; from equipoise.cli import app; app()"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert not {"numpy", "equipoise.cli.plan"} & set(result.stdout.splitlines()[-1].split())
