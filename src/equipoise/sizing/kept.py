"""Cells that are done, kept in files until all are, so that a run that was stopped goes on from them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from equipoise.errors import InputError
from equipoise.formats.costs import encode_cost
from equipoise.formats.files.atomic import write_whole
from equipoise.sizing.cell import Cell

if TYPE_CHECKING:
    from equipoise.sizing.judging import Question
    from equipoise.sizing.setup import Setup


def kept_folder() -> Path:
    """Return where commands keep what is done: among the user's caches."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "equipoise"


@dataclass(frozen=True)
class Kept:
    """A folder with a file for each setup that was judged.

    Attributes
    ----------
    folder : Path
        Where they are.
    question : Question
        What was asked; another has other files.
    """

    folder: Path
    question: Question

    def open(self) -> None:
        """Make the folder.

        Raises
        ------
        InputError
            If it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}, where what is done is kept, cannot be made: {error.strerror}; use another folder "
                "(commands take the environment's XDG_CACHE_HOME)"
            ) from None

    def find(self, setup: Setup) -> list[Cell] | None:
        """Return the cells of a setup that was judged before; None where it was not, or its file is damaged."""
        path = self._path(setup)
        try:
            return [Cell(**one) for one in json.loads(path.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, setup: Setup, cells: list[Cell]) -> None:
        """Write the cells of a setup, whole or not at all.

        Raises
        ------
        InputError
            If the folder may not be written to.
        """
        write_whole(self._path(setup), json.dumps([cell.figures() for cell in cells]))

    def forget(self, setups: list[Setup]) -> None:
        """Delete what was kept of these setups."""
        for setup in setups:
            self._path(setup).unlink(missing_ok=True)

    def _path(self, setup: Setup) -> Path:
        """Return the file of a setup, named by all that its cells depend on."""
        question = self.question
        asked = {
            "version": version("equipoise"),
            "shape": question.trace.counts.shape,
            "batches": [(batch.tokens, batch.top_k, encode_cost(batch.cost)) for batch in question.batches],
            "routings": list(question.routings),
            "expert_bytes": question.expert_bytes,
            "effort": question.effort,
            "setup": asdict(setup),
        }
        digest = sha256(json.dumps(asked).encode())
        digest.update(question.trace.counts.tobytes())
        return self.folder / f"size-{digest.hexdigest()[:32]}.json"
