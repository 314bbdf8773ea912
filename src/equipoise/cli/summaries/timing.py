"""Layer time, and what it rests on, as all summaries say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.cli.summaries.words import counted
from equipoise.cli.terminal.console import print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from equipoise.timing.batch import Batch
    from equipoise.timing.layer_time import LayerTime
    from equipoise.timing.time_saved import TimeSaved


TIME_HEAD = "µs of a layer ± error"


def cost_summary(batches: Sequence[Batch], source: str) -> dict[str, Any] | None:
    """Return what is known of the cost that times rest on; None where none was asked for.

    source: the file of the cost, or the name of the GPU.
    """
    if not batches:
        return None
    cost = batches[0].cost
    return {
        "source": source,
        "device": cost.conditions.device,
        "dtype": cost.conditions.dtype,
        "top_k": batches[0].top_k,
        "residual": cost.residual,
        "scatter": cost.scatter,
        "levelled": cost.table.levelled if cost.table else 0.0,
        "measured_to": cost.measured_to if cost.is_measured else None,
        "floor": cost.floor,
    }


def figures_of(batch: Batch, time: LayerTime) -> dict[str, Any]:
    """Return the microseconds of a layer at one batch."""
    mean, error = time.mean()
    return {"tokens": batch.tokens, "mean": mean, "error": error, "beyond": time.beyond}


def figures_saved(saved: TimeSaved) -> dict[str, Any]:
    """Return the microseconds of a layer before and after, in all and layer by layer."""
    times = {"before": saved.before, "after": saved.after}
    return {
        "tokens": saved.batch.tokens,
        **{name: dict(zip(("mean", "error"), time.mean(saved.weights), strict=True)) for name, time in times.items()},
        "saved": saved.share,
        "beyond": saved.before.beyond or saved.after.beyond,
        "by_layer": {name: time.by_layer(saved.weights).tolist() for name, time in times.items()},
    }


def beyond_measured(times: Iterable[dict[str, Any]]) -> set[int]:
    """Return the tokens of those batches of which the figures say that experts got more than were measured."""
    return {time["tokens"] for time in times if time["beyond"]}


def cost_in_words(cost: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return what the times rest on by name; nothing where there is no cost."""
    if cost is None:
        return []
    dtype = f" in {cost['dtype']}" if cost["dtype"] else ""
    if cost["measured_to"] is None:
        source = f"{cost['source']} at its best{dtype}: nothing was measured, and kernels take longer"
    elif cost["device"]:
        source = f"{cost['source']}, measured on {cost['device']}{dtype}"
    else:
        source = f"{cost['source']}, a table"
    rows = [("cost", source), ("", f"a token selects {counted(cost['top_k'], 'expert')}")]
    if cost["levelled"]:
        rows.append(("", f"rows of the table that fell, by {cost['levelled']:.1%} at most, were levelled"))
    return rows


def microseconds(time: dict[str, float]) -> str:
    """Return ``"455.1 ± 0.2"``: a time and its standard error."""
    return f"{time['mean']:.1f} ± {time['error']:.1f}"


def saved_in_words(share: float | None) -> str:
    """Return ``"12.0%"``, or that nobody knows."""
    return "not known" if share is None else f"{share:.1%}"


def tokens_in_words(tokens: int) -> str:
    """Return ``"at 128 tokens a GPU"``."""
    return f"at {counted(tokens, 'token')} a GPU"


def print_saved(times: list[dict[str, Any]], names: tuple[str, str]) -> None:
    """Print the microseconds of a layer before and after, as they are called."""
    rows = [
        (
            tokens_in_words(time["tokens"]),
            microseconds(time["before"]),
            microseconds(time["after"]),
            saved_in_words(time["saved"]),
        )
        for time in times
    ]
    print_table((TIME_HEAD, *names, "saved"), rows)


def print_what_times_are(cost: dict[str, Any] | None, beyond: Iterable[int]) -> None:
    """Say what layer time is, and how far to trust it; nothing where none was asked for.

    beyond: tokens of the batches in which experts got more than were measured.
    """
    if cost is None:
        return
    print_line("A layer takes as long as its slowest GPU's experts, expected over many draws.")
    if cost["residual"]:
        print_line(f"Differences below {cost['residual']:.1%}, the cost's own error, say nothing.")
    for tokens in sorted(set(beyond)):
        print_line(
            f"At {counted(tokens, 'token')} a GPU experts get more than was measured ({cost['measured_to']:.0f}): the "
            "last slope goes on."
        )
