"""Damage to files: the same for the same seed."""

from __future__ import annotations

import random
import string

TOKENS = [
    b"NaN",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"null",
    b"true",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b",",
    b"\n",
    b"\0",
]
TOKENS += [
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"PK\x03\x04",
    b"\x80\x02",
    b"&a ",
    b"*a",
    b"!!python/name:os.system ",
    b"0_0",
]


def damaged(content: bytes, seed: int) -> bytes:
    """Return the content with one to five changes: bytes, bits, blocks, tokens, numbers, or its end."""
    rng = random.Random(seed)
    changed = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        rng.choice(CHANGES)(changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: random.Random) -> int:
    """Return a place, more often near the beginning, where formats say what they are."""
    return min(rng.randrange(len(content) + 1), rng.randrange(len(content) + 1))


def _flip_a_bit(content, rng):
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set_bytes(content, rng):
    start = _place(content, rng)
    content[start : start + rng.choice((1, 2, 4, 8))] = rng.randbytes(rng.choice((1, 2, 4, 8)))


def _insert_a_token(content, rng):
    start = _place(content, rng)
    content[start:start] = rng.choice(TOKENS)


def _remove_a_block(content, rng):
    start = _place(content, rng)
    del content[start : start + rng.randrange(1, 64)]


def _repeat_a_block(content, rng):
    start = _place(content, rng)
    block = content[start : start + rng.randrange(1, 64)]
    content[start:start] = block * rng.choice((1, 2, 50))


def _truncate(content, rng):
    del content[rng.randrange(len(content) + 1) :]


def _change_a_number(content, rng):
    digits = [place for place, byte in enumerate(content) if chr(byte) in string.digits]
    if digits:
        place = rng.choice(digits)
        content[place : place + 1] = rng.choice([b"0", b"7", b"-3", b"4294967295", b"1e9", b"1.5", b"9" * 30])


CHANGES = (_flip_a_bit, _set_bytes, _insert_a_token, _remove_a_block, _repeat_a_block, _truncate, _change_a_number)
