"""No refusal says what a library says of a file: damaged in any way, it is refused in our own words."""

from __future__ import annotations

import re

import numpy as np
import pytest

from equipoise import InputError, Loads
from equipoise.formats import read_loads, read_placement
from equipoise.formats.registry import LOADS
from tests.formats.fuzz import FOLDERS, samples
from tests.formats.mutations import damaged
from tests.formats.samples import DEPLOYMENT

OF_OTHERS = re.compile(
    "inhomogeneous|setting an array|Expecting|delimiter|Extra data|could not convert|allow_pickle|weights_only|"
    "Weights only|HeaderTooLarge|SafetensorError|Thrift|Invalid number|could not find|Traceback|codec|"
    "mismatch|reshape array|EOF|unpickl|magic|zipfile|Errno|object at 0x|dtype=|usecols|broadcast",
    re.IGNORECASE,
)


def test_damaged_files_of_every_format_are_refused_in_our_own_words(tmp_path):
    pytest.importorskip("torch")
    for name, (file, whole) in samples(tmp_path).items():
        known = name.partition(",")[0]
        path = file.parent if file.parent.name in FOLDERS else file
        for seed in range(60):
            file.write_bytes(damaged(whole, seed))
            try:
                read_loads(path, known) if known in LOADS else read_placement(path, known, DEPLOYMENT)
            except InputError as error:
                said = str(error).removeprefix(str(path))
                assert not OF_OTHERS.search(re.sub(r"'[^']*'", "", said)), f"{name}, seed {seed}: {said}"
        file.write_bytes(whole)


@pytest.mark.parametrize("counts", [[[1, 2], [3]], [[1], 2], [[[1, 2]], [[1, 2], [3, 4]]], [["a", 1]], [[None, 1]]])
def test_lists_that_are_no_loads_are_refused_in_our_own_words(counts):
    with pytest.raises(InputError) as refused:
        Loads(counts)
    assert not OF_OTHERS.search(str(refused.value))


def test_arrays_of_python_objects_are_refused_for_what_they_are(tmp_path):
    np.save(tmp_path / "loads.npy", np.array([{}, 1], dtype=object))
    with pytest.raises(InputError, match="holds Python objects, and reading these could run code"):
        read_loads(tmp_path / "loads.npy")
