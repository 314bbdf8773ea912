"""What a layer takes before and after, where it is known what experts cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.report.figures.layer_times import layer_times
from equipoise.report.pages.page import Number, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equipoise.timing.time_saved import TimeSaved


def time_number(saved: TimeSaved) -> Number:
    """Return the time of a layer before and after as one of the large numbers."""
    (before, _), (after, _) = _means(saved)
    share = "" if saved.share is None else f"{saved.share:.1%} saved: "
    return Number(
        f"time of a layer, {saved.batch.tokens:,} tokens a GPU",
        f"{before:,.0f} → {after:,.0f} µs",
        f"{share}what its slowest GPU takes for its experts, {_rests_on(saved)}",
    )


def times_section(times: Sequence[TimeSaved]) -> Section:
    """Return the section about the time of a layer, for batches of each size."""
    return Section(
        "times",
        "What a layer takes",
        "Microseconds of a layer, which takes as long as its slowest GPU's experts; the time is "
        f"{_rests_on(times[0])}. ± is the standard error of what was drawn.",
        [layer_times(times)],
        Table("Layer time", ("tokens a GPU", "µs before", "µs after", "saved"), list(map(_row, times))),
    )


def _row(saved: TimeSaved) -> tuple[str, ...]:
    times = (f"{mean:,.1f} ± {error:.1f}" for mean, error in _means(saved))
    return f"{saved.batch.tokens:,}", *times, "not known" if saved.share is None else f"{saved.share:.1%}"


def _means(saved: TimeSaved) -> list[tuple[float, float]]:
    """Return the time and its standard error, before and after."""
    return [time.mean(saved.weights) for time in (saved.before, saved.after)]


def _rests_on(saved: TimeSaved) -> str:
    cost = saved.batch.cost
    return f"as measured, {cost.residual:.1%} off" if cost.is_measured else "of a GPU at its best, not measured"
