"""`model_to_dot`: the graph of a model as an object of pydot."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.core.errors import check_int
from kerastorch.core.optional_dependency import require_package
from kerastorch.inspection.plot import labelled_graph, to_dot


def model_to_dot(
    model: nn.Module,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Any:
    """Return the graph of a model as an object of pydot; `plot_model` draws a picture without it.

    Args:
        model: The model or module, whose inputs are known.
        show_shapes: Whether to show input and output shapes.
        show_dtype: Whether to show the dtype of the output.
        show_layer_names: Whether to show the layers' names or paths.
        rankdir: Direction of the arrows: `'TB'` down, `'BT'` up, `'LR'` right, `'RL'` left.
        expand_nested: Whether to show the parts of layers.
        dpi: Pixels per inch of pictures that graphviz draws. Default 200.
        subgraph: Whether the graph becomes a cluster of another one, a `pydot.Cluster`.
        show_layer_activations: Whether to show the activations of layers that have one.
        show_trainable: Whether to show which layers are trainable.

    Raises:
        ValueError: The direction is unknown; the inputs are not known.
        ImportError: pydot is not installed.
    """
    require_package("utils.model_to_dot", "pydot")
    import pydot  # type: ignore[import-not-found]  # optional

    check_int("dpi", dpi)
    graph, labels = labelled_graph(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations,
        show_trainable,
    )  # fmt: skip
    (dot,) = pydot.graph_from_dot_data(to_dot(graph, labels, rankdir))
    if not subgraph:
        dot.set("dpi", dpi)
        return dot
    cluster = pydot.Cluster(graph_name=str(getattr(model, "name", None) or type(model).__name__))
    for part in (*dot.get_nodes(), *dot.get_edges()):
        (cluster.add_node if isinstance(part, pydot.Node) else cluster.add_edge)(part)
    return cluster
