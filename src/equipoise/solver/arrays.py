"""The three kinds of array that the loops read and write, and what they only read."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def to_read(array: Floats) -> Floats:
    """Return a view that cannot be written to: a loop is compiled once for those, whoever else may write."""
    view = array.view()
    view.flags.writeable = False
    return view
