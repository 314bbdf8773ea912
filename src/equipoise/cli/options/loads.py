"""The options that say which part of recorded loads is read, and how; the same for all commands that read any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from equipoise.cli.options.panels import READING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from equipoise.cli.options.model import ModelOptions
    from equipoise.loads import Loads


def parse_windows(text: str) -> slice:
    """Return the windows that an option names: ``100:200``, ``100:`` or ``:200``.

    Raises
    ------
    typer.BadParameter
        If it names none.

    Examples
    --------
    >>> parse_windows("100:200")
    slice(100, 200, None)
    """
    first, colon, end = text.partition(":")
    places = [int(place) if place.isdecimal() else None for place in (first, end)]
    whole = all(place is not None or not given for place, given in zip(places, (first, end), strict=True))
    if not colon or not whole or places == [None, None] or (None not in places and places[0] >= places[1]):  # type: ignore[operator]
        raise typer.BadParameter(f"{text!r} names no windows; expected the first and the one after the last: 100:200")
    return slice(*places)


AskedWindows = Annotated[
    slice | None,
    typer.Option(
        "--windows",
        parser=parse_windows,
        metavar="FROM:TO",
        help="Windows of the loads to keep, numbered from 0, without TO; otherwise all.",
        show_default=False,
        rich_help_panel=READING,
    ),
]
AskedExperts = Annotated[
    int | None,
    typer.Option(
        "--experts",
        min=1,
        help="Experts of a layer; what a recording has after them, as zero-computation experts, is left out.",
        show_default=False,
        rich_help_panel=READING,
    ),
]


@dataclass(frozen=True)
class LoadsOptions:
    """How loads are read, as it was asked for."""

    format: str | None
    model: ModelOptions
    windows: slice | None = None
    experts: int | None = None

    def read(self, recordings: Sequence[Path]) -> Loads:
        """Read the files as one recording, and refuse that of another model.

        Raises
        ------
        InputError
            If one cannot be read, they do not fit each other, or are not of the model that was named.
        """
        from equipoise.formats import read_loads

        windows = slice(None) if self.windows is None else self.windows
        loads = read_loads(recordings, self.format, self.model.model, windows=windows, experts=self.experts)
        self.model.check_experts(loads.experts)
        return loads

    def read_or_sample(self, recordings: Sequence[Path] | None) -> Loads:
        """Read the files or, where there are none, return the synthetic sample, of which no part can be asked for.

        Raises
        ------
        typer.BadParameter
            If a part is asked for, and no files are named.
        InputError
            As :meth:`read`.
        """
        from equipoise.synthetic.sample import sample_loads

        if recordings:
            return self.read(recordings)
        for option, asked in (("--windows", self.windows), ("--experts", self.experts)):
            if asked is not None:
                raise typer.BadParameter("say which recorded loads it is a part of", param_hint=option)
        return sample_loads()


def named_recordings(recordings: Sequence[Path] | None) -> str | None:
    """Return the names of the files, as summaries have them; None where there are none."""
    return ", ".join(map(str, recordings)) if recordings else None


def recordings_in_title(recordings: Sequence[Path] | None) -> str:
    """Return the names of the files in a few words."""
    if not recordings:
        return "the synthetic sample"
    others = len(recordings) - 1
    return recordings[0].name + (f" and {others} more" if others else "")
