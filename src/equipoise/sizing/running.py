"""Judging many setups at once: on the cores of this machine, or on those of a Ray cluster, by joblib."""

from __future__ import annotations

import logging
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from equipoise.errors import InputError, setting
from equipoise.sizing.judging import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from equipoise.sizing.cell import Cell
    from equipoise.sizing.judging import Question
    from equipoise.sizing.setup import Setup

PATIENCE = 5.0  # seconds


def judge_all(setups: Sequence[Setup], question: Question, ray: str | None) -> Iterator[tuple[Setup, list[Cell]]]:
    """Yield every setup with its cells, in order.

    As many as there are cores are judged at once, and yielded before the next begin: Ray tells of no single one.

    Parameters
    ----------
    setups : sequence of Setup
        What to judge.
    question : Question
        What is asked of each.
    ray : str or None
        Address of a Ray cluster, on whose machines the same Equipoise is installed; None for this machine.

    Raises
    ------
    InputError
        If Ray is not installed, or nothing answers at the address.
    """
    from joblib import Parallel, delayed, effective_n_jobs  # longer to import than all the rest

    with _cores(ray):
        at_once = effective_n_jobs(-1)
        for first in range(0, len(setups), at_once):
            some = setups[first : first + at_once]
            yield from zip(some, Parallel(n_jobs=-1)(delayed(judge)(setup, question) for setup in some), strict=True)


@contextmanager
def _cores(ray: str | None) -> Iterator[None]:
    """Have joblib use the cores of this machine, or those of a Ray cluster."""
    from joblib import parallel_config

    if ray is None:
        with parallel_config("loky"):
            yield
        return
    with _connected(ray), parallel_config("ray"):
        yield


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Be a client of a Ray cluster."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise InputError("a Ray cluster needs Ray, which is not installed; pip install 'equipoise[ray]'") from None
    _check_answers(address)
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _nobody(address, error) from None
    register_ray()
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse a host and port where nobody listens, which Ray would ask again for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # such as "auto", which Ray finds for itself
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, error) from None


def _nobody(address: str, error: Exception) -> InputError:
    return InputError(f"{setting('ray')} is {address!r}, where no Ray cluster answers: {error}")
