"""What README.md and docs/ show: their code blocks, the commands in these, and their tables."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
FENCED = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block; one with a title shows a file of that name."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in their order."""
    return [Block(*parts) for parts in FENCED.findall(page.read_text(encoding="utf-8"))]


def tables(page: Path) -> list[list[list[str]]]:
    """Return the cells of each row of each table of a page; the first row is the head, the second its alignment."""
    found = TABLE.findall(page.read_text(encoding="utf-8"))
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()] for table in found]


def commands(text: str) -> list[list[str]]:
    """Return the commands of a shell block, each as its words."""
    lines = text.replace("\\\n", " ").replace(" && ", "\n").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def shown(start: str) -> list[tuple[Path, list[str]]]:
    """Return every command that starts so, with its page, as its further words."""
    first = start.split()
    return [
        (page, words[len(first) :])
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for words in commands(block.text)
        if words[: len(first)] == first
    ]
