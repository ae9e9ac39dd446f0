"""Replace the imports of Keras in the source of a script; every other character and every line stay where they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

DOOR = "kerastorch.keras"
TF_NAME = "_keras_of_tensorflow"  # stands for `tf.keras`
_PACKAGES = ("keras", "keras_core", "tf_keras")  # packages whose modules have the paths of Keras
_TENSORFLOW = "tensorflow"


class _Edit(NamedTuple):
    """Text for the place of a node; lines and columns (in bytes) are those of the source."""

    node: ast.stmt | ast.Attribute
    text: str


def replace_imports(source: str) -> tuple[str, int]:
    """Return a script that imports `kerastorch.keras` in place of Keras, and how many imports were replaced.

    Args:
        source: Source of a script or of a cell.

    Raises:
        SyntaxError: Python cannot read the source.

    >>> replace_imports("from tensorflow.keras.layers import Dense")
    ('from kerastorch.keras.layers import Dense', 1)
    """
    tree = ast.parse(source)
    edits = [*_edits(tree)]
    return _apply(source, edits), sum(isinstance(edit.node, ast.stmt) for edit in edits)


def _edits(tree: ast.Module) -> Iterator[_Edit]:
    nodes = [*ast.walk(tree)]
    aliases = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == _TENSORFLOW or (alias.name.startswith(f"{_TENSORFLOW}.") and alias.asname is None)
    }
    names = {_TENSORFLOW if name.startswith(f"{_TENSORFLOW}.") else name for name in aliases}
    through = [node for node in nodes if _is_tf_keras(node, names)]
    owners = {id(node.value) for node in through if isinstance(node, ast.Attribute)}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in owners}
    for node in nodes:
        if isinstance(node, ast.Import):
            text = "; ".join(part for alias in node.names for part in _import(alias, through != [], used))
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            text = "; ".join(_import_from(node))
        elif isinstance(node, ast.Attribute) and _is_tf_keras(node, names):
            yield _Edit(node, TF_NAME)
            continue
        else:
            continue
        aliases_alone = node.names if isinstance(node, ast.Import) else []
        if text != ("; ".join(ast.unparse(ast.Import([alias])) for alias in aliases_alone) or ast.unparse(node)):
            yield _Edit(node, text)


def _is_tf_keras(node: ast.AST, names: set[str]) -> bool:
    """Return whether a node is `tf.keras` for an import of TensorFlow under one of these names."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "keras"
        and isinstance(node.value, ast.Name)
        and node.value.id in names
    )


def _import(alias: ast.alias, has_tf_keras: bool, used: set[str]) -> Iterator[str]:
    """Yield the statements for one name of an `import`."""
    path = _door_path(alias.name)
    bound = alias.asname or alias.name.partition(".")[0]
    if path is None:
        if alias.name != _TENSORFLOW or not has_tf_keras:
            yield f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            return
        yield f"import {DOOR} as {TF_NAME}"
        if bound in used:  # for more than `tf.keras`
            yield f"import {alias.name} as {bound}"
    elif alias.asname is not None:
        yield f"import {path} as {alias.asname}"
    else:
        if path != DOOR:
            yield f"import {path}"  # reads the module; the name is that of the package
        yield f"import {DOOR} as {TF_NAME if bound == _TENSORFLOW else bound}"


def _import_from(node: ast.ImportFrom) -> Iterator[str]:
    """Yield the statements for a `from ... import`."""
    module = node.module or ""
    path = _door_path(module)
    if path is not None:
        yield ast.unparse(ast.ImportFrom(path, node.names, 0))
        return
    keras = [alias for alias in node.names if module == _TENSORFLOW and alias.name == "keras"]
    others = [alias for alias in node.names if alias not in keras]
    for alias in keras:
        yield f"import {DOOR} as {alias.asname or 'keras'}"
    if others:
        yield ast.unparse(ast.ImportFrom(module, others, 0))


def _door_path(module: str) -> str | None:
    """Return the path in `kerastorch.keras` of a module of Keras; `None` for other modules."""
    if module.startswith(f"{_TENSORFLOW}."):
        module = module.removeprefix(f"{_TENSORFLOW}.").removeprefix("python.")
    package, _, rest = module.partition(".")
    if package not in _PACKAGES:
        return None
    return f"{DOOR}.{rest}" if rest else DOOR


def _apply(source: str, edits: list[_Edit]) -> str:
    """Return the source with edits; a statement of several lines leaves empty lines behind."""
    lines = [line.encode() for line in source.split("\n")]  # columns of `ast` count bytes
    for node, text in sorted(edits, key=lambda edit: (edit.node.lineno, edit.node.col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        after = lines[last][node.end_col_offset :]
        lines[first] = lines[first][: node.col_offset] + text.encode()
        lines[first + 1 : last + 1] = [b""] * (last - first)
        if after.lstrip().startswith(b";"):
            lines[first] += after  # another statement on the last line
        else:
            lines[last] += after
    return b"\n".join(lines).decode()
