from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from equipoise import InputError
from equipoise.formats.files.atomic import check_writable, write_whole


def test_a_file_is_written_with_ordinary_permissions_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_whole(path, "é\n")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", [(os, "fsync"), (Path, "replace")])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_text("before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*step, fail)
    with pytest.raises(InputError, match=rf"{path}: No space left"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    write_whole(link, "text")
    assert (target.read_text(), link.is_symlink()) == ("text", True)


def test_paths_that_cannot_be_written_are_refused_beforehand(tmp_path):
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path, "not an ordinary file"),
        ("/dev/null", "not an ordinary file"),
        (tmp_path / "missing" / "file", "there is no folder"),
        (tmp_path / "file" / "file", "there is no folder"),
    ):
        with pytest.raises(InputError, match=f"^{path}: {reason}"):
            check_writable(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_beforehand(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="may not be written to"):
        check_writable(tmp_path / "file")
