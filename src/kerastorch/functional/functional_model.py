"""Functional: a module made from symbolic inputs and outputs; it views a `torch.fx.GraphModule`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import fx, nn

from kerastorch.core.channel_tracking import channels_after, check_axis
from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.torch_private import pytree
from kerastorch.functional.call_signature import CallSignature
from kerastorch.functional.graph_builder import build_graph_module, input_symbols, keep_apart, masks_on, replay
from kerastorch.functional.layer_order import layer_nodes
from kerastorch.functional.module_view import ModuleView
from kerastorch.symbolic.masks import makes_mask
from kerastorch.symbolic.output_shape import inputs_of
from kerastorch.symbolic.symbolic_tensor import Symbol, call, flat_symbols, has_symbols, map_symbols


class Functional(ModuleView):
    """A module that computes symbolic outputs from symbolic inputs; without outputs, a view of a module.

    Args:
        inputs: Symbols, alone or in a tuple, list or dict; or the module to view; or `None` in subclasses that have a
            `forward` of their own.
        outputs: Symbols computed from `inputs`, alone or in a tuple, list or dict; `None` for a view.

    Raises:
        TypeError: `outputs` is missing, or something among the inputs and outputs is not symbolic.
        ValueError: The outputs do not follow from the inputs; two layers have the same name.
    """

    _plan: CallSignature | None = None
    _symbols: tuple[Any, Any] | None = None
    _input_symbols: list[Symbol] | None = None  # those of a copy

    def __init__(self, inputs: Any = None, outputs: Any = None) -> None:
        if outputs is None:
            if has_symbols(inputs):
                raise TypeError("Model(inputs, outputs) needs the outputs too; got inputs alone.")
            super().__init__(inputs)
            if isinstance(inputs, nn.Module):
                channels_after(
                    inputs, [None], check_axis
                )  # raises if layers of an nn.Sequential disagree on the channel axis
            return
        if isinstance(outputs, (list, tuple)) and len(outputs) == 1:
            outputs = outputs[0]  # as in Keras, the only output is returned without a list
        module, plan = build_graph_module(inputs, outputs, type(self).__name__)
        super().__init__(module)
        self._plan, self._symbols = plan, (inputs, outputs)

    def __getstate__(self) -> dict[str, Any]:
        # symbols refer to the layers of this model; a copy records its own when they are needed
        return {key: value for key, value in self.__dict__.items() if key not in ("_symbols", "_input_symbols")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(self.module_viewed, fx.GraphModule) and self._plan is not None:
            keep_apart(self.module_viewed.graph)  # torch traces a graph anew when it is copied or unpickled
            self.module_viewed.recompile()

    def __repr__(self) -> str:
        if self.module_viewed is None or self.is_functional:
            return super().__repr__()
        return f"{type(self).__name__}({self.module_viewed!r})"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs.

        Args:
            *args: The inputs, in the structure that the model was made with, or one argument each.
            **kwargs: Inputs by name.

        Raises:
            ValueError: The number of inputs, a name, or a shape is wrong.
        """
        if self._plan is not None:
            return super().forward(*self._plan.bind(args, kwargs, adds_last_axis=self._called_as_keras))
        return super().forward(*args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Create the weights of all layers for inputs of a shape; nothing happens if they exist.

        Args:
            input_shape: Shape of the input with the batch axis, `None` for sizes that vary; for several inputs a list
                or dict of shapes.

        Raises:
            ValueError: The model cannot take such inputs.

        >>> from kerastorch import Model
        >>> model = Model(nn.Sequential(nn.LazyLinear(3)))
        >>> model.build((None, 4))
        >>> model.count_params()
        15
        """
        if not is_built(self):
            call(self, inputs_of(input_shape))

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the masks of the outputs that layers of the model make, as an embedding does, or `None`.

        Args:
            x: The input, or the tuple, list or dict of inputs.
            mask: The mask of the input; it is not used.
        """
        if self._plan is None or not any(map(makes_mask, modules(self))):
            return None
        given = pytree.tree_leaves(x)
        if isinstance(x, (tuple, list, Mapping)) or len(self._plan.names) == 1:
            given = self._plan.bind((x,), {}, adds_last_axis=self._called_as_keras)
        return masks_on(*self.symbols, given, self)

    def _children_in_keras_order(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the names and children; those of a functional model in the order in which Keras lists layers."""
        children = dict(self.named_children())
        if isinstance(self.module_viewed, fx.GraphModule):
            names = [str(node.target) for node in layer_nodes(self.module_viewed.graph) if node.op == "call_module"]
            yield from ((name, children.pop(name)) for name in names if name in children)
        yield from children.items()

    @property
    def is_functional(self) -> bool:
        """Whether the model was made from symbolic inputs and outputs."""
        return self._plan is not None

    # --- what is known of a functional model ------------------------------------------------------------------

    @overridable_property
    def graph(self) -> fx.Graph:
        """The `torch.fx` graph of a functional model: the recorded calls."""
        return self._graph_module().graph

    @overridable_property
    def code(self) -> str:
        """The recorded calls of a functional model as Python code: the source of its `forward`."""
        written = self._graph_module().code.strip()
        return re.sub(
            r";  [\w =]+ = None$", "", written, flags=re.MULTILINE
        )  # torch.fx frees tensors by these assignments

    @overridable_property
    def inputs(self) -> list[Symbol]:
        """The symbolic inputs of a functional model in a list; `input` has their structure."""
        return flat_symbols(self.symbols[0])

    @overridable_property
    def outputs(self) -> list[Symbol]:
        """The symbolic outputs of a functional model in a list; `output` has their structure."""
        return flat_symbols(self.symbols[1])

    @overridable_property
    def input(self) -> Any:
        """The symbolic inputs of a functional model; of another model, the symbol that it was called on."""
        return self._ends()[0]

    @overridable_property
    def output(self) -> Any:
        """The symbolic outputs of a functional model; of another model, the symbol that its call returned."""
        return self._ends()[1]

    @overridable_property
    def input_shape(self) -> Any:
        """The shapes of the inputs in their structure, with `None` for sizes that vary."""
        return _shapes(_unwrapped(self.symbols[0]))

    @overridable_property
    def output_shape(self) -> Any:
        """The shapes of the outputs in their structure, with `None` for sizes that vary."""
        return _shapes(self.symbols[1])

    def _ends(self) -> tuple[Any, Any]:
        """Return the symbolic inputs and outputs of the model, or of its only recorded call."""
        return self.symbols if self._plan is not None else self._only_call()

    @overridable_property
    def symbols(self) -> tuple[Any, Any]:
        """The symbolic inputs and outputs; a copied or unpickled model records them anew on first access."""
        module = self._graph_module()
        if self._symbols is None:
            assert self._plan is not None
            self._symbols = replay(module, self._plan, self._symbols_of_inputs())
        return self._symbols

    def _symbols_of_inputs(self) -> list[Symbol]:
        """Return the symbolic inputs in the order of the parameters of `forward`; those of a copy are made once."""
        if self._symbols is not None:
            return list(pytree.tree_leaves(self._symbols[0]))
        if self._input_symbols is None:
            assert self._plan is not None
            self._input_symbols = input_symbols(self._plan)
        return self._input_symbols

    @overridable_property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of the parameters of `forward`."""
        self._graph_module()
        assert self._plan is not None
        return self._plan.names

    @overridable_property
    def output_names(self) -> tuple[str, ...] | None:
        """The names of the outputs if they are a list: the names of the layers that return them; else `None`."""
        return self._output_names

    @property
    def _output_names(self) -> tuple[str, ...] | None:
        return None if self._plan is None else self._plan.outputs

    def _graph_module(self) -> fx.GraphModule:
        """Return the graph, or raise an `AttributeError` if the model is not functional."""
        if not isinstance(self.module_viewed, fx.GraphModule) or self._plan is None:
            raise AttributeError("only a functional model, Model(inputs, outputs), has this")
        return self.module_viewed


def _unwrapped(symbols: Any) -> Any:
    """Return the symbol of a list of one; other structures as they are."""
    return symbols[0] if isinstance(symbols, (list, tuple)) and len(symbols) == 1 else symbols


def _shapes(symbols: Any) -> Any:
    """Return the shapes of symbols in their structure, with `None` for sizes that vary."""

    def shape(symbol: Symbol) -> tuple[int | None, ...]:
        return tuple(size if isinstance(size, int) else None for size in symbol.shape)

    return map_symbols(symbols, shape)
