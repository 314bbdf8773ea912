"""The page on files: its commands run, and its tables have all formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from equipoise.cli import app
from equipoise.formats.table import LOADS, PLACEMENTS
from formats.samples import COUNTS, write_passes, write_statistics

PAGE = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_tables_have_all_formats():
    rows = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert sorted(rows.replace("`", "").replace(",", "").split()) == sorted([*LOADS, *PLACEMENTS])


def test_the_commands_run(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    for name in ("passes", "statistics"):
        Path(name).mkdir()
    write_passes(Path("passes"), ranks=4)
    write_statistics(Path("statistics"), COUNTS, ranks=4)
    commands = [line.split()[1:] for line in PAGE.splitlines() if line.startswith("    equipoise ")]
    assert len(commands) == 5
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, result.stderr) == (0, ""), command
    assert {"loads.npz", "placement.json", "plan.yaml", "map.json"} <= {path.name for path in tmp_path.iterdir()}
