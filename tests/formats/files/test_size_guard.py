from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.formats.files.size_guard import check_bytes, check_numbers


@given(size=st.integers(0, 300), more=st.integers(-(2**20), 2**20))
def test_numbers_are_allowed_in_proportion_to_the_file(tmp_path_factory, size, more):
    path = tmp_path_factory.getbasetemp() / "sized"
    path.write_bytes(bytes(size))
    numbers = 2**22 + 128 * size + more
    if more <= 0:
        check_numbers(numbers, path)
        check_bytes(8 * numbers, path)
        return
    for check, asked in ((check_numbers, numbers), (check_bytes, 8 * numbers - 7)):
        with pytest.raises(InputError, match=f"stands for {numbers} numbers in {size} bytes; expected at most"):
            check(asked, path)


def test_no_file_may_ask_for_more_than_a_limit(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**40)
    check_numbers(2**28, path)
    with pytest.raises(InputError, match=f"expected at most {2**28} in such a file"):
        check_numbers(2**28 + 1, path)


def test_files_of_a_folder_count_together(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(100))
    check_numbers(2**22 + 128 * 300, tmp_path)
    with pytest.raises(InputError, match="in 300 bytes"):
        check_numbers(2**22 + 128 * 300 + 1, tmp_path)
