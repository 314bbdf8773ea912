"""Small files that stand for more than they should: for each, its format, how it is refused, and how it is made."""

from __future__ import annotations

import io
import json
import pickle
import struct
from typing import NamedTuple
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import numpy as np

from tests.formats.samples import physical_counts

MANY = 10**9
ALIKE = 100_000_000
"""Zeros of a byte: 98 KB deflated, and 763 MiB of float64."""


class Bomb(NamedTuple):
    """The format, what the refusal says, and what makes the file at a path."""

    name: str
    message: str
    make: object


def holding(content):
    return lambda path: path.write_bytes(content)


def header(descr, shape):
    """Return the beginning of an ``.npy`` file."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": descr, "fortran_order": False, "shape": shape})
    return content.getvalue()


LONG_HEADER = b"\x93NUMPY\x02\x00" + struct.pack("<I", MANY)


def member(*parts, method=ZIP_DEFLATED):
    """Write an ``.npz`` whose ``counts`` is these very bytes."""

    def make(path):
        with ZipFile(path, "w", method) as archive, archive.open("counts.npy", "w") as file:
            for part in parts:
                file.write(part)

    return make


def equal_counts(path):
    np.savez_compressed(path, counts=np.zeros(ALIKE, np.int8))


def wide_map(path):
    np.savez_compressed(
        path, expert_load_window=physical_counts(), physical_to_logical_map=np.zeros((1, ALIKE), np.int8)
    )


def called(module, name):
    """Return a pickle's call with a large number."""
    return f"c{module}\n{name}\n(".encode() + pickle.dumps(MANY, 2)[2:-1] + b"tR"


def torch_archive(key, value):
    """Write a torch file with a dict that holds what this pickle stands for."""
    pickled = b"\x80\x02}X" + struct.pack("<I", len(key)) + key.encode() + value + b"s."

    def make(path):
        with ZipFile(path, "w") as archive:
            archive.writestr("dump/data.pkl", pickled)
            archive.writestr("dump/byteorder", "little")
            archive.writestr("dump/version", "3\n")

    return make


def overlapping_storages(path):
    """Write a torch file with zeros that its directory names 64 times."""
    torch_archive("logical_count", b"N")(path)
    with ZipFile(path, "a", ZIP_DEFLATED) as archive:
        archive.writestr("dump/data/0", bytes(2**24))
        archive.filelist += 63 * [archive.filelist[-1]]


def recordings(dump, ranks):
    """Write a folder with what each rank recorded."""

    def make(path):
        import torch

        path.mkdir()
        for rank in range(ranks):
            torch.save(dump(torch, rank), path / f"recorder_{rank}.pt")

    return make


def record(number, rank, counts, **more):
    return {"forward_pass_id": number, "rank": rank, "global_physical_count": counts, **more}


def of_three_axes(torch, rank):
    counts = torch.ones(1, dtype=torch.int32).expand(2**20, 1, 2)
    return {
        "records": [record(number, rank, counts) for number in range(100)],
        "last_physical_to_logical_map": torch.tensor([[0, 1]]),
    }


def of_one_row(torch, rank):
    row = torch.arange(2**11, dtype=torch.int16).expand(2**10, 2**11)
    return {"records": [record(rank, rank, row)], "last_physical_to_logical_map": row}


def of_nested_words(torch, rank):
    words = ["a"]
    for _ in range(25):
        words = [words, words]
    return {
        "records": [record(0, rank, torch.tensor([[1, 1]]), gatherer_key=words)],
        "last_physical_to_logical_map": torch.tensor([[0, 1]]),
    }


def varint(number, length):
    return bytes(number >> 7 * place & 127 | (128 if place < length - 1 else 0) for place in range(length))


