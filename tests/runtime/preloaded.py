"""What ranks need and what takes long to import: done once, by the server that they are forked from."""

from contextlib import suppress

import equipoise.runtime.expert_parallel  # noqa: F401

with suppress(ImportError):
    from transformers import (  # noqa: F401
        DeepseekV3ForCausalLM,
        GptOssForCausalLM,
        MixtralForCausalLM,
        Qwen3MoeForCausalLM,
    )
