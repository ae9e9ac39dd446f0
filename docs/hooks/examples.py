"""Show the scripts of `examples/` on the site, each with its output, pictures and notebook.

The page `examples/index.md` contains the line `<!-- examples -->`, which becomes a table of all of them.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from example_cells import Example, read_example, to_markdown, to_notebook

_FOLDER = Path(__file__).parent.parent.parent / "examples"
_MARK = "<!-- examples -->"


def _examples() -> list[Example]:
    """Read all scripts, sorted by title."""
    return sorted((read_example(path) for path in _FOLDER.glob("*.py")), key=lambda example: example.title)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the examples into the navigation, below their index."""
    pages = [{example.title: f"examples/{example.name}.md"} for example in _examples()]
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Examples" in entry:
            entry["Examples"] = ["examples/index.md", *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page, the script and the notebook of each example, and fill in the table of the index."""
    examples = _examples()
    for example in examples:
        uri = f"examples/{example.name}"
        script = (_FOLDER / f"{example.name}.py").read_text(encoding="utf-8")
        for suffix, content in ((".md", to_markdown(example)), (".py", script), (".ipynb", to_notebook(example))):
            files.append(File.generated(config, uri + suffix, content=content))
    rows = [f"| [{one.title}]({one.name}.md) | {' '.join(one.description.split())} |" for one in examples]
    table = "\n".join(["| example | what it shows |", "|---|---|", *rows])
    index = files.src_uris["examples/index.md"]
    files.remove(index)
    files.append(File.generated(config, index.src_uri, content=index.content_string.replace(_MARK, table)))
    return files
