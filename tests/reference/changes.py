"""Every swap and transfer of the peak GPU, its relief and its price, each by counting all GPUs again."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Contents = tuple[frozenset[int], ...]  # the experts of each GPU


class Layer(NamedTuple):
    """What does not change: loads, what changes cost, and the load above which a GPU is to be relieved."""

    load: Sequence[int]
    held: Sequence[Sequence[bool]]  # [gpus][experts], whether the GPU holds the expert's weights already
    home: Sequence[int]  # the expert's node; -1 for any
    node: Sequence[int]  # the GPU's node
    move: Fraction  # price of an expert that a GPU did not hold
    off_node: Fraction | float  # price of a load served off its home node, per unit; inf forbids it
    aim: Fraction


class Change(NamedTuple):
    """What the GPUs hold after a change, what it gives, and the largest load that it leaves on a GPU it touches."""

    after: Contents
    relief: Fraction
    price: Fraction | float
    highest: Fraction


def share_of(layer: Layer, contents: Contents, expert: int) -> Fraction:
    """Return the load of one replica of the expert."""
    return Fraction(layer.load[expert], sum(expert in held for held in contents))


def gpu_loads(layer: Layer, contents: Contents) -> list[Fraction]:
    return [sum((share_of(layer, contents, expert) for expert in held), Fraction(0)) for held in contents]


def moves(layer: Layer, contents: Contents) -> int:
    """Return how many experts GPUs need and did not hold."""
    return sum(not layer.held[gpu][expert] for gpu, held in enumerate(contents) for expert in held)


def off_node_load(layer: Layer, contents: Contents) -> Fraction:
    """Return the load served off its home node."""
    return sum((share_of(layer, contents, expert) for _, expert in off_node_replicas(layer, contents)), Fraction(0))


def off_node_replicas(layer: Layer, contents: Contents) -> list[tuple[int, int]]:
    """Return GPU and expert of every replica that is off its home node."""
    return [
        (gpu, expert)
        for gpu, held in enumerate(contents)
        for expert in held
        if layer.home[expert] not in (-1, layer.node[gpu])
    ]


def changes(layer: Layer, contents: Contents, heavy: int) -> Iterator[Change]:
    """Yield every swap of the heavy GPU's, and every transfer that gives it a lighter replica or lightens one of its.

    Where a transfer's donor and receiver both are on a third GPU, their replicas there are each taken to change alone.
    """
    gpus = range(len(contents))
    for light in gpus:
        for give in contents[heavy] - contents[light]:
            for take in contents[light] - contents[heavy]:
                exchanged = {heavy: contents[heavy] - {give} | {take}, light: contents[light] - {take} | {give}}
                yield _change(layer, contents, exchanged, {heavy, light}, [])
    for gpu in gpus:
        for donor in contents[gpu]:
            if sum(donor in held for held in contents) == 1:
                continue
            for receiver in set(range(len(layer.load)) if gpu == heavy else contents[heavy]) - contents[gpu]:
                holders = {donor: set(), receiver: set()}
                for expert, on in holders.items():
                    on |= {other for other in gpus if expert in contents[other]}
                both = holders[donor] & holders[receiver] - {heavy, gpu}
                given = {gpu: contents[gpu] - {donor} | {receiver}}
                yield _change(layer, contents, given, holders[donor] | {gpu, heavy}, [(both, donor), (both, receiver)])


def _change(layer, contents, changed, touched, alone) -> Change:
    """Return what a change gives; alone: GPUs on which an expert's replica is taken to be all that changes."""
    after = tuple(changed.get(gpu, held) for gpu, held in enumerate(contents))
    before_load, after_load = gpu_loads(layer, contents), gpu_loads(layer, after)
    apart = {gpu for gpus, _ in alone for gpu in gpus}
    loads = [(before_load[gpu], after_load[gpu]) for gpu in range(len(contents)) if gpu not in apart]
    highest = [after_load[gpu] for gpu in touched - apart]
    for gpus, expert in alone:
        growth = share_of(layer, after, expert) - share_of(layer, contents, expert)
        loads += [(before_load[gpu], before_load[gpu] + growth) for gpu in gpus]
        highest += [before_load[gpu] + growth for gpu in gpus]
    relief = sum(
        (max(before - layer.aim, 0) ** 2 - max(after - layer.aim, 0) ** 2 for before, after in loads), Fraction(0)
    )
    price = layer.move * (moves(layer, after) - moves(layer, contents))
    if layer.off_node == inf:
        price += inf if off_node_replicas(layer, after) else 0
    else:
        price += layer.off_node * (off_node_load(layer, after) - off_node_load(layer, contents))
    return Change(after, relief, price, max(highest))
