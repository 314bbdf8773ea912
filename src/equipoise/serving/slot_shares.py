"""Which replica a token goes to: each engine's rule, as the share of its expert's load that each slot serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from equipoise.errors import InputError, check_choice, check_count, setting
from equipoise.serving.rules.ascend import ascend, ascend_v2
from equipoise.serving.rules.even import even
from equipoise.serving.rules.sglang import dynamic_from_file, static, static_from_file
from equipoise.serving.rules.vllm import vllm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from equipoise.placement import Placement

    Rule = Callable[[Placement, int | None], Iterable[NDArray[np.float64]]]

Routing = Literal[
    "even",
    "vllm",
    "sglang-static",
    "sglang-static-file",
    "sglang-dynamic",
    "sglang-dynamic-file",
    "tensorrt-llm",
    "vllm-ascend",
    "vllm-ascend-v2",
    "filled",
]

FILLED: Routing = "filled"

# A rule yields, for each GPU, the share of its tokens that each replica gets, [layers, experts, replicas] as log2phy.
RULES: dict[str, Rule] = {
    "even": even,
    "vllm": vllm,
    "sglang-static": static,
    "sglang-static-file": static_from_file,
    "sglang-dynamic": even,  # at random; without an all-to-all backend, in turn
    "sglang-dynamic-file": dynamic_from_file,
    "tensorrt-llm": even,  # in turn, beginning with another replica in each block of 1024 selections and on each GPU
    "vllm-ascend": ascend,
    "vllm-ascend-v2": ascend_v2,
}


def slot_shares(
    placement: Placement,
    routing: Routing | ArrayLike,
    *,
    batch: int | None = None,
    sources: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return the share of its expert's load that each slot serves, expected over the tokens, ``[layers, slots]``.

    The shares of an expert add up to 1; an empty slot has none.

    Parameters
    ----------
    placement : Placement
        Which expert each slot holds.
    routing : str or array_like, ``[layers, slots]``
        - ``even``: every replica the same, which planners assume.
        - ``vllm``: by a hash of the token's row in the batch.
        - ``sglang-static``: the nearest replica: on the token's own GPU, or else the first on its node, or else one
          that is dealt out to the GPUs that have none near. ``sglang-dynamic``: at random.
        - ``sglang-static-file``, ``sglang-dynamic-file``: the same, for a placement that SGLang read from a file
          (``--init-expert-location``) and uses with an all-to-all backend: each GPU goes to its nearest replica,
          and where none is near, deals for itself alone (static) or picks at random (dynamic).
        - ``tensorrt-llm``: in turn.
        - ``vllm-ascend``: one replica for each GPU, by the GPU's number. ``vllm-ascend-v2``: by the sum of row,
          GPU and expert.

        Or shares of your own. Not ``filled``, which shares every batch anew; :func:`equipoise.balance` knows it.
    batch : int, optional
        Tokens of one GPU in one forward pass, for the rules that go by the row: with few of them, the first replicas
        get more. By default so many that it does not matter.
    sources : array_like, ``[layers, gpus, experts]``, or what broadcasts to it, optional
        Loads by the GPU whose tokens they are; only proportions count. By default all live GPUs have the same.

    Raises
    ------
    InputError
        If there is no such routing, or batch, sources or shares are not as they should be.

    Examples
    --------
    >>> from equipoise import Cluster, Placement
    >>> placement = Placement([[0, 1, 0, 2]], Cluster(gpus=4), experts=3)
    >>> slot_shares(placement, "even").tolist()
    [[0.5, 1.0, 0.5, 1.0]]
    >>> slot_shares(placement, "vllm-ascend", sources=[[3], [1], [1], [1]]).round(3).tolist()
    [[0.667, 1.0, 0.333, 1.0]]
    """
    if not isinstance(routing, str):
        return _checked_shares(placement, routing)
    if routing == FILLED:
        raise InputError(
            f"{setting('routing')} is {routing!r}, which shares every batch anew and so has no shares; expected "
            f"{', '.join(map(repr, RULES))}"
        )
    check_choice(setting("routing"), routing, RULES)
    if batch is not None:
        check_count(setting("batch"), batch)
    return served_by_rule(placement, routing, batch, source_shares(placement, sources))


