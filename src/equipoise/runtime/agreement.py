"""Whether all ranks are about to do the same: one small exchange of bytes, and one answer for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from equipoise.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

MESSAGE = 480  # bytes of what a rank says is wrong
DIGEST = 32  # bytes, of SHA-256


def agree(digest: bytes, wrong: str | None, group: ProcessGroup | None, device: torch.device) -> None:
    """Raise on all ranks alike if one of them says that something is wrong, or has another digest.

    Parameters
    ----------
    digest : bytes
        Of all that must be the same, 32 bytes.
    wrong : str or None
        What this rank found to be wrong.
    group : ProcessGroup or None
        The ranks; None for all.
    device : torch.device
        Where the group's tensors are.

    Raises
    ------
    InputError
        The same on all ranks: what the lowest of them said, or whose digests differ.
    """
    said = digest.ljust(DIGEST, b"\0") + (wrong or "").encode()[:MESSAGE].ljust(MESSAGE, b"\0")
    own = torch.frombuffer(bytearray(said), dtype=torch.uint8).to(device)
    every = torch.empty((dist.get_world_size(group), DIGEST + MESSAGE), dtype=torch.uint8, device=device)
    dist.all_gather(list(every), own, group=group)
    answers = [bytes(one.tolist()) for one in every.cpu()]
    messages = [answer[DIGEST:].rstrip(b"\0").decode(errors="ignore") for answer in answers]
    for rank, message in enumerate(messages):
        if message:
            raise InputError(f"rank {rank}: {message}; no weight was moved on any rank")
    other = [rank for rank, answer in enumerate(answers) if answer[:DIGEST] != answers[0][:DIGEST]]
    if other:
        raise InputError(
            f"ranks {', '.join(map(str, other))} would move other experts than rank 0, or tensors of other shapes; "
            "expected the same placements, tensors and settings everywhere; no weight was moved on any rank"
        )


def all_did(succeeded: bool, group: ProcessGroup | None, device: torch.device) -> bool:
    """Return whether all ranks did what they were to do."""
    answer = torch.tensor([int(succeeded)], device=device)
    dist.all_reduce(answer, dist.ReduceOp.MIN, group=group)
    return bool(answer.item())
