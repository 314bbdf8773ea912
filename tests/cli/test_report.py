"""``--report`` and ``--png``: what is written, and what is refused before anything is planned."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kaleido.errors import ChromeNotFoundError
from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.errors import InputError

COUNTS = np.random.default_rng(0).lognormal(3, 1, (4, 3, 16)).round()
ON_CLUSTER = ("--gpus", "4", "--nodes", "2", "--redundant", "8")
COMMANDS = [("plan", *ON_CLUSTER), ("simulate", *ON_CLUSTER, "--window", "2")]

needs_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium to draw pictures")


@pytest.fixture
def loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("my loads.npy", COUNTS)
    return "my loads.npy"


def equipoise(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_names_the_files_the_settings_and_the_exact_command(loads, command):
    arguments = [command[0], loads, *command[1:], "--report", "page.html"]
    start = [sys.executable, "-c", "from equipoise.cli import app; app()"]
    result = subprocess.run([*start, *arguments], capture_output=True, text=True, check=True)
    page = Path("page.html").read_text()
    assert "page.html: report\n" in result.stdout
    assert "my loads.npy, 4 GPUs</h1>" in page
    assert "<dd>4 GPUs on 2 nodes, 6 slots on each GPU</dd>" in page
    assert "The forecast chosen for every layer</h2>" in page
    assert ("this is the choice of the one that would come next" in page) == (command[0] == "simulate")
    assert f"<code>{shlex.join(['equipoise', *arguments])}</code>".replace("'", "&#39;") in page


@pytest.mark.parametrize("command", COMMANDS)
def test_json_names_the_page_and_is_otherwise_the_same(loads, command):
    result = equipoise(command[0], loads, *command[1:], "--report", "page.html", "--json")
    figures = json.loads(result.stdout)
    assert (figures["report"], figures["png"]) == ("page.html", None)


@needs_browser
@pytest.mark.parametrize("command", COMMANDS)
def test_a_picture_is_a_png(loads, command, tmp_path):
    result = equipoise(command[0], loads, *command[1:], "--png", "picture.png")
    assert result.exit_code == 0, result.stderr
    picture = (tmp_path / "picture.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == 2400
    assert "picture.png: picture\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--png", "picture.jpg"), "picture.jpg does not end in .png"),
        (("--report", "my loads.npy"), "the report would replace the recorded loads"),
        (("--report", "a.json", "-o", "a.json"), "the report would replace the placement"),
        (("--report", "page.pdf"), "page.pdf does not end in .html"),
    ],
)
def test_wrong_files_end_with_2(loads, arguments, message):
    result = equipoise("plan", loads, *ON_CLUSTER, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(("option", "name"), [("--report", "a.html"), ("--png", "a.png")])
def test_what_cannot_be_written_is_told_before_anything_is_planned(loads, option, name, monkeypatch):
    monkeypatch.setattr("equipoise.planner.plan", lambda *_, **__: pytest.fail("planned"))
    result = equipoise("plan", loads, *ON_CLUSTER, option, f"missing/{name}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: missing/{name}: there is no folder ")


@pytest.mark.parametrize(("option", "name"), [("--report", "a.html"), ("--png", "a.png")])
def test_a_missing_package_is_told_before_anything_is_planned(loads, option, name, monkeypatch):
    def missing(module):
        raise InputError(f"{module} is not installed")

    monkeypatch.setattr("equipoise.planner.plan", lambda *_, **__: pytest.fail("planned"))
    monkeypatch.setattr("equipoise.cli.options.reports.import_module", missing)
    result = equipoise("plan", loads, *ON_CLUSTER, option, name)
    module = "equipoise.report" if option == "--report" else "equipoise.report.picture"
    assert (result.exit_code, result.stderr) == (1, f"error: {module} is not installed\n")


def test_a_missing_browser_is_told_and_nothing_is_written(loads, monkeypatch, tmp_path):
    def no_browser(*_, **__):
        raise ChromeNotFoundError

    monkeypatch.setattr("kaleido.calc_fig_sync", no_browser)
    result = equipoise("plan", loads, *ON_CLUSTER, "--png", "a.png")
    assert result.exit_code == 1
    assert "install Chrome or Chromium" in result.stderr
    assert not (tmp_path / "a.png").exists()
