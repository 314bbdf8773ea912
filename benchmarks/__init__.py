"""Equipoise beside vLLM's and SGLang's own planners: ``python -m benchmarks --help``."""
