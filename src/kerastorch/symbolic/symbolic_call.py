"""Recordable: a module whose calls on symbols are recorded for a functional model, and that may be called on arrays."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from kerastorch.core.auto_names import add_auto_name, auto_name
from kerastorch.core.call_device import reset_call_device, set_call_device
from kerastorch.core.call_mode import evaluate_by_default, evaluates_by_default, follow_mode, follow_modes
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_private import HAS_CALL_IMPL
from kerastorch.symbolic.array_inputs import cast_like_weights, to_tensors, without_tensorflow
from kerastorch.symbolic.constant_outputs import mark_constants
from kerastorch.symbolic.keras_call import pair_call_and_forward, training_by_name, training_of_call
from kerastorch.symbolic.masks_of_tensors import keep_masks, masks_of_call
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_tensor import has_symbols, record_call, recorded_calls


class Recordable(nn.Module):
    """A module that records its call if an argument is symbolic, and else runs as any `nn.Module`.

    As in Keras, the method of a subclass may be named `call` or `forward`, a call may have `training=True` or `False`,
    and the inputs may be arrays.

    Attributes:
        _casts_inputs: Whether inputs of dtypes that torch cannot compute with the weights are cast to that of these.
    """

    _casts_inputs = False
    _reads_arrays = False  # whether it takes arrays and lists as they are, as layers of texts do
    _sets_device = False  # whether code of the user runs in a call, which may use operations that make tensors
    _called_as_keras = False  # whether calls are those of Keras: evaluation by default, and masks kept with tensors
    _has_call_context = False  # whether one of the last two holds
    _parts_follow = False  # whether parts that `kerastorch.keras` made compute in the mode of this module

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not is_own(cls):
            cls._sets_device = True
        cls._has_call_context = cls._sets_device or cls._called_as_keras
        pair_call_and_forward(cls)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode, as in torch.

        Args:
            mode: Whether to train. Default `True`.
        """
        follow_mode(self)
        return super().train(mode)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._has_call_context:
            return self._call_in_context(args, kwargs)
        return self._compute(args, kwargs)

    def _call_in_context(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        token = set_call_device(self, args, kwargs) if self._sets_device else None
        if len(args) > 1:
            args, kwargs = training_by_name(self, args, kwargs)
        try:
            if not (self._called_as_keras or self._parts_follow):
                vars(self)["_parts_follow"] = True
                follow_modes(modules(self))
            if not self._called_as_keras or has_symbols((args, kwargs)):
                return self._compute(args, kwargs)
            if not self._reads_arrays:
                args, kwargs = to_tensors(self, *without_tensorflow(args, kwargs))
            by_hand = evaluates_by_default(self)
            if by_hand and kwargs.get("training") is None:
                kwargs["training"] = False
            masks = masks_of_call(self, args, kwargs)
            output = self._compute(args, {**kwargs, **masks} if masks else kwargs)
            keep_masks(self, args, kwargs, masks, output)
            if by_hand and not torch.compiler.is_compiling():
                mark_constants(output)
            return output
        finally:
            if token is not None:
                reset_call_device(token)

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs and "training" in kwargs and not has_symbols((args, kwargs)):
            kwargs, mode = training_of_call(self, kwargs)
            with mode:
                return self._call(*args, **kwargs)
        if not args or args[0].__class__ is not Tensor or not HAS_CALL_IMPL:
            return self._call(*args, **kwargs)
        compiled = self._compiled_call_impl  # nn.Module.__call__, inlined: one frame fewer
        try:
            return (self._call_impl if compiled is None else compiled)(*args, **kwargs)  # type: ignore[no-untyped-call]
        except RuntimeError:
            cast = cast_like_weights(self, args) if self._casts_inputs else None
            if cast is None:
                raise
        return super().__call__(*cast, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Run or record a call of any kind."""
        if has_symbols((args, kwargs)):
            return record_call(self, args, kwargs)
        args, kwargs = without_tensorflow(args, kwargs)
        if not self._reads_arrays:
            args, kwargs = to_tensors(self, args, kwargs)
        cast = None
        try:
            return super().__call__(*args, **kwargs)  # torch.fx replaces nn.Module.__call__ while it traces
        except RuntimeError:
            cast = cast_like_weights(self, args) if self._casts_inputs else None
            if cast is None:
                raise
        return super().__call__(*cast, **kwargs)

    @overridable_property
    def name(self) -> str | None:
        """The name that was given, or that of the class, numbered, for one made by `kerastorch.keras`; else `None`."""
        return auto_name(self)

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


def use_keras_calls(module: Recordable) -> None:
    """Let calls be as in Keras: they evaluate unless `training=True` is said, and masks are kept with tensors.

    A module without a name gets one. Once the user sets a mode by `train` or `eval`, calls compute in this mode, as in
    torch.

    Args:
        module: A layer or model.
    """
    vars(module).update(_called_as_keras=True, _has_call_context=True)
    evaluate_by_default(module)
    if own_name(module) is None and auto_name(module) is None:
        add_auto_name(module)
