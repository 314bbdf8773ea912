"""The options that say what a file is, and what an engine's file does not say; the same for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from equipoise.cli.options.panels import CLUSTER, OUTPUT, READING
from equipoise.formats.files.refusals import shown
from equipoise.formats.registry import LOADS, LOADS_WRITTEN, PLACEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_format(text: str) -> str:
    """Return the name of a format, of loads or of placements.

    Raises
    ------
    typer.BadParameter
        If there is none of this name.

    Examples
    --------
    >>> parse_format("tensorrt-llm")
    'tensorrt-llm'
    """
    if text not in LOADS and text not in PLACEMENTS:
        raise typer.BadParameter(
            f"{shown(text)} is no format; expected, for loads, {', '.join(LOADS)}, or for placements, "
            f"{', '.join(PLACEMENTS)}"
        )
    return text


def _format(option: str, text: str, panel: str = READING) -> Any:
    return typer.Option(
        option, parser=parse_format, metavar="FORMAT", help=text, show_default=False, rich_help_panel=panel
    )


FromFormat = Annotated[str | None, _format("--from", "Format of what is read; otherwise its content says.")]
FromFormats = Annotated[
    list[str] | None,
    _format(
        "--from", "Format of a file that is read, otherwise its content says; may be repeated, of loads and placements."
    ),
]
ToPlacement = Annotated[
    str | None, _format("--to", f"Format of the placement: {', '.join(PLACEMENTS)}; otherwise the suffix says.", OUTPUT)
]
ToFormat = Annotated[
    str | None,
    _format(
        "--to",
        f"Format of OUT: for loads {', '.join(LOADS_WRITTEN)}, for placements {', '.join(PLACEMENTS)}; otherwise the "
        "suffix says.",
        OUTPUT,
    ),
]


def source_formats_of(asked: list[str] | None, loads: bool, placements: bool) -> tuple[str | None, str | None]:
    """Return the format that loads are said to be read in, and that of placements, if any.

    Raises
    ------
    typer.BadParameter
        If nothing of that kind is read, or more than one format is said for it.
    """
    return _format_among(asked, LOADS, "loads", loads), _format_among(asked, PLACEMENTS, "placements", placements)


def _format_among(asked: list[str] | None, formats: Mapping[str, object], kind: str, is_read: bool) -> str | None:
    found = [name for name in asked or () if name in formats]
    if found and not is_read:
        raise typer.BadParameter(f"{found[0]} is a format of {kind}, and none are read here", param_hint="--from")
    if len(found) > 1:
        raise typer.BadParameter(f"{' and '.join(found)} are both formats of {kind}; say one", param_hint="--from")
    return found[0] if found else None


FileGpus = Annotated[
    int | None,
    typer.Option("--gpus", min=1, help="GPUs in all, where a placement's file does not say.", rich_help_panel=CLUSTER),
]
FileNodes = Annotated[
    int | None,
    typer.Option(
        "--nodes", min=1, help="Nodes they are in, where the file does not say; otherwise 1.", rich_help_panel=CLUSTER
    ),
]
