"""A page of the site for each notebook in docs/tutorials, as it is stored (an MkDocs hook).

Cells become Markdown, code and its output code blocks, figures files, so that these pages look
like all others and load nothing. Links between notebooks lead to their pages.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: Any) -> Files:
    for file in files.media_files():
        path = PurePosixPath(file.src_uri)
        if path.suffix == ".ipynb":
            notebook = nbformat.reads(file.content_string, as_version=4)
            text, figures = markdown(notebook, path.stem)
            text = f"{text}\n\n[This page as a notebook]({path.name})\n"
            for name, content in {f"{path.stem}.md": text, **figures}.items():
                uri = str(path.with_name(name))
                files.append(File.generated(config, uri, content=content))
    return files


def markdown(notebook: nbformat.NotebookNode, stem: str) -> tuple[str, dict[str, bytes]]:
    """The notebook as Markdown, and its figures by file name."""
    parts: list[str] = []
    figures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for kind, value in _outputs(cell):
            if kind == "image/png":
                name = f"{stem}_{len(figures)}.png"
                figures[name] = base64.b64decode(value)
                parts.append(f"![output of the cell above]({name})")
            else:
                parts.append(f"``` {{.text .output}}\n{value.rstrip()}\n```")
    return "\n\n".join(parts), figures


def _outputs(cell: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """Type and content of what a cell printed or showed."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield "text/plain", output.text
        else:
            kind = "image/png" if "image/png" in output.data else "text/plain"
            yield kind, output.data[kind]
