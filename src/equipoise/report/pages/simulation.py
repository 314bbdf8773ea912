"""The page about a replayed trace: what planning again is worth, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.replay.policies import ORACLE
from equipoise.report.figures.policies_over_time import policies_over_time
from equipoise.report.pages.forecast_section import forecast_section
from equipoise.report.pages.page import Number, Page, Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from equipoise.planning.forecast import Forecast
    from equipoise.replay.simulate import Replay

TIMES = (
    "Microseconds of a layer, which takes as long as its slowest GPU's experts; ± is the standard error of what was "
    "drawn. The settings say what the times rest on."
)
AT_THE_END = (
    "Every decision chooses anew; this is the choice of the one that would come next, at the end of the trace. "
)


def simulation_page(
    replays: Mapping[str, Replay],
    tables: Sequence[Table],
    expected: Forecast,
    title: str,
    settings: Sequence[tuple[str, str]],
    command: str,
) -> Page:
    """Return the page about the policies that a trace was replayed under.

    Parameters
    ----------
    replays : mapping of str to Replay
        What happened under each policy; the first is what the others are compared with.
    tables : sequence of Table
        The policies beside each other: what they reach and move, and their layer times, which may have no rows.
    expected : Forecast
        What is expected at the end of the trace.
    title : str
        Which trace on which cluster.
    settings : sequence of pairs
        What was asked for, by name.
    command : str
        The command that writes the page.
    """
    first = next(iter(replays))
    best = min((name for name in replays if name != ORACLE), key=lambda name: replays[name].par.mean())
    return Page(
        title=title,
        verdict=_verdict(replays, first, best),
        numbers=_numbers(replays, first, best),
        sections=[
            Section(
                "policies",
                "The policies over time",
                "PAR of every window, mean over the layers, and below it what moves for it and how long that holds up "
                "what is served, estimated.",
                [policies_over_time(replays)],
            ),
            Section(
                "totals",
                "The policies beside each other",
                "PAR is peak / mean GPU load, mean over the layers; worst is the worst window. Moved is the share of "
                "slots at a decision, bytes and stall are of all together. The oracle alone knows what comes.",
                table=tables[0],
            ),
            *([Section("times", "What a layer takes", TIMES, table=tables[1])] if tables[1].rows else []),
            *([forecast_section(expected, AT_THE_END)] if expected.tested else []),
        ],
        settings=settings,
        command=command,
    )


def _verdict(replays: Mapping[str, Replay], first: str, best: str) -> str:
    if best == first:
        return f"No policy that knows only the past serves more evenly than “{first}”: PAR {_par(replays[first])}."
    return (
        f"Of the policies that know only the past, “{best}” serves most evenly: PAR {_par(replays[best])} on average, "
        f"and {_par(replays[first])} under “{first}”.{_thrift_in_words(replays, first, best)}"
    )


def _thrift_in_words(replays: Mapping[str, Replay], first: str, best: str) -> str:
    """Say which policy has the most of the best one's gain for its share of the moves, if any does better than it."""
    shares = {name: _shares(replay, replays[first], replays[best]) for name, replay in replays.items()}
    thrifty = max((name for name in replays if name != ORACLE), key=lambda name: shares[name][0] - shares[name][1])
    gain, moves = shares[thrifty]
    if thrifty in (first, best):
        return ""
    return f" “{thrifty}” gets {gain:.0%} of that gain with {moves:.0%} of the moves."


def _shares(replay: Replay, first: Replay, best: Replay) -> tuple[float, float]:
    """Return a policy's gain of PAR and its moves as shares of those of the best."""
    gain = (first.par.mean() - replay.par.mean()) / (first.par.mean() - best.par.mean())
    return float(gain), float(replay.moves.sum() / max(best.moves.sum(), 1))


def _numbers(replays: Mapping[str, Replay], first: str, best: str) -> list[Number]:
    replay = replays[best]
    pars = [
        Number(f"PAR, {name}", _par(replays[name]), f"in the worst window {replays[name].par.max():.4f}")
        for name in dict.fromkeys((first, best))
    ]
    moves, stall = int(replay.moves.sum()), float(replay.stall_seconds.sum())
    return [
        *pars,
        Number(f"moves, {best}", f"{moves:,}", f"over {len(replay.window)} windows"),
        Number(f"stall, {best}", f"{stall:.3f} s", "for which moves hold up what is served, estimated"),
    ]


def _par(replay: Replay) -> str:
    return f"{replay.par.mean():.4f}"
