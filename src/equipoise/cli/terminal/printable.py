"""Text that a terminal shows and does not obey: a file may have any name, and a label any letters."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return the text with what is not printed, such as an escape sequence of a terminal, spelled out.

    Examples
    --------
    >>> printable("Zürich 1\n2"), printable("\x1b[31mred.npz")
    ('Zürich 1\n2', '\\x1b[31mred.npz')
    """
    return "".join(map(_spelled, text))


def _spelled(letter: str) -> str:
    if letter.isprintable() or letter == "\n":
        return letter
    return letter.encode("unicode_escape", "backslashreplace").decode()
