"""`clone_model`: a model with the same architecture, and new weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import fx, nn

from kerastorch.core.auto_names import copy_auto_name
from kerastorch.core.name_lookup import own_name
from kerastorch.core.serialization import decode, encode, use_codec
from kerastorch.core.torch_private import pytree
from kerastorch.functional.graph_builder import Constant
from kerastorch.keras.door import use_calls_of
from kerastorch.layers.input_layer import InputLayer
from kerastorch.model import Model
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.registry import known_objects
from kerastorch.saving.serializer import Writer
from kerastorch.sequential import Sequential
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_call import use_keras_calls
from kerastorch.symbolic.symbolic_tensor import call

T = TypeVar("T", bound=Model)
LayerFunction = Callable[[nn.Module], nn.Module]


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: LayerFunction | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Model:
    """Return a model with the same architecture as another, and new weights.

    Args:
        model: A functional model, a `Sequential`, or, without the other arguments, a model of your own class with
            `get_config`.
        input_tensors: Symbols for the inputs, alone or in the structure of `model.input`. Default: new ones.
        clone_function: Returns the new layer for a layer. Default: one of the same config.
        call_function: Calls a layer of the new functional model, `call_function(layer, *args, **kwargs)`. Default:
            `layer(*args, **kwargs)`.
        recursive: Whether `clone_function` is called for the layers of models within the model, too, and not for the
            models.

    Raises:
        ValueError: The model is of your own class, and there are other arguments; or it is a `Sequential`, and there is
            a `call_function`.
    """
    clone_function = clone_function or new_layer
    if recursive:
        clone_function = _into_models(clone_function, call_function)
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("call_function is for functional models, the model is a Sequential.")
        return _clone_chain(model, input_tensors, clone_function)
    if model.is_functional:
        return _clone_graph(model, input_tensors, clone_function, call_function or call)
    if input_tensors is not None or clone_function is not new_layer or call_function is not None:
        raise ValueError(
            f"{type(model).__name__} is a model with a forward of its own: clone_model takes no other arguments for it."
        )
    cloned = new_layer(model)
    assert isinstance(cloned, Model)
    return cloned


def new_layer(layer: nn.Module) -> nn.Module:
    """Return a layer or model of the same class and config, with new weights; it is built as the first one is."""
    writer = Writer()
    with use_codec(writer):
        written = encode(layer)
    with use_codec(Reader({**known_objects(), **writer.custom})):
        made = decode(written)
    assert isinstance(made, nn.Module)
    return use_calls_of(made, layer)


def _into_models(function: LayerFunction, call_function: Callable[..., Any] | None) -> LayerFunction:
    """Return a function that clones models within the model by `clone_model`, and other layers by `function`."""

    def cloned(layer: nn.Module) -> nn.Module:
        if isinstance(layer, Model) and (layer.is_functional or isinstance(layer, Sequential)):
            own_call = None if isinstance(layer, Sequential) else call_function
            return clone_model(layer, None, function, own_call, recursive=True)
        return function(layer)

    return cloned


def _clone_chain(model: Sequential, input_tensors: Any, clone_function: LayerFunction) -> Sequential:
    begin = pytree.tree_leaves(input_tensors) if input_tensors is not None else _own_input(model)
    if len(begin) > 1 or not all(isinstance(one, Input) for one in begin):
        raise ValueError("A Sequential has one input; input_tensors must be one Input.")
    return _like(model, Sequential([*begin, *(clone_function(layer) for layer in model)], name=own_name(model)))


def _like(model: Model, made: T) -> T:
    """Return a new model that is called as another is; its layers are what they are."""
    if model._called_as_keras:
        copy_auto_name(model, made)
        use_keras_calls(made)
    return made


def _own_input(model: Sequential) -> list[Input]:
    try:
        given = model.input
    except (AttributeError, ValueError):  # it has no Input
        return []
    sizes = [size if isinstance(size, int) else None for size in given.shape[1:]]
    return [Input(sizes, given.dtype, getattr(given, "name", None))]


def _clone_graph(
    model: Model, input_tensors: Any, clone_function: LayerFunction, call_function: Callable[..., Any]
) -> Model:
    inputs = [InputLayer.from_config(one.get_config()).output for one in _input_layers(model)]
    if input_tensors is not None:
        given = pytree.tree_leaves(input_tensors)
        if len(given) != len(inputs):
            raise ValueError(f"The model has {len(inputs)} inputs, input_tensors has {len(given)}.")
        inputs = given
    graph_module = model.module_viewed
    assert isinstance(graph_module, fx.GraphModule)
    outputs = _Cloner(graph_module, clone_function, call_function).run(*inputs)
    begin = pytree.tree_unflatten(inputs, pytree.tree_structure(model.input))
    return _like(model, Model(begin, outputs, name=own_name(model)))


def _input_layers(model: Model) -> list[InputLayer]:
    """Return the layers of the inputs in the order of the parameters of `forward`."""
    by_name = {layer.name: layer for layer in model.layers if isinstance(layer, InputLayer)}
    return [by_name[name] for name in model.input_names]


class _Cloner(fx.Interpreter):
    """Interpreter that runs a graph on symbols, with a clone in the place of each module."""

    def __init__(self, module: fx.GraphModule, clone: LayerFunction, call_function: Callable[..., Any]) -> None:
        super().__init__(module)
        self._clone, self._call, self._clones = clone, call_function, dict[str, nn.Module]()

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        layer = self.fetch_attr(target)
        if isinstance(layer, Constant):
            return layer.value
        if target not in self._clones:
            self._clones[target] = self._clone(layer)
        return self._call(self._clones[target], *args, **kwargs)
