"""A hook of MkDocs: what the pages link to outside of ``docs/`` joins the site, and
roles in docstrings become code.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Pages that GitHub looks for at the root.
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PICTURES = "sweeps/*/*.png"
ROLE = re.compile(
    r":(?:class|func|meth|exc|attr|data|mod):<code>~?(?:[\w.]*\.)?(\w+)</code>"
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the root, and the pictures of the sweeps."""
    for path in [*(ROOT / name for name in BESIDE), *ROOT.glob(PICTURES)]:
        name = str(path.relative_to(ROOT))
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have links say where a page is on the site, where the root and ``docs/`` are one
    folder.
    """
    if page.file.src_uri in BESIDE:
        return markdown.replace("](docs/", "](")
    depth = page.file.src_uri.count("/")
    outside = "../" * (depth + 1)
    return re.sub(rf"\]\({re.escape(outside)}(?=\w)", f"]({'../' * depth}", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show a docstring's reference to ``paretune.errors.Raced``, a role of Sphinx, as
    ``Raced`` alone.
    """
    return ROLE.sub(r"<code>\1</code>", html)
