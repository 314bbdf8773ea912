"""The summary of loads, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.cli.summaries.doubts import doubts
from equipoise.cli.summaries.words import layers_in_words, shape_in_words
from equipoise.cli.terminal.console import print_line, print_table
from equipoise.cli.terminal.strip import print_strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from equipoise.loads import Loads

HOTTEST = 5
WINDOWS_PRINTED = 16


def summary(loads: Loads) -> dict[str, Any]:
    """Return shape, load and skew of the layers, and the hottest experts, over all windows together."""
    total = loads.sum().counts[0]
    skew = _skew(total)
    return {
        "kind": "loads",
        "windows": loads.windows,
        "layers": loads.layers,
        "experts": loads.experts,
        "decoder_layers": loads.decoder_layers,
        "load": float(total.sum()),
        "load_by_layer": total.sum(axis=1).tolist(),
        "skew_by_layer": skew.tolist(),
        "most_skewed_layers": _largest(skew).tolist(),
        "hottest_experts": _hottest_experts(total),
        "doubts": doubts(loads),
        "by_window": [
            {
                "label": loads.labels[window] if loads.labels else None,
                "load": float(counts.sum()),
                "median_skew": float(np.median(_skew(counts))),
            }
            for window, counts in enumerate(loads.counts)
        ],
    }


def print_summary(file: str, summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    skew = summary["skew_by_layer"]
    print_line(f"loads {file}")
    print_line(shape_in_words(summary))
    if summary["decoder_layers"]:
        print_line(f"decoder layers {layers_in_words(summary['decoder_layers'])}")
    for line in summary["doubts"]:
        print_line(line)
    print_line()
    print_strips({"skew": skew}, low=1.0)
    print_line()
    print_table(
        ("over the layers", "min", "median", "max"),
        [
            ("load", *(f"{x:.4g}" for x in _spread(summary["load_by_layer"]))),
            ("skew: largest expert load / mean", *(f"{x:.2f}" for x in _spread(skew))),
        ],
    )
    print_line()
    print_table(
        ("most skewed layers", "skew"),
        [(str(layer), f"{skew[layer]:.2f}") for layer in summary["most_skewed_layers"]],
    )
    print_line()
    print_table(
        ("hottest experts", "expert", "load", "x mean"),
        [
            (f"layer {hot['layer']}", str(hot["expert"]), f"{hot['load']:.4g}", f"{hot['times_mean']:.2f}")
            for hot in summary["hottest_experts"]
        ],
    )
    print_line()
    _print_windows(summary["by_window"])


def _print_windows(windows: list[dict[str, Any]]) -> None:
    rows = [
        (window["label"] or str(number), f"{window['load']:.4g}", f"{window['median_skew']:.2f}")
        for number, window in enumerate(windows[:WINDOWS_PRINTED])
    ]
    print_table(("window", "load", "median skew"), rows)
    if len(windows) > WINDOWS_PRINTED:
        print_line(f"... and {len(windows) - WINDOWS_PRINTED} more; --json lists them all")


def _hottest_experts(total: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the experts with the largest loads for their layer, from ``[layers, experts]``."""
    mean = total.mean(axis=1)
    times_mean = np.divide(total, mean[:, None], out=np.zeros_like(total), where=mean[:, None] > 0)
    hottest = (divmod(int(place), total.shape[1]) for place in _largest(times_mean.ravel()))
    return [
        {
            "layer": layer,
            "expert": expert,
            "load": float(total[layer, expert]),
            "times_mean": float(times_mean[layer, expert]),
        }
        for layer, expert in hottest
    ]


def _skew(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return largest / mean expert load of each layer, from ``[layers, experts]``; 1 where it was idle."""
    mean: NDArray[np.float64] = counts.mean(axis=1)
    skew: NDArray[np.float64] = np.divide(counts.max(axis=1), mean, out=np.ones_like(mean), where=mean > 0)
    return skew


def _spread(values: list[float]) -> tuple[float, float, float]:
    return min(values), float(np.median(values)), max(values)


def _largest(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where the largest values are, the largest first, ties by index."""
    return np.argsort(-values, kind="stable")[:HOTTEST]
