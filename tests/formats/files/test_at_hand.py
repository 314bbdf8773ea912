"""Files that are packed, or come through a pipe."""

from __future__ import annotations

import gzip
import io
import os
import sys
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import holds_placement, read_loads, read_placement
from equipoise.formats.registry import LOADS, PLACEMENTS
from tests.formats.samples import COUNTS, DEPLOYMENT, PLACEMENT, loads_sample, placement_sample

try:
    from compression.zstd import compress as compress_zstd
except ImportError:
    from zstandard import compress as compress_zstd

PACKINGS = {"gz": gzip.compress, "zst": compress_zstd}


@pytest.fixture
def packed(tmp_path):
    pytest.importorskip("torch")

    def pack(path):
        target = tmp_path / f"{path.name}.gz"
        target.write_bytes(gzip.compress(path.read_bytes()))
        return target

    return pack


@pytest.mark.parametrize("name", LOADS)
def test_packed_loads_of_every_format_are_read(tmp_path, packed, name):
    path = loads_sample(name, tmp_path)
    if path.is_file():
        np.testing.assert_array_equal(read_loads(packed(path)).counts, COUNTS)


@pytest.mark.parametrize("name", PLACEMENTS)
def test_packed_placements_of_every_format_are_read(tmp_path, packed, name):
    path = packed(placement_sample(name, tmp_path))
    assert holds_placement(path)
    np.testing.assert_array_equal(read_placement(path, deployment=DEPLOYMENT).phy2log, PLACEMENT.phy2log)


def test_packed_files_of_ranks_are_added_up(tmp_path):
    folder = loads_sample("csv-ranks", tmp_path)
    for file in list(folder.iterdir()):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    np.testing.assert_array_equal(read_loads(folder).counts, COUNTS)


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_packed_and_damaged_is_refused_by_name(tmp_path, packing):
    pack, path = PACKINGS[packing], tmp_path / f"loads.json.{packing}"
    whole = pack(b"[[1, 2]]")
    for content in (whole[:-9], whole[:12] + b"xxxxxxxx", whole[:4] + b"x"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"loads\.json\.{packing}: is packed and damaged"):
            read_loads(path)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, packing):
    path = tmp_path / f"loads.json.{packing}"
    path.write_bytes(PACKINGS[packing](b"[" + bytes(2**26)))
    with pytest.raises(InputError, match=rf"loads\.json\.{packing}: holds more than \d+ bytes"):
        read_loads(path)


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_was_packed_in_parts_is_read_whole(tmp_path, packing):
    path = tmp_path / f"loads.json.{packing}"
    path.write_bytes(b"".join(PACKINGS[packing](part) for part in (b"[[1, 2", b"], [3, 4]]")))
    assert read_loads(path).counts.tolist() == [[[1, 2], [3, 4]]]


def test_zstandard_is_read_and_refused_by_name_where_it_is_not_installed(tmp_path, monkeypatch):
    path = tmp_path / "loads.json.zst"
    path.write_bytes(PACKINGS["zst"](b"[[1, 2]]"))
    assert read_loads(path).counts.tolist() == [[[1, 2]]]
    for module in ("zstandard", "compression.zstd", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"loads\.json\.zst: is packed with Zstandard, which needs zstandard"):
        read_loads(path)


@pytest.mark.parametrize("name", ["numpy", "json", "csv", "vllm-window", "tensor"])
def test_what_comes_through_a_pipe_is_read_though_it_comes_once(tmp_path, name):
    pytest.importorskip("torch")
    content = loads_sample(name, tmp_path).read_bytes()
    end, beginning = os.pipe()
    writer = Thread(target=lambda: (os.write(beginning, content), os.close(beginning)))
    writer.start()
    path = f"/dev/fd/{end}"
    assert not holds_placement(path)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)
    writer.join()
    os.close(end)


def test_standard_input_is_read_and_may_be_packed(monkeypatch):
    for content in (b"[[5, 1]]", gzip.compress(b"[[5, 1]]")):
        monkeypatch.setattr(sys, "stdin", SimpleNamespaceWithHash(buffer=io.BytesIO(content)))
        assert not holds_placement("-")
        assert read_loads("-").counts.tolist() == [[[5, 1]]]


class SimpleNamespaceWithHash(SimpleNamespace):
    __hash__ = object.__hash__
