"""Recordable: a module that records itself when it is called on symbols."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from kerastorch.core.overridable_property import overridable_property
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_tensor import has_symbols, record_call, recorded_calls


class Recordable(nn.Module):
    """Base of layers and models."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs and "training" in kwargs:
            _refuse_training(self)
        if not args or args[0].__class__ is not Tensor:
            if has_symbols((args, kwargs)):
                return record_call(self, args, kwargs)
            return super().__call__(*args, **kwargs)  # which torch.fx replaces while it traces, as at unpickling
        compiled = self._compiled_call_impl  # what torch's own __call__ does, without another frame
        return (self._call_impl if compiled is None else compiled)(*args, **kwargs)  # type: ignore[no-untyped-call]

    @overridable_property
    def input(self) -> Any:
        """The symbol it was called on.

        Raises:
            ValueError: it was called on none, or on several.
        """
        return self._only_call()[0]

    @overridable_property
    def output(self) -> Any:
        """The symbol that its call made: the end of another model, `Model(model.inputs, layer.output)`.

        Raises:
            ValueError: it was called on no symbol, or on several.
        """
        return self._only_call()[1]

    def _only_call(self) -> tuple[Any, Any]:
        calls = recorded_calls(self)
        if len(calls) != 1:
            many = "no symbol: it is in no functional model" if not calls else f"{len(calls)} symbols"
            raise ValueError(f"{display_name(self)} was called on {many}; it has not one input and one output.")
        return calls[0]


def _refuse_training(module: nn.Module) -> None:
    """Say what there is instead of Keras' argument, unless the module's own `forward` takes it."""
    inner = getattr(module, "module_viewed", None) or module
    parameters = inspect.signature(inner.forward).parameters.values()
    if any(one.name == "training" or one.kind is one.VAR_KEYWORD for one in parameters):
        return
    raise TypeError(
        f"{display_name(module)} takes no training=: as in torch, a module is in training or evaluation mode, "
        ".train() or .eval(), which fit, evaluate and predict see to. For training=False of a frozen model, set its "
        "trainable = False: its batch normalization then rests."
    )