def equal_rows(path):
    """Write a table whose directory says that it has a row in all, and its row groups that they have 40 million."""
    import pyarrow
    import pyarrow.parquet

    rows = 40_000_000
    zeros = pyarrow.array(np.zeros(rows, np.int8))
    table = pyarrow.table(dict.fromkeys(("window", "layer", "expert", "load"), zeros))
    pyarrow.parquet.write_table(table, path, compression="zstd", row_group_size=rows // 2)
    pages, found, rest = path.read_bytes().rpartition(varint(2 * rows, 4))
    assert found
    path.write_bytes(pages + varint(2, 4) + rest)


def many_columns(path):
    """Write a Parquet file whose directory begins a list of 900,000 columns."""
    directory = b"\x15\x02\x19\xfc" + varint(900_000, 3) + bytes(40)
    path.write_bytes(b"PAR1" + directory + struct.pack("<I", len(directory)) + b"PAR1")


def long_text(path):
    path.write_text(json.dumps([["x" * 30_000] + 5_000 * [""]]))


STANDS_FOR = r"stands for {} numbers in \d+ bytes; expected at most \d+ in such a file"
BYTEARRAY = called("builtins", "bytearray")
BOMBS = {
    "npy, shape": Bomb("numpy", STANDS_FOR.format(MANY), holding(header("<f8", (MANY,)))),
    "npy, shape that overflows": Bomb("numpy", STANDS_FOR.format(2**64), holding(header("<i8", (2**32, 2**32)))),
    "npy, texts": Bomb("numpy", STANDS_FOR.format(MANY // 2), holding(header(f"<U{MANY // 10}", (10,)))),
    "npy, records": Bomb("numpy", STANDS_FOR.format(MANY // 8), holding(header([("a", "<i1", (MANY,))], (1,)))),
    "npy, header": Bomb("numpy", "not a readable NumPy array: damaged", holding(LONG_HEADER)),
    "npz, shape": Bomb("numpy", STANDS_FOR.format(MANY), member(header("<f8", (MANY,)))),
    "npz, equal bytes": Bomb("numpy", STANDS_FOR.format(ALIKE), equal_counts),
    "npz, header": Bomb("numpy", r"not a readable \.npz archive: damaged", member(LONG_HEADER, *600 * [b" " * 2**19])),
    "npz, bzip2": Bomb(
        "numpy",
        r"'counts\.npy' is packed by method 12; expected it stored \(0\) or deflated \(8\)",
        member(header("<i8", (400 * 2**16,)), *400 * [bytes(2**19)], method=ZIP_BZIP2),
    ),
    "vllm-window, map": Bomb("vllm-window", STANDS_FOR.format(ALIKE), wide_map),
    "torch, bytes": Bomb("sglang-dump", r"calls builtins\.bytearray", torch_archive("logical_count", BYTEARRAY)),
    "torch, bytes in a map": Bomb(
        "sglang", r"calls builtins\.bytearray", torch_archive("physical_to_logical_map", BYTEARRAY)
    ),
    "torch, tensor": Bomb(
        "sglang-dump",
        r"calls torch\.Tensor; expected plain tensors, numbers, texts, lists and dicts",
        torch_archive("logical_count", called("torch", "Tensor")),
    ),
    "torch, storages": Bomb("sglang-dump", STANDS_FOR.format(r"\d{9}"), overlapping_storages),
    "passes, axes": Bomb(
        "sglang-passes", r"has shape \[1048576, 1, 2\]; expected \[layers, slots\]", recordings(of_three_axes, 1)
    ),
    "passes, ranks": Bomb("sglang-passes", STANDS_FOR.format(r"\d{8}"), recordings(of_one_row, 16)),
    "passes, words": Bomb("sglang-passes", "gatherer_key is .*; expected a text", recordings(of_nested_words, 1)),
    "parquet, rows": Bomb("parquet", STANDS_FOR.format(160_000_000), equal_rows),
    "parquet, columns": Bomb("parquet", "not a readable Parquet file", many_columns),
    "json, text": Bomb("json", "layer 0, expert 0 is the text '.*'; expected a number", long_text),
    "omni-infer, header": Bomb("omni-infer", "not a readable NumPy array: damaged", holding(LONG_HEADER)),
    "omni-infer, shape": Bomb("omni-infer", STANDS_FOR.format(MANY // 8), holding(header("|i1", (10**3,) * 3))),
}
