"""Every swap and transfer that may relieve a GPU, its relief and its price, each by counting all GPUs again."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    Contents = tuple[frozenset[int], ...]  # the experts of each GPU
    Windows = Sequence[Fraction]  # one figure for each window


class Layer(NamedTuple):
    """What does not change: loads, what changes cost, and the loads above which a GPU is to be relieved."""

    loads: Sequence[Sequence[int]]  # [windows][experts]
    weight: Windows  # adding up to 1
    held: Sequence[Sequence[bool]]  # [gpus][experts], whether the GPU holds the expert's weights already
    home: Sequence[int]  # the expert's node; -1 for any
    node: Sequence[int]  # the GPU's node
    move: Fraction  # price of an expert that a GPU did not hold
    off_node: Fraction | float  # price of a load served off its home node, per unit; inf forbids it
    aim: Windows

    def mean(self, windows: Windows) -> Fraction:
        """Return the weighted mean of the windows."""
        return sum((weight * figure for weight, figure in zip(self.weight, windows, strict=True)), Fraction(0))

    def pressure(self, load: Windows) -> Fraction:
        """Return how much a GPU of this load asks for relief."""
        return self.mean([max(in_window - aim, 0) ** 2 for in_window, aim in zip(load, self.aim, strict=True)])


@dataclass(frozen=True)
class State:
    """What the GPUs hold, and what follows from it."""

    layer: Layer
    contents: Contents

    @cached_property
    def shares(self) -> list[Windows]:
        """Load of one replica of each expert."""
        copies = [sum(expert in held for held in self.contents) for expert in range(len(self.layer.home))]
        every = zip(*self.layer.loads, strict=True)
        return [[Fraction(load, count) for load in loads] for loads, count in zip(every, copies, strict=True)]

    @cached_property
    def loads(self) -> list[Windows]:
        """Load of each GPU."""
        return [self._load_of(held) for held in self.contents]

    @cached_property
    def pressures(self) -> list[Fraction]:
        """How much each GPU asks for relief."""
        return [self.layer.pressure(load) for load in self.loads]

    @property
    def peaks(self) -> Windows:
        """Largest GPU load."""
        return [max(loads) for loads in zip(*self.loads, strict=True)]

    @cached_property
    def moves(self) -> int:
        """How many experts GPUs need and did not hold."""
        return sum(not self.layer.held[gpu][expert] for gpu, held in enumerate(self.contents) for expert in held)

    @cached_property
    def strays(self) -> list[int]:
        """The expert of every replica that is off its home node."""
        home, node = self.layer.home, self.layer.node
        return [
            expert for gpu, held in enumerate(self.contents) for expert in held if home[expert] not in (-1, node[gpu])
        ]

    @cached_property
    def off_node(self) -> Fraction:
        """Load served off its home node, in the mean."""
        return self.layer.mean(self._load_of(self.strays))

    def with_held(self, held: Mapping[int, frozenset[int]]) -> State:
        """Return the state in which some GPUs hold something else."""
        return State(self.layer, tuple(held.get(gpu, same) for gpu, same in enumerate(self.contents)))

    def _load_of(self, experts: Collection[int]) -> Windows:
        """Return the load of one replica of each of these experts together."""
        windows = range(len(self.layer.weight))
        return [sum((self.shares[expert][window] for expert in experts), Fraction(0)) for window in windows]


class Change(NamedTuple):
    """What the GPUs hold after a change, what it gives, and the most pressure that it leaves where it may add some.

    Of a swap nothing but relief is asked: whatever pressure it leaves counts as none.
    """

    after: Contents
    relief: Fraction
    price: Fraction | float
    highest: Fraction


def changes(before: State, heavy: int) -> Iterator[Change]:
    """Yield every swap of the heavy GPU's, and every transfer of one of its slots or to one of its experts."""
    yield from swaps(before, heavy)
    yield from transfers(before, heavy)


def swaps(before: State, heavy: int) -> Iterator[Change]:
    """Yield every exchange of a replica of the heavy GPU's for one of another's."""
    contents = before.contents
    for light in range(len(contents)):
        for give in contents[heavy] - contents[light]:
            for take in contents[light] - contents[heavy]:
                after = before.with_held(
                    {heavy: contents[heavy] - {give} | {take}, light: contents[light] - {take} | {give}}
                )
                relief = sum(before.pressures) - sum(after.pressures)
                yield Change(after.contents, relief, _price(before, after), Fraction(0))


def transfers(before: State, heavy: int) -> Iterator[Change]:
    """Yield every transfer of a slot of the heavy GPU's, or to one of its experts.

    Where donor and receiver both are on a third GPU, their replicas there are each taken to change alone.
    """
    contents, gpus = before.contents, range(len(before.contents))
    for gpu in gpus:
        for donor in contents[gpu]:
            holders = {other for other in gpus if donor in contents[other]}
            if len(holders) == 1:
                continue
            for receiver in set(range(len(before.shares)) if gpu == heavy else contents[heavy]) - contents[gpu]:
                after = before.with_held({gpu: contents[gpu] - {donor} | {receiver}})
                relief, risen = Fraction(0), []
                for other in gpus:
                    left = [after.pressures[other]]
                    if other in holders - {heavy, gpu} and receiver in contents[other]:
                        left = [_pressure_alone(before, after, other, expert) for expert in (donor, receiver)]
                    relief += sum(before.pressures[other] - pressure for pressure in left)
                    risen += left[:1] if other in holders else []
                yield Change(after.contents, relief, _price(before, after), max(risen))


def _pressure_alone(before: State, after: State, gpu: int, expert: int) -> Fraction:
    """Return the pressure of the GPU if nothing but its replica of the expert changes."""
    each = zip(before.loads[gpu], before.shares[expert], after.shares[expert], strict=True)
    return before.layer.pressure([load - share + new_share for load, share, new_share in each])


def _price(before: State, after: State) -> Fraction | float:
    """Return what a change costs; one that leaves anything where that is forbidden is beyond price."""
    price = before.layer.move * (after.moves - before.moves)
    if before.layer.off_node == inf:
        return inf if after.strays else price
    return price + before.layer.off_node * (after.off_node - before.off_node)
