from __future__ import annotations

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from tests.formats.samples import COUNTS, PLACEMENT, write_passes


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def folder(torch, tmp_path):
    write_passes(tmp_path, ranks=3)
    return tmp_path


def changed(torch, folder, rank, change):
    """Change what the file of a rank holds, in place."""
    (file,) = folder.glob(f"*_{rank}.pt")
    dump = torch.load(file)
    change(dump)
    torch.save(dump, file)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 12])
def test_all_ranks_are_added_up_and_slots_to_experts(torch, tmp_path, ranks, per_token):
    write_passes(tmp_path, ranks, per_token)
    np.testing.assert_array_equal(read_loads(tmp_path).counts, COUNTS)


def test_passes_that_a_rank_did_not_record_are_left_out(torch, folder):
    changed(torch, folder, 1, lambda dump: dump["records"].pop(0))
    changed(torch, folder, 2, lambda dump: dump["records"].reverse())
    np.testing.assert_array_equal(read_loads(folder).counts, COUNTS[1:])


def test_each_file_has_its_own_map(torch, folder):
    def reversed_slots(dump):
        dump["last_physical_to_logical_map"] = dump["last_physical_to_logical_map"].flip(1)
        for record in dump["records"]:
            record["global_physical_count"] = record["global_physical_count"].flip(1)

    changed(torch, folder, 1, reversed_slots)
    np.testing.assert_array_equal(read_loads(folder).counts, COUNTS)


def test_the_halves_of_a_batch_are_one_pass(torch, folder):
    def halved(dump):
        halves = [dict(record, gatherer_key=key) for record in dump["records"] for key in ("child_a", "child_b")]
        for a, b in zip(halves[::2], halves[1::2], strict=True):
            a["global_physical_count"] = b["global_physical_count"] // 2
            b["global_physical_count"] = b["global_physical_count"] - a["global_physical_count"]
        dump["records"] = halves

    changed(torch, folder, 0, halved)
    np.testing.assert_array_equal(read_loads(folder).counts, COUNTS)


def set_in_record(key, value):
    return lambda dump: dump["records"][1].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda dump: dump.pop("records"), "_1.pt: holds the keys last_physical_to_logical_map; expected records"),
        (
            lambda dump: dump.pop("last_physical_to_logical_map"),
            "last_physical_to_logical_map is None; expected a tensor",
        ),
        (set_in_record("forward_pass_id", "7"), r"records\[1\]: forward_pass_id is '7'; expected a whole number"),
        (set_in_record("rank", True), r"records\[1\]: rank is True"),
        (set_in_record("rank", -1), r"records\[1\]: rank is -1"),
        (set_in_record("forward_pass_id", 7), "has pass 7 of rank 1 once more"),
        (
            set_in_record("global_physical_count", None),
            r"records\[1\]: global_physical_count is None; expected a tensor",
        ),
        (lambda dump: dump["records"].append(3), r"records\[3\] is 3; expected a record"),
        (lambda dump: dump["records"].clear(), r"holds ranks 0, 2; expected the files of all ranks"),
        (
            lambda dump: [record.update(forward_pass_id=record["forward_pass_id"] + 9) for record in dump["records"]],
            "no forward pass that all 3 ranks recorded",
        ),
        (
            lambda dump: [
                record.update(global_physical_count=record["global_physical_count"][:1]) for record in dump["records"]
            ],
            r"the counts have shape \[1, 8\] and the map \[2, 8\]",
        ),
    ],
)
def test_what_a_file_lacks_or_has_twice_is_refused_by_name(torch, folder, change, message):
    changed(torch, folder, 1, change)
    with pytest.raises(InputError, match=rf"^{folder}: .*{message}"):
        read_loads(folder)


def test_files_of_other_models_are_refused(torch, folder):
    def narrower(dump):
        dump["last_physical_to_logical_map"] %= 5

    changed(torch, folder, 2, narrower)
    with pytest.raises(InputError, match=r"_2\.pt: has 2 layers of 5 experts; expected as many .* in the other files"):
        read_loads(folder)


def test_a_missing_rank_or_a_single_file_is_refused(torch, folder):
    first, second, _ = sorted(folder.iterdir())
    with pytest.raises(InputError, match="is the recording of one rank; give the folder"):
        read_loads(first)
    second.unlink()
    with pytest.raises(InputError, match=r"holds ranks 0, 2; expected the files of all ranks, from 0 on"):
        read_loads(folder)


def test_a_folder_of_dumps_in_mode_stat_is_no_passes_and_its_files_are_windows(torch, tmp_path):
    torch.save({"rank": 0, "logical_count": torch.tensor(COUNTS)}, tmp_path / "dump.pt")
    with pytest.raises(InputError, match=r"dump\.pt: holds the keys rank, logical_count; expected records"):
        read_loads(tmp_path, "sglang-passes")
    assert read_loads(tmp_path).labels == tuple(f"dump {place}" for place in range(len(COUNTS)))


def test_idle_passes_stay(torch, folder):
    for rank in range(3):
        changed(torch, folder, rank, lambda dump: dump["records"][1]["global_physical_count"].zero_())
    counts = read_loads(folder).counts
    assert counts.shape == COUNTS.shape
    assert not counts[1].any()
    assert PLACEMENT.experts == counts.shape[2]


def test_one_tensor_for_thousands_of_passes_is_refused(torch, tmp_path):
    counts = torch.zeros((50, 2000), dtype=torch.int32)
    records = [{"forward_pass_id": number, "rank": 0, "global_physical_count": counts} for number in range(20_000)]
    torch.save({"records": records, "last_physical_to_logical_map": counts.long()}, tmp_path / "rank.pt")
    with pytest.raises(InputError, match=r"rank\.pt: stands for 2000000000 numbers in \d+ bytes"):
        read_loads(tmp_path)
