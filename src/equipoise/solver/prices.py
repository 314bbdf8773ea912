"""What a change of a live placement costs: experts to load, and load served off its home node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from equipoise.solver.compiling import kernel

if TYPE_CHECKING:
    from equipoise.solver.arrays import Flags, Floats, Integers
    from equipoise.solver.pool import Pool


ANYWHERE = -1  # the home of an expert that any node may serve


class Terms(NamedTuple):
    """What a change costs; a price of 1 is that of loading one expert's weights."""

    held: Flags  # [gpus, experts], whether the GPU holds the expert's weights already
    home: Integers  # [experts], the node on which serving the expert costs nothing; -1 for any
    node: Integers  # [gpus], the node that each GPU is on
    move: float  # the price of an expert that a GPU did not hold
    off_node: float  # the price of a load served off its home node, per unit of load; inf forbids it


@kernel
def is_off(home: int, node: int) -> bool:
    """Return whether a replica on the node is off the home of its expert."""
    return home not in (ANYWHERE, node)


@kernel
def price_replicas(pool: Pool, terms: Terms, gpu: int, other: int, price: Floats) -> float:
    """Write what moving each of the GPU's replicas to another GPU costs, and return the least."""
    node, other_node = terms.node[gpu], terms.node[other]
    least = np.inf
    for place in range(price.size):
        expert = pool.slots[gpu, place]
        price[place] = terms.move * (int(terms.held[gpu, expert]) - int(terms.held[other, expert]))
        if node != other_node:
            off = int(is_off(terms.home[expert], other_node)) - int(is_off(terms.home[expert], node))
            if off != 0:
                price[place] += off * _price_off_node(terms, pool.pieces[gpu, place])
        least = min(least, price[place])
    return least


@kernel
def price_of_dropping(pool: Pool, terms: Terms, donor: int, gpu: int, away: int) -> float:
    """Return what it costs to give up a replica: less than nothing where a move or a service off its node ends.

    away: how many of the donor's replicas are off its home node.
    """
    price = terms.move * (int(terms.held[gpu, donor]) - 1)
    if away > 0:
        left = away - int(is_off(terms.home[donor], terms.node[gpu]))
        copies = pool.copies[donor]
        price += _price_off_node(terms, pool.load[donor] * (left / (copies - 1) - away / copies))
    return price


@kernel
def price_of_adding(pool: Pool, terms: Terms, receiver: int, gpu: int, away: int) -> float:
    """Return what one more replica on this GPU costs; away: how many are off the receiver's home node already."""
    price = terms.move * (1 - int(terms.held[gpu, receiver]))
    more = away + int(is_off(terms.home[receiver], terms.node[gpu]))
    if more > 0:
        copies = pool.copies[receiver]
        price += _price_off_node(terms, pool.load[receiver] * (more / (copies + 1) - away / copies))
    return price


@kernel
def _price_off_node(terms: Terms, load: float) -> float:
    """Return the price of serving more load off its home node; where that is forbidden, of no load too."""
    return np.inf if terms.off_node == np.inf else terms.off_node * load
