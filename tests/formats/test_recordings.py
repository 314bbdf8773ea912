"""Several files, or a folder of them, as windows; and what of them is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads, read_model
from tests.formats.samples import COUNTS, loads_sample

NAMES = ("prefill_9", "prefill_10", "prefill_100")


def as_json(path, window):
    path.write_text(json.dumps({"logical_count": window.tolist()}))


def as_npy(path, window):
    np.save(path, window)


def as_csv(path, window):
    np.savetxt(path, window, fmt="%d", delimiter=",")


def as_tensor(path, window):
    torch = pytest.importorskip("torch")
    torch.save(torch.tensor(window), path)


def as_dump(path, window):
    torch = pytest.importorskip("torch")
    torch.save({"logical_count": torch.tensor(window)[None]}, path)


WRITERS = {".json": as_json, ".npy": as_npy, ".csv": as_csv, ".pth": as_tensor, ".pt": as_dump}


@pytest.fixture(params=WRITERS)
def files(request, tmp_path):
    (tmp_path / "recorded").mkdir()
    found = []
    for name, window in zip(NAMES, COUNTS, strict=True):
        found.append(tmp_path / "recorded" / f"{name}{request.param}")
        WRITERS[request.param](found[-1], window)
    return found


def test_a_folder_of_files_of_one_kind_is_windows_in_the_order_of_their_numbers(files):
    (files[0].parent / ".DS_Store").touch()
    loads = read_loads(files[0].parent)
    np.testing.assert_array_equal(loads.counts, COUNTS)
    assert loads.labels == NAMES


def test_several_files_are_windows_in_the_order_given(files):
    loads = read_loads([str(file) for file in reversed(files)])
    np.testing.assert_array_equal(loads.counts, COUNTS[::-1])
    assert loads.labels == NAMES[::-1]


def test_a_file_of_several_windows_has_a_label_for_each(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    np.save(tmp_path / "b.npy", COUNTS[0])
    loads = read_loads([tmp_path / "a.npy", tmp_path / "b.npy"])
    np.testing.assert_array_equal(loads.counts, np.concatenate([COUNTS, COUNTS[:1]]))
    assert loads.labels == ("a 0", "a 1", "a 2", "b")


@pytest.mark.parametrize("name", ["csv-ranks", "sglang-passes"])
def test_the_files_of_all_ranks_are_one_recording_as_their_folder_is(tmp_path, name):
    pytest.importorskip("torch")
    folder = loads_sample(name, tmp_path)
    np.testing.assert_array_equal(read_loads(sorted(folder.iterdir())).counts, read_loads(folder).counts)


def test_files_that_do_not_fit_each_other_are_refused_by_name(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    np.save(tmp_path / "b.npy", COUNTS[:, :, 1:])
    with pytest.raises(InputError, match=r"b\.npy: has 2 layers x 5 experts, .*a\.npy 2 x 6; expected the same"):
        read_loads(tmp_path)
    with pytest.raises(InputError, match="there are no files of loads"):
        read_loads([])


def test_of_several_files_the_one_that_cannot_be_read_is_named(tmp_path):
    as_json(tmp_path / "a.json", COUNTS[0])
    (tmp_path / "b.json").write_text("[[1, 2], [3]]")
    with pytest.raises(InputError, match=r"b\.json: layer 1 has 1 expert"):
        read_loads(tmp_path)


@pytest.mark.parametrize(("windows", "left"), [(slice(1, 3), [1, 2]), (slice(None, 1), [0]), (slice(-1, None), [2])])
def test_some_windows_are_kept(files, windows, left):
    loads = read_loads(files[0].parent, windows=windows)
    np.testing.assert_array_equal(loads.counts, COUNTS[left])
    assert loads.labels == tuple(NAMES[place] for place in left)


def test_no_window_left_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    with pytest.raises(InputError, match=r"a\.npy: no window is left of 3 by windows; expected some from 0 to 3"):
        read_loads(tmp_path / "a.npy", windows=slice(5, 9))


def test_experts_after_those_asked_for_are_left_out(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    np.testing.assert_array_equal(read_loads(tmp_path / "a.npy", experts=4).counts, COUNTS[:, :, :4])
    with pytest.raises(InputError, match=r"has 6 experts; expected 7 at least \(experts\)"):
        read_loads(tmp_path / "a.npy", experts=7)


def test_experts_that_a_table_does_not_name_had_no_load(tmp_path):
    (tmp_path / "a.csv").write_text("layer,expert,load\n3,0,5\n")
    assert read_loads(tmp_path / "a.csv", experts=3).counts.tolist() == [[[5, 0, 0]]]
    assert read_loads(tmp_path / "a.csv", model=read_model("DeepSeek-V3")).experts == 256
    with pytest.raises(InputError, match="stands for"):
        read_loads(tmp_path / "a.csv", experts=10**9)


def test_files_keep_the_numbers_of_their_layers_and_those_of_other_layers_are_refused(tmp_path):
    for name, layers in {"a": (3, 4), "b": (3, 4), "c": (3, 5)}.items():
        rows = "\n".join(f"{layer},0,7" for layer in layers)
        (tmp_path / f"{name}.csv").write_text(f"layer,expert,load\n{rows}\n")
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert read_loads(paths).decoder_layers == (3, 4)
    assert read_loads(paths, experts=2).decoder_layers == (3, 4)
    with pytest.raises(InputError, match=r"c\.csv: numbers its layers 3, 5, .*a\.csv 3, 4; expected the same"):
        read_loads([*paths, tmp_path / "c.csv"])
