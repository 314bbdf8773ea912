"""What experts' tokens take on one GPU: a sum over its experts, so that any split of tokens can be timed.

A GPU reads the weights of every expert that has a token, and multiplies tokens in tiles of so many rows, which take
their time even where they are part empty. So n tokens of one expert cost

    expert + sum of tiles[rows] * ceil(n / rows) + token * n        if n > 0, else nothing,

and a GPU takes that for each of its slots, and ``layer`` once. A table of measured times may stand in the place of the
formula or beside it. What is left is the kernel's own: its waves over the chip's processors, which no sum has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import InputError, check_count, check_positive, setting
from equipoise.timing.conditions import Conditions
from equipoise.timing.known_gpus import BYTES, Gpu, known_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from equipoise.timing.known_gpus import Dtype
    from equipoise.timing.known_models import Model
    from equipoise.timing.table import Table

# Kernels' tiles have 16 to 256 rows; 512 stands for two of 256 that share a wave.
TILES = (16, 32, 64, 128, 256, 512)
ROOFLINE_TILE = 128
ROOFLINE_ERROR = 0.19
MOST_SPLIT = 2**17


@dataclass(frozen=True)
class ExpertCost:
    """Microseconds that the tokens of experts take on one GPU; they never fall where tokens are added.

    Parameters
    ----------
    layer : float
        Microseconds that the layer costs, whatever its experts get.
    expert : float
        What an expert with at least one token costs, however many it has.
    tiles : mapping of int to float
        For tiles of so many rows, what each costs that an expert's tokens begin.
    token : float
        What each token costs.
    table : Table, optional
        What n tokens of one expert cost besides.
    sending : float
        What sending a token to this GPU and back costs; :meth:`over_link` sets it.
    measured_to : float
        Most tokens of one expert that were measured; infinity where nothing was measured.
    residual : float
        Relative error of the fit, root mean square; of a roofline, what it was on an H100; 0 where nobody knows.
    scatter : float
        The part of it that GPUs do not share which should take about the same time. Only this makes one GPU of a layer
        slower than another; the rest makes all of them slower or faster together.
    conditions : Conditions
        What it was measured with.

    Raises
    ------
    InputError
        If a number is negative or not finite, or a tile has no rows.

    Examples
    --------
    >>> cost = ExpertCost(layer=67, expert=14.6, tiles={128: 16.8})
    >>> cost.gpu_time([[1, 128, 129], [0, 0, 0]]).round(1).tolist()
    [178.0, 67.0]
    >>> cost.floor
    385
    """

    layer: float = 0.0
    expert: float = 0.0
    tiles: Mapping[int, float] = field(default_factory=dict)
    token: float = 0.0
    table: Table | None = None
    sending: float = 0.0
    measured_to: float = inf
    residual: float = 0.0
    scatter: float = 0.0
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        for name in ("layer", "expert", "token", "sending", "residual", "scatter"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        tiles = {check_count("rows of a tile", rows): _checked("tiles", cost) for rows, cost in self.tiles.items()}
        object.__setattr__(self, "tiles", tiles)

    @classmethod
    def fit(
        cls,
        tokens: ArrayLike,
        microseconds: ArrayLike,
        conditions: Conditions = Conditions(),  # noqa: B008
    ) -> ExpertCost:
        """Return the cost that comes nearest to measured times, relative to each: non-negative least squares.

        Parameters
        ----------
        tokens : array_like, ``[n, slots]``
            Tokens of each slot of a GPU, for n measurements; those of different kinds should be among them, with few
            and many experts, few and many tokens. A slot that is not there has none.
        microseconds : array_like, ``[n]``
            What the GPU took.
        conditions : Conditions
            What was measured with.

        Raises
        ------
        InputError
            If there are less than two measurements, shapes do not match, a number of tokens is negative, or a time is
            not above 0.
        """
        from scipy.optimize import nnls  # longer to import than all the rest

        counts, times = _measurements(tokens, microseconds)
        parts = _parts(counts)  # [n, parts]
        scale = parts.max(axis=0)
        scale[scale == 0] = 1
        found, _ = nnls(parts / times[:, None] / scale, np.ones(len(times)))
        layer, expert, token, *tiles = (found / scale).tolist()
        fitted = cls(
            layer=layer,
            expert=expert,
            token=token,
            tiles={rows: cost for rows, cost in zip(TILES, tiles, strict=True) if cost > 0},
            measured_to=float(counts.max()),
            conditions=conditions,
        )
        return fitted.judged(counts, times)

    @classmethod
    def roofline(cls, gpu: Gpu | str, model: Model, dtype: Dtype) -> ExpertCost:
        """Return a cost from what a GPU can do at best, where nothing was measured.

        Weights are read, then tiles of 128 rows multiplied. A kernel does both at once, but reaches neither the
        bandwidth nor the peak: on 9,408 timings of an H100 the sum was off by 19 % (root mean square), the larger of
        the two for each expert by 41 %.

        Parameters
        ----------
        gpu : Gpu or str
            The GPU, or one of :data:`equipoise.timing.known_gpus.GPUS`.
        model : Model
            The model.
        dtype : str
            The type of weights and tokens: ``bf16`` or ``fp8``.

        Raises
        ------
        InputError
            If the GPU is not known or does not multiply in this type.

        Examples
        --------
        >>> from equipoise import read_model
        >>> ExpertCost.roofline("H100", read_model("deepseek-v3"), "bf16").gpu_time([128] * 9).round().tolist()
        339.0
        """
        known = known_gpu(gpu) if isinstance(gpu, str) else gpu
        weights = model.expert_weights
        multiplied = 2 * weights * ROOFLINE_TILE / known.peak(dtype)
        return cls(
            expert=1e6 * weights * BYTES[dtype] / known.bandwidth,
            tiles={ROOFLINE_TILE: 1e6 * multiplied},
            residual=ROOFLINE_ERROR,
            conditions=Conditions(
                hidden_size=model.hidden_size, expert_size=model.expert_size, dtype=dtype, top_k=model.top_k
            ),
        )

    def judged(self, tokens: ArrayLike, microseconds: ArrayLike) -> ExpertCost:
        """Return the same cost with its residual and scatter on these measurements, given as :meth:`fit` takes them.

        The scatter comes from differences between the errors of measurements that are next to each other in expected
        time: what both are off by falls out.

        Raises
        ------
        InputError
            As :meth:`fit` does.
        """
        counts, times = _measurements(tokens, microseconds)
        expected = self.gpu_time(counts)
        error = (expected / times - 1)[np.argsort(expected, kind="stable")]
        return replace(self, residual=_rms(error), scatter=_rms(np.diff(error)) / 2**0.5)

    def over_link(self, token_bytes: int, bandwidth: float) -> ExpertCost:
        """Return the same cost, and besides what sending each token there and back does.

        Parameters
        ----------
        token_bytes : int
            Bytes of a token, there and back together.
        bandwidth : float
            Bytes that the GPU's link takes in a second.

        Raises
        ------
        InputError
            If a number is not above 0.

        Examples
        --------
        >>> cost = ExpertCost(token=0.1).over_link(token_bytes=3 * 7168, bandwidth=50e9)  # FP8 there, BF16 back
        >>> cost.gpu_time([100]).round(1).tolist()
        53.0
        """
        seconds = check_count(setting("token_bytes"), token_bytes) / check_positive(setting("bandwidth"), bandwidth)
        return replace(self, sending=1e6 * seconds)

    def expert_time(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return the microseconds that so many tokens of one expert take, for every number of an array.

        Raises
        ------
        InputError
            If a number of tokens is negative or not finite.
        """
        counts = _counts(tokens)
        time = (self.token + self.sending) * counts + self.expert * (counts > 0)
        for rows, cost in self.tiles.items():
            time += cost * np.ceil(counts / rows)
        return np.asarray(time if self.table is None else time + self.table(counts))

    def gpu_time(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """Return the microseconds that GPUs take for the tokens of their slots: one for each GPU.

        Parameters
        ----------
        tokens : array_like, ``[..., slots]``
            Tokens of each slot of each GPU.

        Raises
        ------
        InputError
            If a number of tokens is negative or not finite.
        """
        return np.asarray(self.layer + self.expert_time(np.atleast_1d(_counts(tokens))).sum(axis=-1))

    @property
    def is_measured(self) -> bool:
        """Whether anything was measured."""
        return self.measured_to < inf

    def is_beyond(self, tokens: ArrayLike) -> NDArray[np.bool_]:
        """Return where tokens of one expert are more than were measured, so that the last slope is taken to go on."""
        return np.asarray(_counts(tokens) > self.measured_to)

    @property
    def floor(self) -> int | None:
        """The least tokens of which half on another GPU saves more than one more active expert costs.

        None where no number up to 131,072 does.
        """
        tokens = np.arange(MOST_SPLIT + 1)
        time = self.expert_time(tokens)
        pays = time - time[(tokens + 1) // 2] > time[1]
        return int(pays.argmax()) if pays.any() else None


def _parts(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what costs: a layer, its active experts, its tokens, and tiles of each size, ``[n, 3 + sizes]``."""
    tiles = [np.ceil(tokens / rows).sum(axis=1) for rows in TILES]
    return np.stack([np.ones(len(tokens)), (tokens > 0).sum(axis=1), tokens.sum(axis=1), *tiles], axis=1)


def _measurements(tokens: ArrayLike, microseconds: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts, times = _counts(tokens), np.asarray(microseconds, dtype=np.float64)
    if counts.ndim != 2 or times.shape != counts.shape[:1]:
        raise InputError(
            f"tokens have shape {list(counts.shape)}, microseconds {list(times.shape)}; expected [n, slots] and [n]"
        )
    if len(times) < 2:
        raise InputError(f"measurements: {len(times)}; expected two at least, to tell of other numbers of tokens")
    bad = np.flatnonzero(~(np.isfinite(times) & (times > 0)))
    if len(bad):
        raise InputError(f"measurement {bad[0]} took {times[bad[0]]} microseconds; expected a finite number above 0")
    return counts, times


def _counts(tokens: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(tokens, dtype=np.float64)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise InputError("tokens have values that are negative, NaN or infinite; expected finite numbers of at least 0")
    return counts


def _checked(name: str, value: float) -> float:
    return 0.0 if value == 0 else check_positive(name, value)


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))
