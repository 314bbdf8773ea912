"""Which slots to have: the fastest, and of those as fast as the cost can tell, the fewest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from equipoise.sizing.cell import Cell


@dataclass(frozen=True)
class Advice:
    """What to have for batches of some sizes.

    Attributes
    ----------
    cells : tuple of Cell
        The same choice for each size of a batch that it is best for, rising.
    others : tuple of Cell or None
        For each, the fastest with another number of slots on the same GPUs; None where only one number was asked about.
    """

    cells: tuple[Cell, ...]
    others: tuple[Cell | None, ...]


def fewest_slots(times: Mapping[tuple[int, str], float], residual: float) -> tuple[int, str]:
    """Return the fastest choice; of those that are within the residual of it, the fastest with the fewest slots.

    Parameters
    ----------
    times : mapping of (slots of a GPU, routing) to float
        Microseconds of a layer.
    residual : float
        Relative error of the cost: times that differ by less are the same to it.

    Examples
    --------
    >>> fewest_slots({(8, "even"): 103.0, (9, "even"): 101.0, (10, "even"): 100.0}, residual=0.02)
    (9, 'even')
    """
    limit = (1 + residual) * min(times.values())
    return min((choice for choice, time in times.items() if time <= limit), key=lambda one: (one[0], times[one]))


def recommend(cells: Sequence[Cell], residual: float) -> list[Advice]:
    """Return what to have on the GPUs that serve most tokens a second each, for all sizes of batches in rising order.

    Of GPUs that are within the residual of each other the fewest are taken, on which fewer wait for each other; then
    slots and routing are chosen by :func:`fewest_slots`. Neighbouring sizes with the same choice are told together.
    """
    chosen = [_chosen(some, residual) for some in _by_tokens(cells)]
    advice = []
    for _, run in groupby(chosen, key=_choice):
        best = tuple(run)
        advice.append(Advice(best, tuple(_fastest_other(one, cells) for one in best)))
    return advice


def _fastest_other(best: Cell, cells: Sequence[Cell]) -> Cell | None:
    """Return the fastest with as many tokens on the same GPUs, but another number of slots."""
    here = [one for one in cells if (one.tokens, one.deployment) == (best.tokens, best.deployment)]
    return min((one for one in here if _slots(one) != _slots(best)), key=_time, default=None)


def _chosen(cells: Sequence[Cell], residual: float) -> Cell:
    """Return the cell to have of those with equally many tokens."""
    limit = (1 + residual) * min(map(_time, cells))
    gpus = min(cell.gpus for cell in cells if cell.layer_time <= limit)
    here = [cell for cell in cells if cell.gpus == gpus]
    nearest = min(here, key=_time)
    alike = (cell for cell in here if cell.deployment == nearest.deployment)
    among: dict[tuple[int, str], Cell] = {(_slots(cell), cell.routing): cell for cell in alike}
    return among[fewest_slots({choice: _time(cell) for choice, cell in among.items()}, residual)]


def _by_tokens(cells: Iterable[Cell]) -> list[list[Cell]]:
    def tokens(cell: Cell) -> int:
        return cell.tokens

    return [list(some) for _, some in groupby(sorted(cells, key=tokens), key=tokens)]


def _choice(cell: Cell) -> tuple[object, ...]:
    return (*cell.deployment, _slots(cell), cell.routing)


def _slots(cell: Cell) -> int:
    return cell.slots_per_gpu


def _time(cell: Cell) -> float:
    return cell.layer_time
