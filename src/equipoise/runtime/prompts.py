"""Prompts run through a model of transformers that is on this machine."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from equipoise.errors import InputError, check_choice, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_model(name: str, device: str | None = None, dtype: str = "auto") -> tuple[torch.nn.Module, Any]:
    """Return a model, without the head that makes words of what it returns, and its tokenizer.

    Parameters
    ----------
    name : str
        A folder that transformers saved, or the name of a model that was downloaded before. No code in it is run.
    device : str, optional
        As torch calls it; otherwise the first GPU, or the CPU where torch finds none.
    dtype : str
        One of :data:`DTYPES`: the type of its weights; ``"auto"`` is what they were saved in.

    Raises
    ------
    InputError
        If torch or transformers is not installed, the model is not here, or it cannot be loaded.
    """
    check_choice(setting("dtype"), dtype, DTYPES)
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise InputError(
            "recording needs torch and transformers, which are not both installed; pip install 'equipoise[record]'"
        ) from None
    if not sys.stderr.isatty():
        disable_progress_bar()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with _refusing(f"{name} cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, local_files_only=True, trust_remote_code=False)
    with _refusing(f"{setting('device')} is {device!r}"):
        return model.base_model.to(device).eval(), tokenizer


def run_prompts(
    model: torch.nn.Module,
    tokenizer: Any,
    prompts: Sequence[str],
    batch: int,
    most_tokens: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run prompts through a model, in their order; the shorter ones of a batch are padded on the right.

    Parameters
    ----------
    model, tokenizer
        What :func:`load_model` returned.
    prompts : sequence of str
        Their texts.
    batch : int
        Prompts that are run at once.
    most_tokens : int
        Tokens of a prompt; what it has beyond them is cut off.
    progress : callable
        Takes how many prompts are done, and of how many.
    """
    import torch

    device = next(model.parameters()).device
    for start in range(0, len(prompts), batch):
        texts = list(prompts[start : start + batch])
        rows = tokenizer(texts, truncation=True, max_length=most_tokens)["input_ids"]
        rows = [torch.tensor(row, dtype=torch.int64) for row in rows if row]
        if rows:
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            real = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
            with torch.inference_mode():
                model(input_ids=ids.to(device), attention_mask=real.long().to(device), use_cache=False)
        progress(min(start + batch, len(prompts)), len(prompts))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn what transformers and torch raise for a model or a device that they cannot use into a refusal."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, ImportError, AssertionError) as error:
        raise InputError(f"{what}: {str(error).strip().partition(chr(10))[0]}") from None
