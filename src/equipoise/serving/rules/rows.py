"""Shares of the replicas where a token's row in its batch decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shares_by_count(numbers: NDArray[np.int64], most: int) -> NDArray[np.float64]:
    """Return the share of the numbers that falls on each replica, ``[count of replicas, replica]``.

    A number falls on its remainder by the count of replicas.

    Parameters
    ----------
    numbers : ndarray, int64 ``[tokens]``
        What decides, one for each token.
    most : int
        The largest count of replicas.

    Examples
    --------
    >>> shares_by_count(np.arange(4), 3).tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]
    """
    counts = [np.bincount(numbers % max(count, 1), minlength=most) for count in range(most + 1)]
    return np.array(counts) / len(numbers)
