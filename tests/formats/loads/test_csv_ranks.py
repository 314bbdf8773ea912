"""CSV of every rank: added up, or side by side; each dump of a rank is a window."""

from __future__ import annotations

import re

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads, read_model
from tests.formats.samples import COUNTS, VARIANTS

HEAD = "layer_id,expert_id,count\n"


def write(folder, files):
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_a_rank_did_not_see_is_zero_there(tmp_path):
    write(tmp_path, {"x_rank0_t17.csv": HEAD + "3,0,5\n4,1,1\n", "x_rank1_t17.csv": HEAD + "3,0,2\n3,3,7\n"})
    assert read_loads(tmp_path).counts.tolist() == [[[7, 0, 0, 7], [0, 1, 0, 0]]]


def test_dumps_are_in_the_order_of_their_numbers(tmp_path):
    files = {f"rank{rank}_{time}.csv": HEAD + f"0,1,{time}\n" for rank in (0, 1) for time in (9, 10, 100)}
    assert read_loads(write(tmp_path, files)).counts[:, 0, 1].tolist() == [18, 20, 200]


def test_matrices_of_the_experts_on_each_npu_stand_side_by_side(tmp_path):
    np.testing.assert_array_equal(read_loads(VARIANTS["csv-ranks, side by side"](tmp_path)).counts, COUNTS)


@pytest.mark.parametrize("all_experts", [True, False])
def test_the_model_says_whether_each_rank_has_all_experts_and_where_windows_end(tmp_path, all_experts):
    model = read_model("DeepSeek-V3")
    counts = np.random.default_rng(0).integers(1, 99, (2, 58, 256))
    parts = [counts // 2, counts - counts // 2] if all_experts else np.split(counts, 2, axis=2)
    for rank, part in enumerate(parts):
        np.savetxt(tmp_path / f"rank_{rank}.csv", part.reshape(116, -1), fmt="%d", delimiter=",")
    np.testing.assert_array_equal(read_loads(tmp_path, model=model).counts, counts)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"rank1.csv": HEAD + "0,0,1\n"}, "holds ranks 1; expected the files of all ranks, from 0 on"),
        (
            {"rank0_1.csv": HEAD + "0,0,1\n", "rank0_2.csv": HEAD + "0,0,1\n", "rank1_1.csv": HEAD + "0,0,1\n"},
            "holds 1 files of rank 1 and 2 of rank 0; expected as many of each",
        ),
        ({"rank0.csv": HEAD + "0,0,1\n", "rank1.csv": HEAD + "0,x,1\n"}, "rank1.csv: not a table of numbers: line 2"),
        ({"rank0.csv": HEAD, "rank1.csv": HEAD}, "has no rows; expected one"),
        ({"npu0.csv": "5,1\n2,2\n", "npu1.csv": "5,1\n"}, "npu1.csv: has 1 rows, npu0.csv 2; expected as many"),
        (
            {f"rank{rank}.csv": ",".join(600 * "1") for rank in range(2)},
            "has 1200 experts, those of all ranks side by side, .*; name the model if",
        ),
        (
            {"rank0_1.csv": "window," + HEAD + "0,0,0,1\n", "rank0_2.csv": "window," + HEAD + "0,0,0,1\n"},
            "rank0_1.csv has windows, and its rank other files",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, files, message):
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}: .*{message}"):
        read_loads(write(tmp_path, files))
