"""Recordable: a module whose calls on symbols are recorded for a functional model."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from torch import Tensor, nn

from kerastorch.core.module_tree import module_within
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.torch_private import HAS_CALL_IMPL
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_tensor import has_symbols, record_call, recorded_calls


class Recordable(nn.Module):
    """A module that records its call if an argument is symbolic, and else runs as any `nn.Module`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs and "training" in kwargs:
            _check_training_argument(self)
        if not args or args[0].__class__ is not Tensor or not HAS_CALL_IMPL:
            if has_symbols((args, kwargs)):
                return record_call(self, args, kwargs)
            try:
                return super().__call__(*args, **kwargs)  # torch.fx replaces nn.Module.__call__ while it traces
            except TypeError as error:
                _explain_array(error, self, args)
                raise
        compiled = self._compiled_call_impl  # nn.Module.__call__, inlined: one frame fewer
        return (self._call_impl if compiled is None else compiled)(*args, **kwargs)  # type: ignore[no-untyped-call]

    @overridable_property
    def input(self) -> Any:
        """The symbol that the module was called on.

        Raises:
            ValueError: The module was called on no symbol, or on several.
        """
        return self._only_call()[0]

    @overridable_property
    def output(self) -> Any:
        """The symbol that the module's call returned; it may be the output of a further model.

        `Model(model.inputs, layer.output)` is a model that ends at this layer.

        Raises:
            ValueError: The module was called on no symbol, or on several.
        """
        return self._only_call()[1]

    def _only_call(self) -> tuple[Any, Any]:
        """Return the input and output of the module's only recorded call, or raise."""
        calls = recorded_calls(self)
        if len(calls) != 1:
            many = "no symbol: it is in no functional model" if not calls else f"{len(calls)} symbols"
            raise ValueError(f"{display_name(self)} was called on {many}; it has not one input and one output.")
        return calls[0]


def _explain_array(error: TypeError, module: nn.Module, args: tuple[Any, ...]) -> None:
    """Add to the message of an error that a model was called on an array, and how to call it."""
    is_model = hasattr(module, "predict")
    if is_model and args and isinstance(args[0], (np.ndarray, list)) and _ARRAY_ADVICE not in str(error):
        given = "a NumPy array" if isinstance(args[0], np.ndarray) else "a list"
        error.args = (f"{str(error).rstrip('.')}. The model was called on {given}. {_ARRAY_ADVICE}",)


_ARRAY_ADVICE = "Write model.predict(x) for arrays, or model(torch.as_tensor(x)) for a tensor with gradients."


def _check_training_argument(module: nn.Module) -> None:
    """Raise on the argument `training` of Keras, unless the module's own `forward` takes it."""
    inner = module_within(module)
    parameters = inspect.signature(inner.forward).parameters.values()
    if any(one.name == "training" or one.kind is one.VAR_KEYWORD for one in parameters):
        return
    raise TypeError(
        f"{display_name(module)} takes no training=: as in torch, a module is in training or evaluation mode, "
        ".train() or .eval(), which fit, evaluate and predict see to. For training=False of a frozen model, set its "
        "trainable = False: its batch normalization then rests."
    )
