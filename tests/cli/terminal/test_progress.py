from __future__ import annotations

import time

import pytest

from equipoise.cli.terminal import progress


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)


def test_a_terminal_sees_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = ""
    with progress.progress_bar("planning") as advance:
        advance(1, 4)
        for _ in range(500):
            shown += capsys.readouterr().err
            if "25%" in shown:
                break
            time.sleep(0.01)
    assert "planning" in shown
    assert "25%" in shown
    assert capsys.readouterr().out == ""


def test_a_file_sees_nothing(capsys):
    with progress.progress_bar("planning") as advance:
        advance(1, 4)
        time.sleep(0.05)  # long enough for an impatient bar to start
    assert capsys.readouterr() == ("", "")
