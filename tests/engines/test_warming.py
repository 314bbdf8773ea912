import os
import sys

import pytest

from equipoise.engines import warming
from equipoise.engines.warming import BEGUN, begin_warm_up


@pytest.fixture
def started(monkeypatch):
    """Return the commands that are started; this test is of an engine's first process."""
    commands = []
    monkeypatch.delenv(BEGUN)
    monkeypatch.setattr(warming.subprocess, "Popen", lambda command, **_: commands.append(command))
    yield commands
    os.environ.pop(BEGUN, None)


def test_it_begins_once_in_an_engine(started):
    begin_warm_up()
    begin_warm_up()
    begin_warm_up.cache_clear()  # as in a process that the first one started
    begin_warm_up()
    assert started == [[sys.executable, "-m", "equipoise", "warm-up"]]


def test_an_engine_that_cannot_start_a_process_compiles_later(started, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError

    monkeypatch.setattr(warming.subprocess, "Popen", refuse)
    assert begin_warm_up() is None


def test_the_process_is_silent_and_takes_no_package_from_the_engines_folder(monkeypatch, tmp_path, capfd):
    monkeypatch.delenv(BEGUN)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho said; echo said >&2; echo "$* $PYTHONSAFEPATH" > {tmp_path / "asked"}\n')
    python.chmod(0o755)
    monkeypatch.setattr(warming.sys, "executable", str(python))
    assert begin_warm_up().wait() == 0
    os.environ.pop(BEGUN, None)
    assert (tmp_path / "asked").read_text() == "-m equipoise warm-up 1\n"
    assert capfd.readouterr() == ("", "")
