"""Layer time over the size of batches, a line for each choice of GPUs and slots, and how far it is from the fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.report.figures.style import DASHES, POLICIES, SYMBOLS, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.sizing.cell import Cell

HEIGHT = 640


def size_curves(cells: Sequence[Cell]) -> go.Figure:
    """Return microseconds over tokens, and below what each choice takes beyond the fastest at the same tokens."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.08)
    fastest = {cell.tokens: min(one.layer_time for one in cells if one.tokens == cell.tokens) for cell in cells}
    drawn: dict[tuple[int, int, int], int] = {}
    for name, line in _lines(cells).items():
        tokens = np.array([cell.tokens for cell in line])
        time = np.array([cell.layer_time for cell in line])
        beyond = time / [fastest[cell.tokens] for cell in line] - 1
        look = drawn.setdefault(line[0].deployment, 0)
        drawn[line[0].deployment] += 1
        colour = POLICIES[list(drawn).index(line[0].deployment) % len(POLICIES)]
        for row, values, form in ((1, time, ".1f"), (2, beyond, ".1%")):
            trace = go.Scatter(
                name=name,
                legendgroup=name,
                showlegend=row == 1,
                x=tokens,
                y=values,
                mode="lines+markers",
                line={"color": colour, "dash": DASHES[look % len(DASHES)], "width": 1.5},
                marker={"symbol": SYMBOLS[look % len(SYMBOLS)], "size": 6},
                hovertemplate=f"%{{y:{form}}}",
            )
            figure.add_trace(trace, row=row, col=1)
    figure.update_xaxes(type="log", tickvals=sorted(fastest), ticktext=[f"{tokens:,}" for tokens in sorted(fastest)])
    figure.update_xaxes(title="tokens that each GPU brings to a pass", row=2, col=1)
    figure.update_yaxes(title="µs of a layer", type="log", dtick="D2", row=1, col=1)
    figure.update_yaxes(title="beyond the fastest", tickformat=".0%", rangemode="tozero", row=2, col=1)
    figure.update_layout(hovermode="x unified")
    label = "Microseconds of a layer over the tokens of a GPU: " + ", ".join(
        f"{name} {line[0].layer_time:.0f} to {line[-1].layer_time:.0f}" for name, line in _lines(cells).items()
    )
    return styled(figure, label, HEIGHT)


def _lines(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return the cells of each choice by its name."""
    lines: dict[str, list[Cell]] = {}
    for cell in cells:
        named = f"{cell.gpus} GPUs, {cell.slots_per_gpu} slots"
        named += f", {cell.groups} groups" if cell.groups > 1 else ""
        named += f", {cell.routing}" if cell.routing != "even" else ""
        lines.setdefault(named, []).append(cell)
    return lines
