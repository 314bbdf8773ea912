"""compare(): a trace replayed under policies, decision by decision, and what that cost and gained."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from equipoise.errors import InputError, check_count, setting
from equipoise.loads import Loads
from equipoise.migration.costs import Costs
from equipoise.migration.migration import Migration, count_moves
from equipoise.placement import Placement
from equipoise.replay.policies import Afresh
from equipoise.replay.situation import Situation
from equipoise.serving.balance import balance
from equipoise.serving.slot_shares import FILLED
from equipoise.timing.layer_time import error_of_mean, layer_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from equipoise.cluster import Cluster
    from equipoise.replay.policies import Policy
    from equipoise.serving.slot_shares import Routing
    from equipoise.timing.batch import Batch
    from equipoise.timing.layer_time import LayerTime

DEFAULT_COSTS = Costs()
DRAWS = 16  # of each window


class Served(NamedTuple):
    """How windows are served."""

    batches: Sequence[Batch]
    routing: Routing


@dataclass(frozen=True, eq=False)
class Replay:
    """What happened, as columns with a row for each window served.

    What a decision moves is in the row of the first window that it serves, and 0 in the others.

    Attributes
    ----------
    window : ndarray, int64 ``[served]``
        Where the window is in the trace.
    par : ndarray, float64 ``[served]``
        PAR, mean over the layers that are not idle; 1 where all are.
    step_time : ndarray, float64 ``[served]``
        Estimated time of the experts of all layers, where the peak of each layer holds up the others, relative to
        perfect balance. Unlike ``par`` it counts a layer by its load.
    moves : ndarray, int64 ``[served]``
        Experts that a GPU needed and did not hold, over all layers.
    bytes_within, bytes_between : ndarray, int64 ``[served]``
        Sent within nodes and between them.
    stall_seconds : ndarray, float64 ``[served]``
        Estimated time for which the moves hold up what is served; see :meth:`equipoise.migration.costs.Costs.stall`.
    layer_time : dict of int to ndarray, float64 ``[served]``
        Microseconds of a layer, mean over the layers, by the tokens that each GPU brings; see
        :func:`equipoise.layer_time`.
    layer_time_error : dict of int to ndarray, float64 ``[served]``
        Their standard errors.
    beyond : dict of int to ndarray, bool ``[served]``
        Whether experts got more tokens than were measured.
    """

    window: NDArray[np.int64]
    par: NDArray[np.float64]
    step_time: NDArray[np.float64]
    moves: NDArray[np.int64]
    bytes_within: NDArray[np.int64]
    bytes_between: NDArray[np.int64]
    stall_seconds: NDArray[np.float64]
    layer_time: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    layer_time_error: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    beyond: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def columns(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
        """Return the columns by name, as ``pandas.DataFrame`` takes them; ``layer_time_128`` where there is one."""
        found: dict[str, NDArray[np.int64] | NDArray[np.float64]] = {}
        for column in fields(self):
            values = getattr(self, column.name)
            is_one = isinstance(values, np.ndarray)
            found |= {column.name: values} if is_one else {f"{column.name}_{n}": some for n, some in values.items()}
        return found

    def totals(self) -> dict[str, float]:
        """Return means of PAR and of times, the worst PAR of a window, and sums of all that moves."""
        return {
            "par": float(self.par.mean()),
            "worst_par": float(self.par.max()),
            "step_time": float(self.step_time.mean()),
            "moves": int(self.moves.sum()),
            "bytes_within": int(self.bytes_within.sum()),
            "bytes_between": int(self.bytes_between.sum()),
            "stall_seconds": float(self.stall_seconds.sum()),
            **{f"layer_time_{tokens}": float(time.mean()) for tokens, time in self.layer_time.items()},
            **{f"layer_time_error_{tokens}": error_of_mean(some) for tokens, some in self.layer_time_error.items()},
        }


def simulate(trace: Loads | ArrayLike, cluster: Cluster, policy: Policy, **settings: Any) -> Replay:
    """Replay a trace under one policy; the settings, and what is refused, are those of :func:`compare`.

    Returns
    -------
    Replay
        A row for each window after the first ``window``.

    Examples
    --------
    >>> from equipoise import Cluster, FewMoves, Never
    >>> trace = [[[8, 1, 1, 1, 1]], [[8, 1, 1, 1, 1]], [[1, 8, 1, 1, 1]], [[1, 8, 1, 1, 1]]]
    >>> cluster = Cluster(gpus=2, slots_per_gpu=3)
    >>> simulate(trace, cluster, Never()).par.round(2).tolist()
    [1.0, 1.58, 1.58]
    >>> replay = simulate(trace, cluster, FewMoves(1))
    >>> replay.par.round(2).tolist(), replay.moves.tolist()
    ([1.0, 1.58, 1.0], [0, 0, 1])
    """
    return compare(trace, cluster, {"the only one": policy}, **settings)["the only one"]


def compare(
    trace: Loads | ArrayLike,
    cluster: Cluster,
    policies: Mapping[str, Policy],
    *,
    interval: int = 1,
    window: int = 1,
    costs: Costs = DEFAULT_COSTS,
    batches: Sequence[Batch] = (),
    routing: Routing = "even",
    progress: Callable[[int, int], None] | None = None,
    **asked: Any,
) -> dict[str, Replay]:
    """Replay a trace under several policies: decide with the past alone, serve the next interval, decide again.

    Under every policy, what ``Afresh`` makes of the first ``window`` windows is live when the next one comes, and to
    get there counts no moves: engines start with it. From then on the policy decides, at once and after every interval.
    What several policies expect of the same past is worked out once.

    Parameters
    ----------
    trace : Loads or array_like, ``[windows, layers, experts]``
        Expert loads in the order in which they came.
    cluster : Cluster
        The GPUs and their slots.
    policies : mapping of str to Policy
        Those of :mod:`equipoise.replay.policies`, or others with the same method, by name.
    interval : int
        Windows served between two decisions; the last interval may be shorter.
    window : int
        Windows of the past that a decision looks at.
    costs : Costs
        What it takes to send an expert.
    batches : sequence of Batch
        Sizes of batches, each another, whose layer time is wanted too.
    routing : str
        Which replica a token goes to, in PAR and layer time; see :func:`equipoise.balance`. Where it is filled, plans
        are made for that.
    progress : callable, optional
        Called as ``progress(windows served, windows to serve)``, over all policies, after every interval.
    **asked
        What plans are asked for: ``groups``, ``locality``, ``off_node``, ``effort`` and ``workers`` of
        :func:`equipoise.plan`.

    Returns
    -------
    dict of str to Replay
        By the names of the policies, each with a row for each window after the first ``window``.

    Raises
    ------
    InputError
        If the trace is shorter than ``window + interval``, a policy decides on what is no valid placement on the
        cluster, or :func:`equipoise.plan` refuses loads, cluster or what it is asked.

    Examples
    --------
    >>> from equipoise import Cluster, Never, Oracle
    >>> trace = [[[8, 1, 1, 1, 1]], [[8, 1, 1, 1, 1]], [[1, 8, 1, 1, 1]]]
    >>> replays = compare(trace, Cluster(gpus=2, slots_per_gpu=3), {"never": Never(), "oracle": Oracle()})
    >>> {name: replay.par.round(2).tolist() for name, replay in replays.items()}
    {'never': [1.0, 1.58], 'oracle': [1.0, 1.0]}
    """
    trace = trace if isinstance(trace, Loads) else Loads(trace)
    window, interval = check_count(setting("window"), window), check_count(setting("interval"), interval)
    _refuse_too_short(trace, window, interval)
    asked |= {"routing": "filled"} if routing == FILLED else {}
    begun = Situation(_between(trace, 0, window), trace, Placement.default(cluster, trace.experts, trace.layers), asked)
    current = dict.fromkeys(policies, Afresh().decide(begun))
    rows: dict[str, list[Replay]] = {name: [] for name in policies}
    to_serve = (trace.windows - window) * len(policies)
    for now in range(window, trace.windows, interval):
        past, coming = _between(trace, now - window, now), _between(trace, now, now + interval)
        situation = Situation(past, coming, begun.current, asked)
        for at, (name, policy) in enumerate(policies.items()):
            decided = policy.decide(replace(situation, current=current[name]))
            _refuse_invalid(decided, cluster)
            rows[name].append(_serve(now, coming, (current[name], decided), costs, Served(batches, routing)))
            current[name] = decided
            if progress:
                progress((now - window) * len(policies) + coming.windows * (at + 1), to_serve)
    return {name: _joined(some) for name, some in rows.items()}


def _joined(intervals: list[Replay]) -> Replay:
    """Return the rows of one interval after the other."""
    return Replay(
        **{column.name: _in_a_row([getattr(some, column.name) for some in intervals]) for column in fields(Replay)}
    )


def _in_a_row(parts: list[Any]) -> Any:
    """Return arrays one after the other; of dicts, those of each key."""
    if isinstance(parts[0], dict):
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)


def _between(trace: Loads, first: int, end: int) -> Loads:
    """Return the windows of the trace from the first up to the end, or to its own."""
    return Loads(trace.counts[first:end], trace.labels[first:end])


def _serve(now: int, coming: Loads, placements: tuple[Placement, Placement], costs: Costs, how: Served) -> Replay:
    """Return the rows of one interval: move from one placement to the other, then serve window by window."""
    before, after = placements
    served = balance(after, coming, routing=how.routing)
    migration = Migration(before, after)
    peak, mean = served.peak.sum(axis=1), served.mean.sum(axis=1)
    traffic = migration.bytes(costs.expert_bytes)
    at_first = np.arange(coming.windows) == 0
    times = {batch.tokens: _times(after, now, coming, batch, how.routing) for batch in how.batches}
    return Replay(
        window=now + np.arange(coming.windows),
        par=served.par_of_windows,
        step_time=np.divide(peak, mean, out=np.ones_like(peak), where=mean > 0),
        moves=at_first * count_moves(before, after).sum(),
        bytes_within=at_first * np.int64(traffic.within_nodes),
        bytes_between=at_first * np.int64(traffic.between_nodes),
        stall_seconds=at_first * costs.stall(migration),
        layer_time={tokens: np.array([one.mean()[0] for one in some]) for tokens, some in times.items()},
        layer_time_error={tokens: np.array([one.mean()[1] for one in some]) for tokens, some in times.items()},
        beyond={tokens: np.array([one.beyond for one in some]) for tokens, some in times.items()},
    )


def _times(placement: Placement, now: int, coming: Loads, batch: Batch, routing: Routing) -> list[LayerTime]:
    """Return the layer time of each window; many windows need few draws, and each has its own, the same under all."""
    asked: dict[str, Any] = {"routing": routing, "draws": DRAWS}
    return [
        layer_time(placement, Loads(counts), batch, **asked, seed=now + number)
        for number, counts in enumerate(coming.counts)
    ]


def _refuse_too_short(trace: Loads, window: int, interval: int) -> None:
    if trace.windows < window + interval:
        raise InputError(
            f"windows of the trace: {trace.windows}; expected at least {window + interval}, {window} to decide by "
            f"({setting('window')}) and {interval} to serve ({setting('interval')})"
        )


def _refuse_invalid(decided: Placement, cluster: Cluster) -> None:
    if decided.cluster != cluster:
        raise InputError(f"the policy decided on a placement on {decided.cluster}; expected {cluster}")
    decided.validate(duplicates=True)
