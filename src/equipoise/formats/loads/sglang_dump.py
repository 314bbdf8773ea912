"""The dump of SGLang's expert distribution recorder in ``stat`` mode, a ``.pt`` file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.files.refusals import listed
from equipoise.formats.files.torch_files import as_array, is_tensor, read_torch
from equipoise.formats.loads.counts import recorded_steps
from equipoise.loads import Loads

if TYPE_CHECKING:
    from pathlib import Path

    from equipoise.formats.sniffing import Glimpse


def is_sglang_dump(glimpse: Glimpse) -> bool:
    """Return whether it is a torch file with ``logical_count``."""
    return glimpse.pickles("logical_count")


def read_sglang_dump(path: Path) -> Loads:
    """Read ``logical_count`` ``[steps, layers, experts]``; the recorded steps become the windows.

    The recorder writes its whole ring buffer: steps of nothing but zeros were never recorded and are dropped;
    once the buffer has wrapped, the others are not in the order of time. Dense layers stay, all zero.

    Raises
    ------
    InputError
        If torch is not installed, or the file is damaged, holds Python objects or another recorder mode.
    """
    dump = read_torch(path)
    if not isinstance(dump, dict) or not is_tensor(dump.get("logical_count")):
        found = f"the keys {listed(dump)}" if isinstance(dump, dict) else type(dump).__name__
        raise InputError(
            f"holds {found}; expected a tensor logical_count, as SGLang's recorder writes in mode stat "
            "(--expert-distribution-recorder-mode stat)"
        )
    return Loads(recorded_steps(as_array("logical_count", dump["logical_count"], path)))
