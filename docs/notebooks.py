"""Notebooks as pages of the site: text as it is, code and what it printed in fences, and pictures."""

import json
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


class Notebook(File):
    """A Jupyter notebook that MkDocs reads as Markdown."""

    def is_documentation_page(self) -> bool:
        """Return that it is a page, not a file to copy."""
        return True

    @property
    def content_string(self) -> str:
        """The notebook as Markdown."""
        return "\n\n".join(block for cell in json.loads(super().content_string)["cells"] for block in _blocks(cell))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make pages of the notebooks; MkDocs calls this."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
            files.append(Notebook(file.src_uri, config.docs_dir, config.site_dir, config.use_directory_urls))
    return files


def _blocks(cell: dict[str, Any]) -> list[str]:
    """Return the blocks of Markdown that stand for a cell."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [f"```python\n{source}\n```", *map(_output, cell["outputs"])]


def _output(output: dict[str, Any]) -> str:
    """Return what a cell printed or drew."""
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text'])}```"
    return f"![What this draws](data:image/png;base64,{output['data']['image/png'].strip()})"
