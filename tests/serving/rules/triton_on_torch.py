"""As much of Triton as vLLM's kernel of routing uses, run by torch on the CPU, program by program."""

from __future__ import annotations

from inspect import signature
from itertools import product
from types import SimpleNamespace

import torch


class Pointer:
    """A tensor's memory from an offset on, or from one offset for each element."""

    def __init__(self, memory, offset=0):
        self.memory, self.offset = memory, offset

    def __add__(self, offset):
        return Pointer(self.memory, self.offset + offset)


class Kernel:
    """What ``triton.jit`` makes of a function: called with a grid, it runs once for each program in it."""

    def __init__(self, function):
        self.function = function

    def __getitem__(self, grid):
        def run(*arguments, **constants):
            bound = signature(self.function).bind(*arguments, **constants)
            pointers = {
                name: Pointer(value.view(-1)) if isinstance(value, torch.Tensor) else value
                for name, value in bound.arguments.items()
            }
            for tl.program in product(*map(range, grid(constants))):
                self.function(**pointers)

        return run


def load(pointer, mask=None, other=0):
    index = torch.as_tensor(pointer.offset)
    mask = torch.ones_like(index, dtype=torch.bool) if mask is None else mask
    return torch.where(mask, pointer.memory[torch.where(mask, index, 0).long()], other)


def store(pointer, value, mask):
    pointer.memory[pointer.offset[mask].long()] = value[mask].to(pointer.memory.dtype)


def atomic_add(pointer, value, mask):
    ones = torch.full_like(pointer.offset[mask], value).to(pointer.memory.dtype)
    pointer.memory.index_add_(0, pointer.offset[mask].long(), ones)


tl = SimpleNamespace(
    program=(0,),
    program_id=lambda axis: tl.program[axis],
    arange=torch.arange,
    where=torch.where,
    maximum=lambda tensor, least: tensor.clamp(min=least),
    load=load,
    store=store,
    atomic_add=atomic_add,
    int64=torch.int64,
    constexpr=int,
)
triton = SimpleNamespace(jit=Kernel, cdiv=lambda a, b: -(-a // b))
