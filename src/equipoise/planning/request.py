"""Request: all that plan() is asked, checked once and handed on whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from equipoise.cluster import nearest_divisors
from equipoise.errors import InputError, check_choice, check_count, check_share, setting
from equipoise.loads import Loads
from equipoise.placement import Across, Locality
from equipoise.planning.domains import refuse_too_few
from equipoise.planning.effort import SETTINGS
from equipoise.planning.scenarios import Scenarios

PlannedRouting = Literal["even", "filled"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from equipoise.cluster import Cluster
    from equipoise.placement import Placement
    from equipoise.planning.effort import Effort, SearchSettings

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked, as a plan goes by it.

    Attributes
    ----------
    loads : Loads or Scenarios
        What was recorded, or what is to be served.
    cluster : Cluster
        Where the experts shall live.
    groups : int
        Expert groups of the model.
    locality : "strict", "soft" or "none"
        Whether they are kept on their nodes; "none" where there are no groups.
    off_node : float
        Share of the load of all layers that may be served off its home node.
    current : Placement or None
        The placement that is live, perhaps of another cluster.
    most_moves : float
        Moves from it at most, in all layers; inf for any number.
    min_gain : float
        Share by which the mean PAR must fall for anything to move that need not.
    settings : SearchSettings
        How far to search.
    workers : int or None
        Threads to plan layers in.
    progress : callable or None
        Called as ``progress(done, of how many)``.
    routing : "even" or "filled"
        How replicas will share their load.
    min_replicas : int
        Domains that every expert must be on.
    across : "gpus" or "nodes"
        What these are; "gpus" where one is enough.
    """

    loads: Loads | Scenarios
    cluster: Cluster
    groups: int
    locality: Locality
    off_node: float
    current: Placement | None
    most_moves: float
    min_gain: float
    settings: SearchSettings
    workers: int | None
    progress: Progress | None
    routing: PlannedRouting
    min_replicas: int
    across: Across
    decoder_layers: tuple[int, ...] | None

    @classmethod
    def checked(
        cls,
        loads: Loads | Scenarios | ArrayLike,
        cluster: Cluster,
        *,
        groups: int | None = None,
        locality: Locality | None = None,
        off_node: float | None = None,
        current: Placement | None = None,
        max_moves: float | None = None,
        min_gain: float = 0.0,
        effort: Effort = "default",
        workers: int | None = None,
        progress: Progress | None = None,
        routing: PlannedRouting = "even",
        min_replicas: int = 1,
        across: Across = "gpus",
    ) -> Request:
        """Return the request that these mean; they mean what they mean to :func:`equipoise.plan`.

        Raises
        ------
        InputError
            If they contradict each other, or no placement can meet them.
        """
        loads = loads if isinstance(loads, Loads | Scenarios) else Loads(loads)
        handed_on = groups is None and current is not None
        groups, locality, off_node = _as_current(current, groups, locality, off_node)
        locality, share = checked_locality(locality, off_node, groups)
        min_gain = check_share(setting("min_gain"), min_gain)
        busy = int(loads.counts.any(axis=(0, 2)).sum()) or loads.layers
        most_moves = _checked_moves(max_moves, min_gain, current, busy * cluster.live_slots)
        if current is not None:
            _refuse_another_model(current, loads)
        check_choice(setting("effort"), effort, SETTINGS)
        check_choice(setting("routing"), routing, get_args(PlannedRouting))
        if workers is not None:
            check_count(setting("workers"), workers)
        if isinstance(loads, Loads) and not loads.counts.any():
            raise InputError("the loads are zero throughout: nothing was recorded, and there is nothing to plan for")
        _refuse_impossible(loads.experts, cluster, groups, locality, " of the current placement" * handed_on)
        min_replicas = check_count(setting("min_replicas"), min_replicas)
        across = _checked_across(min_replicas, across, locality, share)
        if min_replicas > 1:
            strict = locality == "strict" and cluster.nodes > 1
            refuse_too_few(loads.experts, cluster, min_replicas, across, strict=strict)
        limits = most_moves, min_gain, SETTINGS[effort], workers, progress
        numbers = loads.decoder_layers if isinstance(loads, Loads) else None
        numbers = current.decoder_layers or numbers if current else numbers
        return cls(loads, cluster, groups, locality, share, current, *limits, routing, min_replicas, across, numbers)

    @cached_property
    def expected(self) -> Scenarios:
        """What is to be served: of what was recorded, all windows alike."""
        return self.loads if isinstance(self.loads, Scenarios) else Scenarios(self.loads)

    @cached_property
    def scenarios(self) -> Scenarios:
        """What is searched for: what is to be served, folded to as many windows as the settings search over."""
        return self.expected.folded(self.settings.windows)

    def serving(self, scenarios: Scenarios) -> Request:
        """Return the same request for these scenarios."""
        return replace(self, loads=scenarios)

    @property
    def bound_groups(self) -> int:
        """Expert groups that are each at home on a node; 1 where any expert may live anywhere."""
        return 1 if self.locality == "none" else self.groups

    @property
    def kept_groups(self) -> int:
        """Expert groups that never leave their node; 1 where there are none."""
        return self.groups if self.locality == "strict" else 1

    @property
    def home_nodes(self) -> int:
        """Nodes that experts are at home on; 1 where any expert may live anywhere."""
        return self.cluster.nodes if self.bound_groups > 1 else 1

    @property
    def strict(self) -> bool:
        """Whether no expert may be served off its home node."""
        return self.home_nodes > 1 and self.off_node == 0

    @property
    def soft(self) -> bool:
        """Whether experts may be served off their home node, at a price."""
        return self.home_nodes > 1 and self.off_node > 0


