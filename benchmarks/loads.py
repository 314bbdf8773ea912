"""The loads of a case: recorded ones from a folder, or the bundled sample in their place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.cases import CASES
from equipoise import InputError, sample_loads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.cases import Case

RECORDED = Path(__file__).parents[2] / "shared" / "loads"


def cases_of(folder: Path | None) -> list[Case]:
    """Return the cases that can run: all with recorded loads, else those that the sample can stand for."""
    if folder:
        return list(CASES)
    return [case.on_sample for case in CASES if case.loads == "deepseek_v3_sglang_ep"]


def counts_of(case: Case, folder: Path | None) -> NDArray[np.int64]:
    """Return the counts of a case, ``[layers, experts]``: one window, or all of them added up.

    Raises
    ------
    InputError
        If the folder lacks the file.
    """
    counts = read_counts(folder, case.loads) if folder else sample_loads().counts.astype(np.int64)
    windows = counts.reshape(-1, *counts.shape[-2:])
    chosen = windows if case.window is None else windows[[case.window]]
    total: NDArray[np.int64] = chosen.sum(axis=0)
    return total


def read_counts(folder: Path, name: str) -> NDArray[np.int64]:
    """Return recorded counts as the file has them.

    Raises
    ------
    InputError
        If the folder lacks the file.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise InputError(f"{path} is missing; expected the recorded loads that the cases name")
    with np.load(path, allow_pickle=False) as file:
        counts: NDArray[np.int64] = file["counts"]
    return counts
