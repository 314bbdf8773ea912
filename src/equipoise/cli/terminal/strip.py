"""A strip of marks, one for each layer: the higher and the more orange, the worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARKS, PLAIN_MARKS = "▁▂▃▄▅▆▇█", "12345678"
LOW_COLOUR, HIGH_COLOUR = (0, 114, 178), (213, 94, 0)
LEAST_WIDTH = 40


def print_strips(strips: Mapping[str, Sequence[float]], low: float) -> None:
    """Print named strips of the layers below each other, on one scale from ``low`` to the largest value.

    Where the layers are more than fit, a mark is the largest value of some that follow each other. Colours are for
    terminals alone, and not where ``NO_COLOR`` is set.
    """
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    marks = PLAIN_MARKS if console.options.ascii_only else MARKS
    margin = max(map(len, strips)) + 3
    layers, high = len(next(iter(strips.values()))), max(map(max, strips.values()))
    each = -(-layers // max(LEAST_WIDTH, console.width - margin))
    for name, values in strips.items():
        worst = (max(values[first : first + each]) for first in range(0, layers, each))
        strip = Text(name.ljust(margin))
        for value in worst:
            level = round((value - low) / (high - low) * (len(marks) - 1)) if high > low else 0
            strip.append(marks[level], _colour(level / (len(marks) - 1)))
        console.print(strip)
    of_each = "a layer" if each == 1 else f"the largest of {each} layers"
    console.print(f"{' ' * margin}{marks[0]} {low:.2f} to {marks[-1]} {high:.2f}, each mark {of_each}")


def _colour(share: float) -> str:
    """Return Rich's name of the colour that is this share of the way from low to high."""
    mixed = (round(low + share * (high - low)) for low, high in zip(LOW_COLOUR, HIGH_COLOUR, strict=True))
    return "rgb({},{},{})".format(*mixed)
