from __future__ import annotations

from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest

from equipoise.formats.sniffing import ENOUGH, Glimpse
from tests.formats.memory import most_memory


def archive(path, method):
    with ZipFile(path, "w", method) as file:
        file.writestr("dump/data.pkl", bytes(2**26))
    return path


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_of_an_archive_the_beginning_of_the_pickle_is_seen(tmp_path, method):
    glimpse = Glimpse.of(archive(tmp_path / "dump.pt", method))
    assert (glimpse.head, glimpse.is_torch) == (bytes(ENOUGH), True)


def test_of_a_pickle_that_unpacks_by_large_blocks_nothing_is_unpacked(tmp_path):
    path = archive(tmp_path / "dump.pt", ZIP_BZIP2)
    glimpse, most = most_memory(lambda: Glimpse.of(path))
    assert glimpse.head == b""
    assert most < 2**20
