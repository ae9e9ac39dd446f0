"""Functional: a module put together from symbols, a view of their `torch.fx.GraphModule`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import fx, nn
from torch.utils import _pytree as pytree

from kerastorch.core.channel_tracking import channels_after, check_axis
from kerastorch.core.module_tree import modules
from kerastorch.core.overridable_property import overridable_property
from kerastorch.functional.graph_builder import CallSignature, build_graph_module, keep_apart, masks_on, replay
from kerastorch.functional.module_view import ModuleView
from kerastorch.symbolic.masks import makes_mask
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols, map_symbols


class Functional(ModuleView):
    """What lies between symbols, where `inputs` and `outputs` are given; else what `View` is.

    Args:
        inputs: symbols, alone or in a list or dict, or a module.
        outputs: symbols that were made of them.
    """

    _plan: CallSignature | None = None
    _symbols: tuple[Any, Any] | None = None

    def __init__(self, inputs: Any = None, outputs: Any = None) -> None:
        if outputs is None:
            if has_symbols(inputs):
                raise TypeError("Model(inputs, outputs) needs the outputs too; got inputs alone.")
            super().__init__(inputs)
            if isinstance(inputs, nn.Module):
                channels_after(inputs, [None], check_axis)  # of a chain of torch's
            return
        if isinstance(outputs, (list, tuple)) and len(outputs) == 1:
            outputs = outputs[0]  # as in Keras, one output comes alone
        module, plan = build_graph_module(inputs, outputs, type(self).__name__)
        super().__init__(module)
        self._plan, self._symbols = plan, (inputs, outputs)

    def __getstate__(self) -> dict[str, Any]:
        # a copy has symbols of its own: see `inputs`
        return {key: value for key, value in self.__dict__.items() if key != "_symbols"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(self.module_viewed, fx.GraphModule) and self._plan is not None:
            keep_apart(self.module_viewed.graph)  # torch has traced it anew
            self.module_viewed.recompile()

    def __repr__(self) -> str:
        if self.module_viewed is None or self.is_functional:
            return super().__repr__()
        return f"{type(self).__name__}({self.module_viewed!r})"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for inputs in the structure that the model was made with, spread over arguments, or by name."""
        if self._plan is not None:
            return super().forward(*self._plan.bind(args, kwargs))
        return super().forward(*args, **kwargs)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The masks that the model makes of its inputs, as an embedding in it does, where it is a part of another.

        Args:
            x: the input, or the list or dict of them.
            mask: of the input; it ends here.
        """
        if self._plan is None or not any(map(makes_mask, modules(self))):
            return None
        given = pytree.tree_leaves(x)
        if isinstance(x, (tuple, list, Mapping)) or len(self._plan.names) == 1:
            given = self._plan.bind((x,), {})
        return masks_on(*self.symbols, given, self)

    @property
    def is_functional(self) -> bool:
        """Whether it was put together from symbols."""
        return self._plan is not None

    # --- what is known of a functional model ------------------------------------------------------------------

    @overridable_property
    def graph(self) -> fx.Graph:
        """What was recorded."""
        return self._graph_module().graph

    @overridable_property
    def code(self) -> str:
        """What was recorded, as Python."""
        written = self._graph_module().code.strip()
        return re.sub(r";  [\w =]+ = None$", "", written, flags=re.MULTILINE)  # where torch lets go of a tensor

    @overridable_property
    def inputs(self) -> Any:
        """The symbols that the model begins with, in the structure that it was made with."""
        return self.symbols[0]

    @overridable_property
    def outputs(self) -> Any:
        """The symbols that the model ends in."""
        return self.symbols[1]

    @overridable_property
    def input(self) -> Any:
        """The symbols that the model begins with; of a model that has none, the symbol that it was called on."""
        return self._ends()[0]

    @overridable_property
    def output(self) -> Any:
        """The symbols that the model ends in; of a model that has none, the symbol that its call made."""
        return self._ends()[1]

    @overridable_property
    def input_shape(self) -> Any:
        """The shapes of `inputs`, `None` where a size varies, in their structure."""
        return _shapes(self.inputs)

    @overridable_property
    def output_shape(self) -> Any:
        """The shapes of `outputs`, `None` where a size varies, in their structure."""
        return _shapes(self.outputs)

    def _ends(self) -> tuple[Any, Any]:
        return self.symbols if self._plan is not None else self._only_call()

    @overridable_property
    def symbols(self) -> tuple[Any, Any]:
        """Inputs and outputs; a copy of a model records its own when it is first asked for them."""
        module = self._graph_module()
        if self._symbols is None:
            assert self._plan is not None
            self._symbols = replay(module, self._plan)
        return self._symbols

    @overridable_property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        self._graph_module()
        assert self._plan is not None
        return self._plan.names

    @overridable_property
    def output_names(self) -> tuple[str, ...] | None:
        """The names of the outputs where they are a list: those of the layers they come from; `None` elsewhere."""
        return self._output_names

    @property
    def _output_names(self) -> tuple[str, ...] | None:
        return None if self._plan is None else self._plan.outputs

    def _graph_module(self) -> fx.GraphModule:
        if not isinstance(self.module_viewed, fx.GraphModule) or self._plan is None:
            raise AttributeError("only a functional model, Model(inputs, outputs), has this")
        return self.module_viewed


def _shapes(ends: Any) -> Any:
    def shape(symbol: Symbol) -> tuple[int | None, ...]:
        return tuple(size if isinstance(size, int) else None for size in symbol.shape)

    return map_symbols(ends, shape)
