"""Ranks as real processes on this machine, which talk by Gloo.

They are forked from a server that has imported torch once and has no threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from datetime import timedelta
from queue import Empty

PRELOADED = ["tests.runtime.preloaded"]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)
LONGEST = 240  # answers and seconds of silence that a test's processes may take


class KilledError(Exception):
    """A rank was killed by a signal."""


def run(world, function, *arguments, seconds=30):
    """Return what ``function(rank, *arguments)`` returns on each rank; what it raises is raised here, of the lowest.

    A rank that was killed returns :class:`KilledError`. seconds: after which a rank that waits for another gives up.
    """
    answers, store = CONTEXT.Queue(), CONTEXT.Queue()
    ranks = [
        CONTEXT.Process(target=_rank, args=(rank, world, seconds, answers, store, function, arguments))
        for rank in range(world)
    ]
    for process in ranks:
        process.start()
    found = _answers(ranks, answers)
    for process in ranks:
        process.join(LONGEST)
        assert process.exitcode is not None, "a rank hangs"
    for rank in range(world):
        if isinstance(found[rank], BaseException) and not isinstance(found[rank], KilledError):
            raise found[rank]
    return [found[rank] for rank in range(world)]


def _answers(ranks, answers):
    found = {}
    for _ in range(LONGEST):
        found |= _those_there(answers)
        killed = {rank: KilledError() for rank, one in enumerate(ranks) if one.exitcode == -signal.SIGKILL}
        found = killed | found
        if len(found) == len(ranks):
            return found
    raise AssertionError("a rank hangs")


def _those_there(answers):
    """Return what ranks answered within a second."""
    try:
        return dict([answers.get(timeout=1)])
    except Empty:
        return {}


def _rank(rank, world, seconds, answers, addresses, function, arguments):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    try:
        # The first rank's store says which port is free; the others are told.
        first = rank == 0
        if first:
            store = dist.TCPStore("127.0.0.1", 0, world, is_master=True, wait_for_workers=False)
            for _ in range(world - 1):
                addresses.put(store.port)
        else:
            store = dist.TCPStore("127.0.0.1", addresses.get(), world, is_master=False)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=seconds))
        answers.put((rank, function(rank, *arguments)))
    except BaseException as error:
        error.add_note(traceback.format_exc())
        answers.put((rank, error))
    answers.close()
    answers.join_thread()
    os._exit(0)  # what a killed rank left open would be waited for
