"""The one error that Equipoise raises for input it cannot use."""


class InputError(ValueError):
    """Input that cannot be used: what was wrong, where, what was expected and how to mend it."""
