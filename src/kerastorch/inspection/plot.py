"""plot_model: a picture of a model's graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from kerastorch.callbacks.progress_bar import in_notebook
from kerastorch.core.errors import check_int, mismatch
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import public_name
from kerastorch.core.traceback_filter import public_api
from kerastorch.inspection.module_graph import Graph, Node, graph_of
from kerastorch.inspection.summary_rows import shown, trainable
from kerastorch.runtime.input_specs import resolve_input_specs

SUFFIXES = (".png", ".svg", ".pdf", ".jpg", ".dot")
_DIRECTIONS = ("TB", "BT", "LR", "RL")


@public_api
def plot_model(
    model: nn.Module,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    *,
    input_shape: Any = None,
    input_data: Any = None,
) -> Any:
    """Draw what happens in a call of a model: its layers, and the functions of torch between them.

    It works for any `nn.Module`: the way of the tensors is followed through one call in evaluation mode, on tensors
    without numbers; nothing is computed or changed. Pictures need matplotlib: `pip install matplotlib`.

    Args:
        model: the model or module.
        to_file: where to; its ending chooses PNG, SVG, PDF, JPG, or DOT, the text that graphviz reads.
        show_shapes: of what goes into each layer and of what comes out.
        show_dtype: of what comes out.
        show_layer_names: the names in the model's tree.
        rankdir: where arrows point: `'TB'` down, `'BT'` up, `'LR'` right, `'RL'` left.
        expand_nested: draw the parts of layers, in frames.
        dpi: pixels per inch; fewer where a side would have more than 30000.
        show_layer_activations: of layers that have one.
        show_trainable: whether they learn.
        input_shape: as for `model.summary`.
        input_data: as for `model.summary`.

    Returns:
        The path; in a notebook an image that shows itself.

    Raises:
        ValueError: another ending or direction; inputs that nobody knows, or that the model cannot take.
        ImportError: matplotlib is missing.
    """
    path = Path(to_file)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise mismatch("to_file", str(to_file), f"a file name that ends in {', '.join(SUFFIXES)}")
    if rankdir not in _DIRECTIONS:
        raise mismatch("rankdir", rankdir, f"one of {', '.join(_DIRECTIONS)}")
    if not isinstance(model, nn.Module):
        raise mismatch("model", model, "a torch.nn.Module")
    check_int("dpi", dpi)
    graph = graph_of(model, resolve_input_specs(model, input_shape, input_data), expand=expand_nested)
    labels = [
        _label(node, show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
        for node in graph.nodes
    ]
    if suffix == ".dot":
        path.write_text(dot(graph, labels, rankdir), encoding="utf-8")
        return path
    try:
        from kerastorch.inspection.render import drawn, finest
    except ImportError as error:
        raise ImportError("plot_model draws with matplotlib: pip install matplotlib", name="matplotlib") from error
    figure = drawn(graph, labels, rankdir)
    figure.savefig(path, dpi=finest(figure, dpi))
    return _image(path) if in_notebook() and suffix in (".png", ".jpg", ".svg") else path


def dot(graph: Graph, labels: list[list[str]], rankdir: str) -> str:
    """The graph in the language of graphviz."""
    lines = ["digraph model {", f"  rankdir={rankdir};", "  node [shape=box, style=rounded];"]
    for number, label in enumerate(labels):
        text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in label)
        lines.append(f'  n{number} [label="{text}"];')
    lines += [f"  n{source} -> n{target};" for source, target in graph.edges]
    return "\n".join([*lines, "}", ""])


def _label(node: Node, shapes: bool, dtype: bool, names: bool, activations: bool, learns: bool) -> list[str]:
    lines = [node.kind]
    if names and node.name:
        lines.append(node.name)
    activation = vars(node.module).get("activation") if node.module is not None else None
    if activations and activation is not None:
        lines.append(f"activation: {public_name(activation)}")
    if shapes:
        if node.kind == "Input":
            lines.append(shown(node.made))
        else:
            lines += [f"in: {shown(node.taken)}", f"out: {shown(node.made)}"]
    if dtype and node.dtype:
        lines.append(node.dtype)
    if learns and node.module is not None:
        lines.append(f"trainable: {trainable(modules(node.module))}")
    return lines


def _image(path: Path) -> Any:
    from IPython import display

    kind: Any = display.SVG if path.suffix.lower() == ".svg" else display.Image
    return kind(filename=str(path))
