"""What ``torch.save`` wrote, read without running code from it.

Torch itself keeps a file from running code. It does not keep it from taking memory: a few bytes can call
``bytearray(10**10)``, or unpack to what no memory holds. So the file is looked through before torch reads it.
"""

from __future__ import annotations

import re
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from equipoise.errors import InputError
from equipoise.formats.files.archives import opened_member
from equipoise.formats.files.refusals import listed, shown
from equipoise.formats.files.size_guard import check_bytes, check_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BEFORE_ZIP = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
"""How files begin that torch wrote before version 1.6, and still writes if told to."""
A_GLOBAL = re.compile(rb"c((?:torch|collections|builtins|__builtin__|_codecs)[\w.]*)\n([\w.]+)\n")
"""How a pickle names what it calls; of other modules, torch takes nothing."""
OF_TENSORS = re.compile(
    r"torch\._utils\._rebuild_tensor(_v2|_v3)?|torch(\.\w+)?\.\w+Storage|torch\.(device|Size)"
    r"|torch\.(bool|u?int\d+|b?float\d+\w*)|collections\.OrderedDict"
)
"""What it has to call for tensors; none of these fills more memory than it is given."""


def read_torch(path: Path) -> Any:
    """Return what the file holds: tensors on the CPU, numbers, texts, lists and dicts.

    Raises
    ------
    InputError
        If torch is not installed, or the file is damaged, holds other Python objects or more than it should.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            "reading a .pt file needs torch, which is not installed; pip install 'equipoise[torch]'"
        ) from None
    try:
        return torch.load(_looked_through(path), map_location="cpu", weights_only=True)
    except (InputError, OSError, MemoryError):
        raise
    except Exception:  # a damaged file can fail anywhere in the unpickling
        raise InputError(
            "not a torch file that can be read without running code from it: it is damaged, or has other Python "
            "objects; expected plain tensors, numbers, texts, lists and dicts"
        ) from None


def _looked_through(path: Path) -> Path | BytesIO:
    """Return what torch shall read, once it is known to unpack to no more, and to call no more, than tensors need."""
    with path.open("rb") as file:
        head = file.read(len(BEFORE_ZIP))
    if head.startswith(b"PK"):
        _check_archive(path)
        return path
    if head != BEFORE_ZIP:
        raise InputError("not a torch file; expected what torch.save writes")
    check_bytes(path.stat().st_size, path)
    content = BytesIO(path.read_bytes())  # a file of its own would also be tried as a tar archive, and that unpacked
    _check_calls(content.getvalue())
    return content


def _check_archive(path: Path) -> None:
    with ZipFile(path) as archive:
        check_bytes(sum(member.file_size for member in archive.infolist()), path)
        for member in archive.infolist():
            if member.filename.lower().endswith(".pkl"):
                with opened_member(archive, member, path) as file:
                    _check_calls(file.read())


def _check_calls(pickle: bytes) -> None:
    for module, name in A_GLOBAL.findall(pickle):
        called = f"{module.decode()}.{name.decode()}"
        if not OF_TENSORS.fullmatch(called):
            raise InputError(
                f"not a torch file that can be read without running code from it: it calls {listed([called])}; "
                "expected plain tensors, numbers, texts, lists and dicts"
            )


def is_tensor(value: Any) -> bool:
    """Return whether it is a tensor."""
    import torch

    return isinstance(value, torch.Tensor)


def as_array(name: str, tensor: Any, path: Path) -> NDArray[Any]:
    """Return a tensor of the file as an array, floats as float64.

    Raises
    ------
    InputError
        If it is no tensor, has no array, or claims more numbers than the file can hold.
    """
    if not is_tensor(tensor):
        raise InputError(f"{name} is {shown(tensor)}; expected a tensor")
    check_numbers(prod(tensor.shape), path)
    try:
        return np.asarray(tensor.double() if tensor.is_floating_point() else tensor)
    except Exception:  # such as a tensor that keeps track of gradients
        raise InputError(
            f"{name} cannot become an array; expected a plain tensor: save tensor.detach().cpu(), dense and whole"
        ) from None
