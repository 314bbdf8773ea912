"""The page about GPUs and slots: what each choice takes, and which to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.report.figures.size_curves import size_curves
from equipoise.report.pages.page import Number, Page, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.sizing.recommending import Advice
    from equipoise.sizing.size import Sizing

Titled = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def sizing_page(
    found: Sizing,
    tables: Sequence[Titled],
    verdict: str,
    title: str,
    settings: Sequence[tuple[str, str]],
    command: str,
) -> Page:
    """Return the page about what was found.

    Parameters
    ----------
    found : Sizing
        What each choice reaches, and which to take.
    tables : sequence of (title, head, rows)
        PAR and memory, layer times, and the tokens that a GPU serves.
    verdict : str
        The advice in one sentence.
    title : str
        Which trace.
    settings : sequence of pairs
        What was asked for, by name.
    command : str
        The command that writes the page.
    """
    reached, times, served = (Table(*table) for table in tables)
    return Page(
        title=title,
        verdict=verdict,
        numbers=[_number(advice) for advice in found.advice],
        sections=[
            Section(
                "curves",
                "Layer time by the size of batches",
                "What a layer takes, which is what its slowest GPU does for its experts; below, by how much that is "
                "beyond the fastest of all at the same tokens. GPUs differ by colour, slots by line.",
                [size_curves(found.cells)],
                times,
            ),
            Section(
                "reached",
                "Balance and memory",
                "PAR is peak / mean GPU load in the windows that came after each plan, mean over them and the layers. "
                "Memory is that of a GPU's experts in all layers that were recorded.",
                table=reached,
            ),
            Section(
                "served",
                "Tokens that a GPU serves",
                "In a second, if nothing but its experts took time. What GPUs send each other, attention and all else "
                "come on top.",
                table=served,
            ),
        ],
        settings=settings,
        command=command,
    )


def _number(advice: Advice) -> Number:
    cell = advice.cells[0]
    return Number(
        f"at {cell.tokens:,} tokens a GPU",
        f"{cell.slots_per_gpu} slots",
        f"on each of {cell.gpus} GPUs: {cell.layer_time:,.0f} µs a layer, PAR {cell.par:.4f}, "
        f"{cell.tokens_per_second:,.0f} tokens a second and GPU",
    )
