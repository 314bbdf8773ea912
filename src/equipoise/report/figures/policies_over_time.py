"""PAR over time under each policy, and what each moves for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.replay.policies import ORACLE
from equipoise.report.figures.axes import columns, from_none, from_one
from equipoise.report.figures.end_names import LINE_HEIGHT, name_ends, room_for
from equipoise.report.figures.style import BELOW, BOUND, DASHES, LINES, ROOM_ABOVE, SYMBOLS, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equipoise.replay.simulate import Replay

ROWS = {"par": "PAR", "moves": "moves", "stall_seconds": "stall, s"}
HEIGHTS = (190, 100, 100)  # pixels of each row, which has more where there are more names
BETWEEN = 28

# What the others lie between: the first, which they are compared with, and what nobody can know.
FIRST_LOOK = {"line": {"color": BOUND, "dash": "dot"}, "marker": {"symbol": "circle-open"}}
ORACLE_LOOK = {"line": {"color": "#8a63d2", "dash": "dash"}, "marker": {"symbol": "star-open"}}


def policies_over_time(replays: Mapping[str, Replay]) -> go.Figure:
    """Return PAR, moves and stall of every window as lines named at their ends, one for each policy."""
    heights = [max(height, LINE_HEIGHT * len(replays)) for height in HEIGHTS]
    high = sum(heights) + BETWEEN * (len(ROWS) - 1)
    figure = make_subplots(rows=len(ROWS), shared_xaxes=True, vertical_spacing=BETWEEN / high, row_heights=heights)
    looks = _looks(list(replays))
    values = {column: [replay.columns()[column] for replay in replays.values()] for column in ROWS}
    axes = (from_one(values["par"]), from_none(values["moves"], whole=True), from_none(values["stall_seconds"]))
    for row, ((column, title), axis, pixels) in enumerate(zip(ROWS.items(), axes, heights, strict=True), start=1):
        for (name, replay), of_policy in zip(replays.items(), values[column], strict=True):
            figure.add_trace(_line(name, replay.window, of_policy, looks[name]), row=row, col=1)
        figure.update_yaxes(title=title, tickformat=",.10~g", **axis, row=row, col=1)
        name_ends(figure, row, pixels)
    windows = next(iter(replays.values())).window
    first, last = int(windows[0]), int(windows[-1])
    figure.update_xaxes(**(columns(len(windows)) | {"range": (first - 0.5, last + 0.5)}))
    figure.update_xaxes(title="window", row=len(ROWS), col=1)
    figure.update_layout(hovermode="x unified", showlegend=False, margin_r=room_for(list(replays)))
    means = ", ".join(f"{name} {replay.par.mean():.4f}" for name, replay in replays.items())
    label = f"PAR, moves and stall over time; PAR in the mean: {means}"
    return styled(figure, label, high + ROOM_ABOVE + BELOW)


def _looks(names: list[str]) -> dict[str, dict[str, Any]]:
    """Return colour, dash and marks of every policy by its name, no two alike."""
    looks: dict[str, dict[str, Any]] = {
        name: {
            "line": {"color": LINES[number % len(LINES)], "dash": DASHES[number % len(DASHES)]},
            "marker": {"symbol": SYMBOLS[number % len(SYMBOLS)]},
        }
        for number, name in enumerate(name for name in names[1:] if name != ORACLE)
    }
    return looks | {ORACLE: ORACLE_LOOK} | {names[0]: FIRST_LOOK}


def _line(
    name: str, windows: np.typing.NDArray[np.integer], values: np.typing.NDArray[np.number], look: dict[str, Any]
) -> go.Scatter:
    line = go.Scatter(
        name=name,
        x=windows.astype(np.int32),
        y=values.astype(np.float32),
        mode="lines+markers",
        line={"width": 1.5},
        marker={"size": 6},
        cliponaxis=False,
        hovertemplate="%{y:.4~g}",
    )
    return line.update(look)
