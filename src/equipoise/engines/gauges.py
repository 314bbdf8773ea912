"""The last plan as gauges of Prometheus, in the engine's own endpoint.

Plans are made in other processes than the one that serves ``/metrics``. There ``prometheus_client`` writes what each
process knows to files in a folder, which the endpoint collects.
"""

from __future__ import annotations

import os
from functools import cache
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Logger

    from prometheus_client import Gauge

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
GAUGES = {
    "equipoise_par_before": "PAR, mean over the layers, that the last plan started from.",
    "equipoise_par_after": "PAR, mean over the layers, of the last plan.",
    "equipoise_moves": "Moves of the last plan.",
    "equipoise_plan_seconds": "How long the last plan took.",
    "equipoise_plan_timestamp_seconds": "When the last plan was made, in seconds since 1970.",
}


def show(figures: Mapping[str, Any], log: Logger) -> None:
    """Set the gauges to what the log says of a plan, where the engine collects any; what fails is a warning."""
    values = {
        "equipoise_par_before": figures["par_before"],
        "equipoise_par_after": figures["par"],
        "equipoise_moves": figures["moves"],
        "equipoise_plan_seconds": figures["milliseconds"] / 1000,
        "equipoise_plan_timestamp_seconds": time(),
    }
    try:
        for name, gauge in _gauges().items():
            gauge.set(values[name])
    except Exception as error:
        log.warning("Equipoise cannot set its gauges: %s", error)


@cache
def _gauges() -> dict[str, Gauge]:
    """Return the gauges of this process; none without the folder, or without ``prometheus_client``.

    All ranks set them, to the same plan: of several processes, the endpoint shows what was set last.
    """
    if FOLDER not in os.environ:
        return {}
    try:
        from prometheus_client import Gauge
    except ImportError:
        return {}
    return {name: Gauge(name, words, multiprocess_mode="mostrecent") for name, words in GAUGES.items()}