def served_by_rule(
    placement: Placement, routing: str, batch: int | None, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what each slot serves, expected over the tokens, float64 ``[..., layers, slots]``.

    weight: what each GPU brings of each expert, ``[..., layers, gpus, experts]``.
    """
    by_replica = np.zeros((*weight.shape[:-3], *placement.log2phy.shape))
    for gpu, shares in enumerate(RULES[routing](placement, batch)):
        by_replica += weight[..., gpu, :, None] * shares
    return _by_slot(placement, by_replica)


def _by_slot(placement: Placement, by_replica: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each replica has, ``[..., layers, experts, replicas]``, by slots, ``[..., layers, slots]``."""
    by_slot = np.zeros((*by_replica.shape[:-3], *placement.phy2log.shape))
    layer, expert, rank = np.nonzero(placement.log2phy >= 0)
    by_slot[..., layer, placement.log2phy[layer, expert, rank]] = by_replica[..., layer, expert, rank]
    return by_slot


def in_slots(load: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """Return for every slot what its expert has, ``[..., layers, slots]``; of empty ones, what expert 0 has.

    load: ``[..., layers, experts]``.
    """
    layers, experts = load.shape[-2:]
    at = np.maximum(placement.phy2log, 0) + experts * np.arange(layers)[:, None]
    return np.asarray(load.reshape(*load.shape[:-2], -1).take(at, axis=-1))


def source_shares(placement: Placement, sources: ArrayLike | None) -> NDArray[np.float64]:
    """Return the share of each expert's load that is of each GPU's tokens, ``[layers, gpus, experts]``."""
    cluster = placement.cluster
    shape = placement.layers, cluster.gpus, placement.experts
    same = np.isin(np.arange(cluster.gpus), cluster.live)[:, None] / len(cluster.live)
    loads = _checked_sources(sources, shape) if sources is not None else np.zeros(shape)
    total = loads.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(loads, total, out=np.broadcast_to(same, shape).copy(), where=total > 0))


def _checked_sources(sources: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the loads of all GPUs in full."""
    array = _as_numbers("sources", sources)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise InputError(
            f"sources have shape {list(array.shape)}; expected {list(shape)}, [layers, gpus, experts], or a shape "
            "that broadcasts to it"
        ) from None


def _checked_shares(placement: Placement, routing: ArrayLike) -> NDArray[np.float64]:
    """Return the shares, or say for which expert they do not add up."""
    shares = _as_numbers("routing", routing)
    if shares.shape != placement.phy2log.shape:
        raise InputError(
            f"routing has shape {list(shares.shape)}; expected {list(placement.phy2log.shape)}, [layers, slots]"
        )
    total = np.zeros((placement.layers, placement.experts + 1))  # what is in empty slots comes last
    np.add.at(total, (np.arange(placement.layers)[:, None], placement.phy2log), shares)
    wrong = ~np.isclose(total, np.append(placement.logcnt > 0, np.zeros((placement.layers, 1)), axis=1), atol=1e-6)
    if wrong.any():
        layer, expert = (int(i) for i in np.argwhere(wrong)[0])
        if expert == placement.experts:
            raise InputError(f"routing gives a share to an empty slot of layer {layer}; expected 0")
        raise InputError(f"the shares of layer {layer}, expert {expert} add up to {total[layer, expert]:g}; expected 1")
    return shares


def _as_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return the values as float64, or raise if one is negative, not finite or no number."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} cannot become an array of numbers") from None
    if not (np.isfinite(array) & (array >= 0)).all():
        raise InputError(f"{name} has values that are negative, NaN or infinite; expected finite numbers of at least 0")
    return array
