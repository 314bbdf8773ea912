"""The compiled loops against plain Python: what they share is in ``compiled`` and ``pools``."""
