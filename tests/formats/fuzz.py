"""Damaged files of every format, for as long as wanted: each is read or refused, soon and in little memory.

From the folder ``tests``: ``python -m formats.fuzz --seconds 60 --seed 0``. A file that does anything else is kept, and
named.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from equipoise import InputError
from equipoise.formats import holds_placement, read_loads, read_placement
from equipoise.formats.registry import LOADS, PLACEMENTS
from tests.formats.mutations import damaged
from tests.formats.samples import DEPLOYMENT, VARIANTS, loads_sample, placement_sample

SECONDS_FOR_A_FILE = 10
FOLDERS = ("passes", "statistics", "ranks")
BYTES_FOR_ALL = 6 * 2**30


def samples(folder: Path) -> dict[str, tuple[Path, bytes]]:
    """Write one file of every format; return the file to damage, of a folder the last, and what it holds."""
    found = {}
    for name in (*LOADS, *VARIANTS, *PLACEMENTS):
        (inside := folder / name).mkdir()
        path = sample(name, inside)
        file = sorted(path.iterdir())[-1] if path.is_dir() else path
        found[name] = (file, file.read_bytes())
    return found


def sample(name: str, folder: Path) -> Path:
    """Write a file, or a folder of files, of this format or of this variant of one."""
    if name in VARIANTS:
        return VARIANTS[name](folder)
    return loads_sample(name, folder) if name in LOADS else placement_sample(name, folder)


def read_anyhow(name: str, file: Path) -> bool:
    """Read the file, by name and by content; return whether it was read, and let nothing but an InputError pass."""
    path = file.parent if file.parent.name in FOLDERS else file
    holds_placement(path)
    name = name.partition(",")[0]
    by_name, by_content = (_is_read(name, path, asked) for asked in (name, None))
    return by_name or by_content


def _is_read(name: str, path: Path, asked: str | None) -> bool:
    try:
        if name in LOADS:
            assert read_loads(path, asked).counts.min() >= 0
        else:
            assert read_placement(path, asked, DEPLOYMENT).logcnt.all()
    except InputError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError(f"{error} does not begin with {path}") from error
        return False
    return True


def main() -> None:
    """Damage and read until the time is up; the first file that fails ends it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_FOR_ALL, BYTES_FOR_ALL))
    files = samples(Path(tempfile.mkdtemp()))
    until, seed, was_read = time.monotonic() + asked.seconds, asked.seed, 0
    while time.monotonic() < until:
        for name, (file, whole) in files.items():
            file.write_bytes(damaged(whole, seed))
            signal.alarm(SECONDS_FOR_A_FILE)
            try:
                was_read += read_anyhow(name, file)
            except BaseException:
                print(f"seed {seed}: {file} is neither read nor refused", file=sys.stderr)
                raise
            signal.alarm(0)
        seed += 1
    print(f"seeds {asked.seed} to {seed - 1} of {len(files)} formats: {was_read} files read, all others refused")


if __name__ == "__main__":
    main()
