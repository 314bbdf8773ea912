"""Layer time over the size of batches, a line for each choice of GPUs and slots, and how far it is from the fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.figures.axes import from_none, logarithmic_ticks
from equipoise.report.figures.end_names import LINE_HEIGHT, name_ends, room_for
from equipoise.report.figures.style import BELOW, DASHES, LINES, ROOM_ABOVE, SYMBOLS, styled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from equipoise.sizing.cell import Cell

HEIGHT, BETWEEN = 200, 44  # pixels of a row, which has more where there are many lines, and to the next
MORE_TOKENS, MORE_TIME = 1.3, 1.1  # by which the axes go beyond the least and the most


def size_curves(cells: Sequence[Cell]) -> go.Figure:
    """Return microseconds over tokens, and below what each choice takes beyond the fastest at the same tokens."""
    lines = _lines(cells)
    row_height = max(HEIGHT, LINE_HEIGHT * len(lines))
    high = 2 * row_height + BETWEEN
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=BETWEEN / high)
    fastest = {cell.tokens: min(one.layer_time for one in cells if one.tokens == cell.tokens) for cell in cells}
    drawn: dict[tuple[int, int, int], int] = {}
    for name, line in lines.items():
        tokens = np.array([cell.tokens for cell in line])
        time = np.array([cell.layer_time for cell in line])
        beyond = time / [fastest[cell.tokens] for cell in line] - 1
        look = drawn.setdefault(line[0].deployment, 0)
        drawn[line[0].deployment] += 1
        colour = LINES[list(drawn).index(line[0].deployment) % len(LINES)]
        for row, values, form in ((1, time, ".1f"), (2, beyond, ".1%")):
            trace = go.Scatter(
                name=name,
                x=tokens,
                y=values,
                mode="lines+markers",
                line={"color": colour, "dash": DASHES[look % len(DASHES)], "width": 1.5},
                marker={"symbol": SYMBOLS[look % len(SYMBOLS)], "size": 6},
                cliponaxis=False,
                hovertemplate=f"%{{y:{form}}}",
            )
            figure.add_trace(trace, row=row, col=1)
    _set_axes(figure, cells, fastest)
    for row in (1, 2):
        name_ends(figure, row, row_height)
    figure.update_layout(hovermode="x unified", showlegend=False, margin_r=room_for(list(lines)))
    label = "Microseconds of a layer over the tokens of a GPU: " + ", ".join(
        f"{name} {line[0].layer_time:.0f} to {line[-1].layer_time:.0f}" for name, line in lines.items()
    )
    return styled(figure, label, high + ROOM_ABOVE + BELOW)


def _set_axes(figure: go.Figure, cells: Sequence[Cell], fastest: Mapping[int, float]) -> None:
    """Give the axes their ranges and ticks; the x axes have one where there are batches."""
    batches = sorted(fastest)
    around = np.log10([batches[0] / MORE_TOKENS, batches[-1] * MORE_TOKENS])
    figure.update_xaxes(type="log", range=around, tickvals=batches, ticktext=[f"{tokens:,}" for tokens in batches])
    figure.update_xaxes(title="tokens that each GPU brings to a pass", tickangle=0, row=2, col=1)
    times = [cell.layer_time for cell in cells]
    low, most = min(times) / MORE_TIME, max(times) * MORE_TIME
    figure.update_yaxes(title="µs of a layer", type="log", range=np.log10([low, most]), row=1, col=1)
    figure.update_yaxes(**logarithmic_ticks(low, most), row=1, col=1)
    beyond = [cell.layer_time / fastest[cell.tokens] - 1 for cell in cells]
    figure.update_yaxes(title="beyond the fastest", tickformat="~%", **from_none(beyond), row=2, col=1)


def _lines(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return the cells of each choice by its name, which says of groups and routing what differs."""
    lines: dict[str, list[Cell]] = {}
    groups, routings = {cell.groups for cell in cells}, {cell.routing for cell in cells}
    for cell in cells:
        named = f"{cell.gpus} GPUs, {cell.slots_per_gpu} slots"
        named += f", {cell.groups} groups" if cell.groups > 1 and len(groups) > 1 else ""
        named += f", {cell.routing}" if cell.routing != "even" and len(routings) > 1 else ""
        lines.setdefault(named, []).append(cell)
    return lines
