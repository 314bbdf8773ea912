"""GPUs as their makers describe them: how fast they read memory, and how fast they multiply at most.

Peaks are dense (NVIDIA's sheets print many of them with sparsity, which is twice that), and of the SXM module where
there are several:

- A100: NVIDIA A100 Tensor Core GPU datasheet, SXM, 80 GB. It has no FP8.
- H100: NVIDIA H100 Tensor Core GPU datasheet, SXM.
- H200: NVIDIA H200 Tensor Core GPU datasheet, SXM.
- B200: NVIDIA DGX B200 datasheet, an eighth of the system.
- L40S: NVIDIA L40S datasheet.
- MI300X: AMD Instinct MI300X accelerator data sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from equipoise.errors import InputError, check_choice, check_positive, setting

Dtype = Literal["bf16", "fp8"]

BYTES: dict[str, int] = {"bf16": 2, "fp8": 1}


@dataclass(frozen=True)
class Gpu:
    """What a GPU does in a second, at best.

    Parameters
    ----------
    bandwidth : float
        Bytes that it reads from its memory.
    bf16 : float
        Floating-point operations in BF16, dense.
    fp8 : float, optional
        The same in FP8, where it has that.

    Raises
    ------
    InputError
        If a number is not positive and finite.
    """

    bandwidth: float
    bf16: float
    fp8: float | None = None

    def __post_init__(self) -> None:
        for name in ("bandwidth", "bf16", "fp8"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_positive(name, getattr(self, name)))

    def peak(self, dtype: Dtype) -> float:
        """Return the floating-point operations of a second.

        Raises
        ------
        InputError
            If the GPU does not multiply in this type.
        """
        check_choice(setting("dtype"), dtype, BYTES)
        peak = self.bf16 if dtype == "bf16" else self.fp8
        if peak is None:
            raise InputError(f"this GPU has no FP8; use {setting('dtype', 'bf16')}")
        return peak


GPUS = {
    "A100": Gpu(bandwidth=2.039e12, bf16=312e12),
    "H100": Gpu(bandwidth=3.35e12, bf16=989.5e12, fp8=1979e12),
    "H200": Gpu(bandwidth=4.8e12, bf16=989.5e12, fp8=1979e12),
    "B200": Gpu(bandwidth=8e12, bf16=2.25e15, fp8=4.5e15),
    "L40S": Gpu(bandwidth=0.864e12, bf16=362.05e12, fp8=733e12),
    "MI300X": Gpu(bandwidth=5.3e12, bf16=1307.4e12, fp8=2614.9e12),
}


def known_gpu(name: str) -> Gpu:
    """Return the GPU of this name, whatever its case.

    Raises
    ------
    InputError
        If it is none of :data:`GPUS`.

    Examples
    --------
    >>> known_gpu("h100").bandwidth
    3350000000000.0
    """
    check_choice(setting("gpu"), name.upper(), GPUS)
    return GPUS[name.upper()]
