"""Equipoise decides where the experts of a Mixture-of-Experts model live on a GPU cluster.

What there is, is listed in ``__init__.pyi``; each is imported when it is first used.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
