"""Timing the experts of GPUs on this machine, so that a cost can be fitted to it.

The tokens of each expert are multiplied by its gate and up matrices, ``[hidden, 2 expert]``; then come SiLU and
product, then its down matrix, ``[expert, hidden]``. All experts of a GPU do so together, by torch's grouped matrix
multiplication. Where there is no GPU, the CPU multiplies expert by expert.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.errors import InputError, check_choice, check_count, setting
from equipoise.timing.conditions import Conditions
from equipoise.timing.known_gpus import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from equipoise.timing.known_gpus import Dtype

RUNS = 3
ALIGNED = 16  # numbers in a row, by torch's grouped matrix multiplication in FP8; in BF16, half of it
CACHE = {"cuda": 2**30, "cpu": 2**27}
"""Bytes that are read before each run: more than the caches of any GPU, or of one core, hold, and on a GPU for so long
that the run is queued meanwhile."""


def this_machine(hidden_size: int, expert_size: int, dtype: Dtype = "bf16") -> Conditions:
    """Return what experts of this size are timed with here: the GPU, or the CPU where torch finds none.

    Parameters
    ----------
    hidden_size, expert_size : int
        Width of a token, and of what an expert makes of it in between: multiples of 16.
    dtype : str
        The type of weights and tokens: ``bf16``, or on a GPU that has it ``fp8``.

    Raises
    ------
    InputError
        If torch is not installed, there is no GPU for FP8, or a size does not fit.
    """
    check_choice(setting("dtype"), dtype, BYTES)
    for name, size in (("hidden_size", hidden_size), ("expert_size", expert_size)):
        if check_count(setting(name), size) % ALIGNED:
            raise InputError(f"{setting(name)} is {size}; expected a multiple of {ALIGNED}, as GPUs multiply")
    try:
        import torch
    except ImportError:
        raise InputError("measuring needs torch, which is not installed; pip install 'equipoise[torch]'") from None
    if torch.cuda.is_available():
        toolkit = "ROCm" if torch.version.hip else "CUDA"
        versions = {"torch": torch.__version__, toolkit: str(torch.version.hip or torch.version.cuda)}
        return Conditions(torch.cuda.get_device_name(), versions, hidden_size, expert_size, dtype)
    if dtype == "fp8":
        raise InputError(f"{setting('dtype')} is 'fp8', but torch finds no GPU here; use {setting('dtype', 'bf16')}")
    cpu = f"CPU {platform.processor() or platform.machine()}"
    return Conditions(cpu, {"torch": torch.__version__}, hidden_size, expert_size, dtype)


def time_gpus(
    gpus: Sequence[NDArray[np.int64]],
    conditions: Conditions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """Return the microseconds that the experts of each GPU take on this machine, one GPU after another.

    Each is run once, then timed three times, and the median counts. Before each run so much else is read that no
    weights are in a cache. In FP8, what experts multiply by their down matrix is cast to it, not scaled anew.

    Parameters
    ----------
    gpus : sequence of ndarray
        For each GPU, the tokens of its slots, ``[slots]``; one token at least.
    conditions : Conditions
        What :func:`this_machine` returned.
    progress : callable
        Takes how many are done, and of how many.

    Raises
    ------
    InputError
        If torch cannot multiply these experts here, or memory is too small for them.
    """
    layer = _ready(gpus, conditions)
    times = []
    for gpu in gpus:
        times.append(_microseconds(layer, gpu))
        progress(len(times), len(gpus))
    return np.array(times)


def _ready(gpus: Sequence[NDArray[np.int64]], conditions: Conditions) -> _Layer:
    """Return experts that have run once with the most tokens of any GPU, or refuse what does not work here."""
    import torch

    most = max(gpus, key=np.sum)
    try:
        layer = _Layer.random(conditions, slots=max(map(len, gpus)), tokens=int(most.sum()))
        layer.prepared(most)()
        if layer.on == "cuda":
            torch.cuda.synchronize()
    except (AttributeError, RuntimeError, ValueError) as error:  # the first: of a torch that has no such function
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"torch {torch.__version__} cannot multiply these experts on {conditions.device}: {reason}; use another "
            f"{setting('dtype')}, fewer {setting('slots')} or a newer torch"
        ) from None
    return layer


@dataclass(frozen=True)
class _Matrices:
    """One matrix of every expert."""

    weights: torch.Tensor  # [slots, inner, outer]
    scales: torch.Tensor  # of FP8, [slots, outer]

    @classmethod
    def random(cls, like: torch.Tensor, shape: tuple[int, int, int], generator: torch.Generator) -> _Matrices:
        """Return matrices of the type of ``like`` that make normal numbers of normal numbers."""
        import torch

        slots, inner, outer = shape
        shrink, fp8 = inner**-0.5, like.dtype != torch.bfloat16
        weights = like.new_empty(slots, outer, inner)  # as engines hold them: the numbers of a column side by side
        for matrix in weights:
            drawn = torch.randn(outer, inner, dtype=torch.bfloat16, device=like.device, generator=generator)
            matrix.copy_(drawn if fp8 else drawn * shrink)
        return cls(weights.transpose(1, 2), torch.full((slots, outer), shrink, device=like.device))


@dataclass(frozen=True)
class _Layer:
    """Experts and tokens in the memory of this machine, and what is read to drive them out of its caches."""

    tokens: torch.Tensor  # [tokens, hidden]
    scales: torch.Tensor  # of FP8, [tokens]: all 1
    gate_up: _Matrices
    down: _Matrices
    cache: torch.Tensor

    @classmethod
    def random(cls, conditions: Conditions, slots: int, tokens: int) -> _Layer:
        import torch

        hidden, expert = conditions.hidden_size or 0, conditions.expert_size or 0  # never 0 of this machine
        on = "cuda" if torch.cuda.is_available() else "cpu"
        generator = torch.Generator(on).manual_seed(0)
        drawn = torch.randn(tokens, hidden, dtype=torch.bfloat16, device=on, generator=generator)
        rows = drawn if conditions.dtype == "bf16" else drawn.to(torch.float8_e4m3fn)
        return cls(
            rows,
            torch.ones(tokens, device=on),
            _Matrices.random(rows, (slots, hidden, 2 * expert), generator),
            _Matrices.random(rows, (slots, expert, hidden), generator),
            torch.ones(CACHE[on] // 4, device=on),
        )

    @property
    def on(self) -> str:
        """The kind of device that it is on."""
        return self.tokens.device.type

    def prepared(self, gpu: NDArray[np.int64]) -> Callable[[], torch.Tensor]:
        """Return a function that does what a GPU's experts do, its tokens being in the order of its slots."""
        import torch

        multiplied = self._product(gpu)
        tokens = self.tokens[: int(gpu.sum())]

        def run() -> torch.Tensor:
            gate, up = multiplied(tokens, self.gate_up).chunk(2, dim=1)
            return multiplied(torch.nn.functional.silu(gate) * up, self.down)

        return run

    def _product(self, gpu: NDArray[np.int64]) -> Callable[[torch.Tensor, _Matrices], torch.Tensor]:
        """Return a function that multiplies the rows of each slot by its matrix."""
        import torch

        if self.on == "cpu":
            active, counts = np.flatnonzero(gpu).tolist(), gpu[gpu > 0].tolist()

            def one_by_one(rows: torch.Tensor, by: _Matrices) -> torch.Tensor:
                parts = zip(active, torch.split(rows, counts), strict=True)
                return torch.cat([part @ by.weights[slot] for slot, part in parts])

            return one_by_one
        slots, ends = len(gpu), torch.tensor(gpu.cumsum(), dtype=torch.int32, device=self.tokens.device)
        if self.tokens.dtype == torch.bfloat16:
            return lambda rows, by: torch._grouped_mm(rows, by.weights[:slots], offs=ends)

        def scaled(rows: torch.Tensor, by: _Matrices) -> torch.Tensor:
            return torch._scaled_grouped_mm(
                rows.to(by.weights.dtype),
                by.weights[:slots],
                self.scales[: len(rows)],
                by.scales[:slots],
                offs=ends,
                out_dtype=torch.bfloat16,
                use_fast_accum=True,
            )

        return scaled


def _microseconds(layer: _Layer, gpu: NDArray[np.int64]) -> float:
    run = layer.prepared(gpu)
    run()
    once = _event_time if layer.on == "cuda" else _clock_time
    return median(once(run, layer.cache) for _ in range(RUNS))


def _event_time(run: Callable[[], Any], cache: torch.Tensor) -> float:
    """Return the microseconds of one run on the GPU, which need not wait for Python: it still reads the cache full."""
    import torch

    event: Any = torch.cuda.Event  # which has no types
    begin, end = event(enable_timing=True), event(enable_timing=True)
    cache.sum()
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(1e3 * begin.elapsed_time(end))


def _clock_time(run: Callable[[], Any], cache: torch.Tensor) -> float:
    cache.sum()
    begin = perf_counter()
    run()
    return 1e6 * (perf_counter() - begin)
