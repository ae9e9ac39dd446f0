"""Show `CHANGELOG.md` as a page of the site."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_CHANGELOG = Path(__file__).parent.parent.parent / "CHANGELOG.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "project/changes.md", content=_CHANGELOG.read_text(encoding="utf-8")))
    return files
