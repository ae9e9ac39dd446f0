"""`plot_model`: draw the graph of a model to a file."""

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
from kerastorch.inspection.summary_rows import format_shapes, format_trainable
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
    """Draw the graph of a model: its layers, and the functions of torch between them.

    Any `nn.Module` can be drawn. The tensors are followed through one call in evaluation mode on fake tensors, which
    have shapes but no values: nothing is computed or changed. Pictures need matplotlib: `pip install matplotlib`.

    Args:
        model: The model or module.
        to_file: Path of the file, whose suffix chooses PNG, SVG, PDF, JPG, or DOT, the text format of graphviz.
        show_shapes: Whether to show input and output shapes.
        show_dtype: Whether to show the dtype of the output.
        show_layer_names: Whether to show the layers' names or paths.
        rankdir: Direction of the arrows: `'TB'` down, `'BT'` up, `'LR'` right, `'RL'` left.
        expand_nested: Whether to draw the parts of layers, in frames.
        dpi: Pixels per inch; lowered for a picture with a side of more than 30000 pixels.
        show_layer_activations: Whether to show the activations of layers that have one.
        show_trainable: Whether to show which layers are trainable.
        input_shape: Shape of the input, as in `model.summary`.
        input_data: A batch of arrays, as in `model.summary`.

    Returns:
        The path; in a notebook an image, which is displayed.

    Raises:
        ValueError: The suffix or direction is unknown; the inputs are not known, or the model cannot take them.
        ImportError: Matplotlib is missing.
    """
    path = Path(to_file)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise mismatch("to_file", str(to_file), f"a file name that ends in {', '.join(SUFFIXES)}")
    check_int("dpi", dpi)
    graph, labels = labelled_graph(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations,
        show_trainable, input_shape, input_data,
    )  # fmt: skip
    if suffix == ".dot":
        path.write_text(to_dot(graph, labels, rankdir), encoding="utf-8")
        return path
    try:
        from kerastorch.inspection.render import draw, limit_dpi
    except ImportError as error:
        raise ImportError("plot_model draws with matplotlib: pip install matplotlib", name="matplotlib") from error
    figure = draw(graph, labels, rankdir)
    figure.savefig(path, dpi=limit_dpi(figure, dpi))
    return _image(path) if in_notebook() and suffix in (".png", ".jpg", ".svg") else path


def labelled_graph(
    model: nn.Module,
    show_shapes: bool,
    show_dtype: bool,
    show_layer_names: bool,
    rankdir: str,
    expand_nested: bool,
    show_layer_activations: bool,
    show_trainable: bool,
    input_shape: Any = None,
    input_data: Any = None,
) -> tuple[Graph, list[list[str]]]:
    """Return the graph of a model, and the lines of text in the box of each node; the arguments are `plot_model`'s.

    Raises:
        ValueError: The direction is unknown, or the inputs are.
    """
    if rankdir not in _DIRECTIONS:
        raise mismatch("rankdir", rankdir, f"one of {', '.join(_DIRECTIONS)}")
    if not isinstance(model, nn.Module):
        raise mismatch("model", model, "a torch.nn.Module")
    graph = graph_of(model, resolve_input_specs(model, input_shape, input_data), expand=expand_nested)
    return graph, [
        _label(node, show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
        for node in graph.nodes
    ]


def to_dot(graph: Graph, labels: list[list[str]], rankdir: str) -> str:
    """Return the graph in the DOT language of graphviz."""
    lines = ["digraph model {", f"  rankdir={rankdir};", "  node [shape=box, style=rounded];"]
    for number, label in enumerate(labels):
        text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in label)
        lines.append(f'  n{number} [label="{text}"];')
    lines += [f"  n{source} -> n{target};" for source, target in graph.edges]
    return "\n".join([*lines, "}", ""])


def _label(node: Node, shapes: bool, dtype: bool, names: bool, activations: bool, trainable: bool) -> list[str]:
    """Return the lines of text in a box."""
    lines = [node.kind]
    if names and node.name:
        lines.append(node.name)
    activation = vars(node.module).get("activation") if node.module is not None else None
    if activations and activation is not None:
        lines.append(f"activation: {public_name(activation)}")
    if shapes:
        if node.kind == "Input":
            lines.append(format_shapes(node.output_shapes))
        else:
            lines += [f"in: {format_shapes(node.input_shapes)}", f"out: {format_shapes(node.output_shapes)}"]
    if dtype and node.dtype:
        lines.append(node.dtype)
    if trainable and node.module is not None:
        lines.append(f"trainable: {format_trainable(modules(node.module))}")
    return lines


def _image(path: Path) -> Any:
    """Return a picture as an object that notebooks display."""
    from IPython import display

    kind: Any = display.SVG if path.suffix.lower() == ".svg" else display.Image
    return kind(filename=str(path))
