"""Generate the reference of layers, callbacks, losses, metrics and optimizers: an index and a page for each class.

The pages `api/<module>/index.md` hold prose and the line `<!-- index -->`, which becomes one table for each group.
`reference.toml` lists the groups. Every public name of a module belongs to exactly one of them; the build stops if one
is missing. Functions share the page `api/<module>/functions.md`: some file systems do not tell `Add.md` from `add.md`.
"""

from __future__ import annotations

import importlib
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_MARK = "<!-- index -->"
_OPERATIONS = "<!-- operations -->"  # in api/ops.md
_ROOMS = {
    "NumPy": "ops.numpy",
    "Networks": "ops.nn",
    "Linear algebra": "ops.linalg",
    "Special functions and segments": "ops.math",
    "Fourier transforms": "ops.signal",
    "Tensors and control flow": "ops.core",
    "Axes by name": "ops.axes_pattern",
    "Images": "ops.image",
    "Random numbers": "random",
}
_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_GROUPS: dict[str, dict[str, list[str]]] = {
    module: {title: names.split() for title, names in groups.items()} for module, groups in _TABLES["groups"].items()
}
_MEMBERS: dict[str, list[str]] = {owner: names.split() for owner, names in _TABLES["members"].items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the classes under those of their modules in the navigation."""
    indexes = {f"api/{module}/index.md": module for module in _GROUPS}

    def expand(entry: Any) -> Any:
        if isinstance(entry, list):
            return [expand(part) for part in entry]
        if isinstance(entry, dict):
            return {title: expand(part) for title, part in entry.items()}
        if entry not in indexes:
            return entry
        module = indexes[entry]
        listed = [name for names in _GROUPS[module].values() for name in names]
        functions = [{"Functions": f"api/{module}/functions.md"}] if any(map(str.islower, listed)) else []
        return [entry, *({name: f"api/{module}/{name}.md"} for name in listed if not name.islower()), *functions]

    config.nav = expand(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and fill in the tables of the indexes."""
    for module, groups in _GROUPS.items():
        public, aliases = _public_names(module)
        listed = [name for names in groups.values() for name in names]
        if sorted(listed) != sorted(public):
            missing, unknown = sorted(set(public) - set(listed)), sorted(set(listed) - set(public))
            raise PluginError(f"reference.toml, {module}: not listed: {missing}; not public: {unknown}")
        uri = f"api/{module}/index.md"
        text = files.src_uris[uri].content_string
        if text.count(_MARK) != 1:
            raise PluginError(f"{uri} must contain {_MARK} once")
        files.remove(files.src_uris[uri])
        tables = "\n\n".join(_table(module, title, names, aliases) for title, names in groups.items())
        files.append(File.generated(config, uri, content=text.replace(_MARK, tables)))
        pages = {name: _page(module, name, aliases.get(name, [])) for name in listed if not name.islower()}
        functions = [name for name in listed if name.islower()]
        if functions:
            pages["functions"] = _functions_page(module, functions)
        for name, content in pages.items():
            files.append(File.generated(config, f"api/{module}/{name}.md", content=content))
    operations = files.src_uris.get("api/ops.md")
    if operations is not None:
        files.remove(operations)
        content = operations.content_string.replace(_OPERATIONS, operations_tables())
        files.append(File.generated(config, "api/ops.md", content=content))
    return files


def operations_tables() -> str:
    """Return a table of the operations of each group, with their arguments."""
    tables = []
    for title, room in _ROOMS.items():
        module = importlib.import_module(f"kerastorch.{room}")
        lines = [f"## {title}", "", "| function | summary |", "|---|---|"]
        for name in sorted(module.__all__):
            found = getattr(module, name)
            parameters = inspect.signature(found).parameters.values()
            plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
            arguments = str(inspect.Signature(plain)).replace("|", "\\|")
            lines.append(f"| `{name}{arguments}` | {_summary(found).replace('|', chr(92) + '|')} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _public_names(module: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the public names of a module, and for those that have other names, these."""
    room = importlib.import_module(f"kerastorch.{module}")
    public: list[str] = []
    aliases: dict[str, list[str]] = {}
    for name in dir(room):
        own_name = getattr(getattr(room, name), "__name__", None)
        if own_name is None or inspect.ismodule(getattr(room, name)):
            continue  # a constant, which the prose of the index explains, or a module, which has an index of its own
        if own_name != name and getattr(room, own_name, None) is getattr(room, name):
            aliases.setdefault(own_name, []).append(name)
        else:
            public.append(name)
    return public, aliases


def _table(module: str, title: str, names: list[str], aliases: dict[str, list[str]]) -> str:
    """Return a heading and a table with one line for each name."""
    room = importlib.import_module(f"kerastorch.{module}")
    lines = [f"## {title}", "", "| name | summary |", "|---|---|"]
    for name in names:
        also = "".join(f", `{alias}`" for alias in aliases.get(name, []))
        target = f"functions.md#kerastorch.{module}.{name}" if name.islower() else f"{name}.md"
        lines.append(f"| [`{name}`]({target}){also} | {_summary(getattr(room, name))} |")
    return "\n".join(lines)


def _summary(member: Any) -> str:
    """Return the first sentence of a docstring, for a cell of a table."""
    return (inspect.getdoc(member) or "").split("\n\n")[0].replace("\n", " ")


def _page(module: str, name: str, aliases: list[str]) -> str:
    """Return the Markdown of the page of a class."""
    room = importlib.import_module(f"kerastorch.{module}")
    member = getattr(room, name)
    options = ["heading_level: 1"]
    if inspect.isclass(member):
        shown = ", ".join(_members(module, name, member))
        options += [f"members: [{shown}]", "inherited_members: true"] if shown else ["members: false"]
    also = f"\nOther names: {', '.join(f'`{alias}`' for alias in aliases)}\n" if aliases else ""
    lines = "\n".join(f"      {option}" for option in options)
    return f"---\ntitle: {name}\n---\n\n::: kerastorch.{module}.{name}\n    options:\n{lines}\n{also}"


def _functions_page(module: str, names: list[str]) -> str:
    """Return the Markdown of the page of all functions of a module."""
    parts = [f"# Functions of kerastorch.{module}", *(f"::: kerastorch.{module}.{name}" for name in names)]
    return "\n\n".join(parts) + "\n"


def _members(module: str, name: str, member: type) -> Iterator[str]:
    """Yield the methods and attributes that the page of a class shows."""
    shown = _MEMBERS.get(f"{module}.{name}", _MEMBERS[module])
    return (attribute for attribute in shown if hasattr(member, attribute))
