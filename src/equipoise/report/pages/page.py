"""The page: one file that opens from disk, fetches nothing, and has all its figures in it."""

from __future__ import annotations

import gzip
import platform
from base64 import b64encode
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from equipoise.formats.files.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import plotly.graph_objects as go
    from numpy.typing import NDArray

SCRIPTS = ("figures.js", "tables.js", "page.js")
LEVELS = 65535  # of the heights of blocks, in two bytes each
PACKAGES = ("equipoise", "numpy", "numba", "plotly")


@dataclass(frozen=True)
class Number:
    """One of the large numbers at the top."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Table:
    """Rows under a head, whose first cells name them; a folded one is opened by its name."""

    name: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, what is to be seen, and the figure or the table of it.

    Attributes
    ----------
    name : str
        One word, by which styles and scripts know it.
    heading, text : str
        What is to be seen, and how to read it.
    figures : sequence of Figure
        None, one, or, where a layer can be opened, one for each layer. Those of before and after beside each other can
        be told to show one of them.
    table : Table, optional
        The same in figures.
    """

    name: str
    heading: str
    text: str
    figures: Sequence[go.Figure] = ()
    table: Table | None = None


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows that the open layer can be seen in.

    Attributes
    ----------
    numbers : range
        Which of the recorded windows.
    heights : pair of ndarray, float64 ``[windows, layers, gpus, slots_per_gpu]``
        How high the blocks are before and after.
    """

    numbers: range
    heights: tuple[NDArray[np.float64], NDArray[np.float64]]

    def packed(self) -> list[tuple[float, str]]:
        """Return of each side what its highest block has, and all blocks in 65535ths of that, packed."""
        most = [float(side.max()) or 1.0 for side in self.heights]
        shares = (np.round(side / high * LEVELS).astype("<u2") for side, high in zip(self.heights, most, strict=True))
        return [(high, _packed(share.tobytes())) for high, share in zip(most, shares, strict=True)]


@dataclass(frozen=True)
class Page:
    """What is on the page.

    Attributes
    ----------
    title, verdict : str
        What the page is about, and what comes of it in one sentence.
    numbers : sequence of Number
        The figures that matter most.
    sections : sequence of Section
        What comes below each other; the layer that is open is chosen in the one named "layer".
    settings : sequence of pairs
        What was asked for, by name.
    command : str
        The command that wrote the page.
    layers : int
        Layers that can be opened; 0 where none can.
    opened : int
        The layer that is open at first.
    windows : Windows, optional
        Windows that the open layer can be seen in.
    """

    title: str
    verdict: str
    numbers: Sequence[Number]
    sections: Sequence[Section]
    settings: Sequence[tuple[str, str]]
    command: str
    layers: int = 0
    opened: int = 0
    windows: Windows | None = None

    def html(self) -> str:
        """Return the page as HTML."""
        drawn = {section.name: [figure.to_dict() for figure in section.figures] for section in self.sections}
        room = files("equipoise.report.pages")
        loader = PackageLoader("equipoise.report.pages", ".")
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        return environment.get_template("page.html").render(
            page=self,
            style=room.joinpath("page.css").read_text("utf-8"),
            scripts=[room.joinpath(script).read_text("utf-8") for script in SCRIPTS],
            plotly=_packed(get_plotlyjs().encode()),
            figures=_packed(to_json_plotly({name: some for name, some in drawn.items() if some}).encode()),
            heights=self.windows.packed() if self.windows else [],
            versions=[f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)],
        )

    def save(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        write_whole(path, self.html())


def _packed(content: bytes) -> str:
    """Return text or numbers as the page carries them, a third of their size: compressed, in letters."""
    return b64encode(gzip.compress(content, mtime=0)).decode()
