"""Pages of the site that lie outside docs/, and the links from and to them (an MkDocs hook).

Links are written for the repository, where they also work on a code host. On the site a link to
a file that is a page becomes a link to that page.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]

# Page of the site -> file of the repository.
PAGES = {
    "format.md": "keras_sparsebnn/converters/FORMAT.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}

# Of a Markdown link to a file: [1] its path, [2] the anchor in it.
_LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for page, source in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    here = page.file.src_uri
    source = PAGES.get(here, f"docs/{here}")
    pages = {file: name for name, file in PAGES.items()}

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        name = pages.get(target, posixpath.relpath(target, "docs"))
        if name.endswith(".ipynb") and not here.startswith("tutorials/"):
            name = f"{name.removesuffix('.ipynb')}.md"
        relative = posixpath.relpath(name, posixpath.dirname(here) or ".")
        return f"]({relative}{link[2] or ''})"

    return _LINK.sub(rewritten, markdown)