def part_of(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Return what to call in one of several searches through the same layers, for all to count up to them once."""
    if progress is None:
        return None
    return lambda done, of: progress((number * of + done) // parts, of)


def _as_current(
    current: Placement | None, groups: int | None, locality: Locality | None, off_node: float | None
) -> tuple[int, Locality | None, float | None]:
    """Return groups, locality and off_node as asked for; what is left open is as the current placement has it."""
    if groups is None:
        groups = current.groups if current else 1
    is_asked = off_node is not None or (locality is not None and current is not None and locality != current.locality)
    if current is None or groups == 1 or groups != current.groups or is_asked:
        return groups, locality, off_node
    return groups, current.locality, current.off_node if current.locality == "soft" else None


def checked_locality(locality: Locality | None, off_node: float | None, groups: int) -> tuple[Locality, float]:
    """Return the locality, and the share of the load that it lets be served off its home node."""
    check_count(setting("groups"), groups)
    if locality is not None:
        check_choice(setting("locality"), locality, get_args(Locality))
    if off_node is not None and (groups == 1 or locality in ("strict", "none")):
        why = f"{setting('groups')} is 1" if groups == 1 else f"{setting('locality')} is {locality!r}"
        raise InputError(
            f"{setting('off_node')} is {off_node} but {why}; expected {setting('groups')} and "
            f"{setting('locality', 'soft')}, or no "
            f"{setting('off_node')}"
        )
    if groups == 1 or locality == "none":
        return "none", 1.0
    share = 1.0 if off_node is None and locality == "soft" else check_share(setting("off_node"), off_node or 0.0)
    return ("soft", share) if share else ("strict", 0.0)


def _checked_across(min_replicas: int, across: Across, locality: Locality, off_node: float) -> Across:
    """Return what every expert must be on several of; GPUs where one is enough."""
    check_choice(setting("across"), across, get_args(Across))
    if min_replicas == 1:
        return "gpus"
    if across == "nodes" and locality != "none" and off_node < 1:
        limit = "keeps every expert on one node" if locality == "strict" else f"has {setting('off_node')} {off_node}"
        raise InputError(
            f"every expert is to be on {min_replicas} nodes but the locality is {locality}, which {limit}; use "
            f"{setting('locality', 'soft')} with no {setting('off_node')}, {setting('locality', 'none')}, or "
            f"{setting('across', 'gpus')}"
        )
    return across


def _checked_moves(max_moves: float | None, min_gain: float, current: Placement | None, slots: int) -> float:
    """Return the most moves to make in all layers; inf for any number."""
    if current is None and (max_moves is not None or min_gain):
        raise InputError(
            f"{setting('max_moves')} and {setting('min_gain')} limit the moves from a current placement; expected "
            f"{setting('current')} with them"
        )
    if max_moves is None:
        return np.inf
    if isinstance(max_moves, Integral) and not isinstance(max_moves, bool) and max_moves >= 0:
        return int(max_moves)
    if isinstance(max_moves, Real) and not isinstance(max_moves, Integral) and 0 <= max_moves <= 1:
        return float(max_moves) * slots
    raise InputError(
        f"{setting('max_moves')} is {max_moves!r}; expected a whole number of moves, or a share of the live slots as a "
        "float, 0.0 to 1.0"
    )


def _refuse_another_model(current: Placement, loads: Loads | Scenarios) -> None:
    """Raise for a current placement that these loads are not of."""
    if (current.layers, current.experts) != (loads.layers, loads.experts):
        raise InputError(
            f"the loads have {loads.layers} layers of {loads.experts} experts, the current placement {current.layers} "
            f"of {current.experts}; expected the same"
        )


def _refuse_impossible(experts: int, cluster: Cluster, groups: int, locality: Locality, whose: str) -> None:
    """Raise for what no placement can meet; whose: where the groups come from, in words."""
    if experts % groups:
        raise InputError(
            f"{experts} experts do not divide into {groups} groups; use "
            f"{nearest_divisors(experts, groups, multiple_of=cluster.nodes)} groups"
        )
    if groups > 1 and groups % cluster.nodes:
        nodes = nearest_divisors(gcd(groups, cluster.gpus), cluster.nodes)
        raise InputError(
            f"{groups} groups{whose} do not divide over {cluster.nodes} nodes; use {nodes} nodes, or "
            f"{setting('groups', 1)} to let experts live on any node"
        )
    if cluster.live_slots < experts:
        gpus = len(cluster.live)
        which = "live GPUs" if cluster.dead else "GPUs"
        raise InputError(
            f"{cluster.live_slots} slots ({gpus} {which} with {cluster.slots_per_gpu} each) do not hold {experts} "
            f"experts; use at least {-(-experts // gpus)} slots per GPU"
        )
    if locality == "strict":
        _refuse_too_dead(experts // cluster.nodes, cluster)


def _refuse_too_dead(experts: int, cluster: Cluster) -> None:
    """Raise where a node's live GPUs do not hold the experts at home on it."""
    live = np.bincount(np.array(cluster.live) // cluster.gpus_per_node, minlength=cluster.nodes)
    slots = live * cluster.slots_per_gpu
    if slots.min() < experts:
        node = int(slots.argmin())
        raise InputError(
            f"node {node} has {slots[node]} slots ({live[node]} live GPUs with {cluster.slots_per_gpu} each) for the "
            f"{experts} experts of its groups; use {setting('locality', 'soft')}, and {setting('off_node')} not 0, to "
            "let other nodes hold them too"
        )
