"""Filled routing inside engines: one file for each, installed where ``EQUIPOISE_ROUTING`` is ``filled``."""
