"""Classes as Keras' scripts call them: with Keras' defaults and arguments, and instances of kerastorch's own classes.

`keras.layers.Conv2D(8, 3)` returns a `kerastorch.layers.Conv2D` with channels last. The class here differs from that
one only in what its call adds, so that `isinstance` and `issubclass` hold across both, and files name the class of the
instance. A subclass of a script has the class here as its base, whose constructor adds the same. What is made is called
as in Keras: it evaluates unless `training=True` is said, and masks are kept with tensors.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from kerastorch.core.auto_names import copy_auto_name
from kerastorch.core.module_tree import modules
from kerastorch.keras.image_format import image_data_format
from kerastorch.keras.model_build import build_at_first_call, runs_once
from kerastorch.keras.scopes import apply_remat_scope
from kerastorch.layers.base import Layer
from kerastorch.model import Model
from kerastorch.module.unregistered_modules import register_plain_lists
from kerastorch.symbolic.symbolic_call import Recordable, use_keras_calls

T = TypeVar("T", bound=nn.Module)

_SHAPES = ("input_shape", "batch_input_shape", "batch_shape", "input_dim")  # arguments for the shape of the input
_DEFAULTS = {"BatchNormalization": {"axis": -1}, "GroupNormalization": {"axis": -1}}


class KerasClass(ABCMeta):  # some layers have abstract methods
    """The type of a class of Keras' scripts, and of their subclasses."""

    wrapped: type[nn.Module]

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, members, **options)
        if "build" in members and Model in cls.__mro__:
            cls.build = runs_once(members["build"])

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return an instance of the wrapped class, or of a script's own subclass."""
        kwargs, shape, dtype = _taken_out(cls.__init__, kwargs)  # type: ignore[misc]
        if "wrapped" not in vars(cls):
            made = super().__call__(*args, **kwargs)
            register_plain_lists(made)
        else:
            kwargs = with_defaults(cls.wrapped, args, kwargs)
            made = cls.wrapped.__new__(cls.wrapped, *args, **kwargs)
            vars(made)["_called_as_keras"] = True  # before a model is made of its layers
            made.__init__(*args, **kwargs)  # type: ignore[misc]
        use_keras_calls(made)
        if dtype is not None:
            made.to(dtype)
        if isinstance(made, Model):
            build_at_first_call(made)
        if isinstance(made, Layer):
            made.use_keras_layout()
            apply_remat_scope(made)
            if shape is not None:
                made.declare_input_shape(shape)
        return made

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls.__subclasscheck__(type(instance))

    def __subclasscheck__(cls, subclass: type) -> bool:
        wanted = cls.wrapped if "wrapped" in vars(cls) else cls
        return wanted in getattr(subclass, "__mro__", ())  # not `issubclass`, which would ask this class again


@functools.cache
def keras_class(wrapped: type[Layer | Model]) -> KerasClass:
    """Return the class of Keras' scripts for a class of kerastorch.

    Args:
        wrapped: A class of layers or models.
    """
    own: Any = wrapped
    from_own_config = own.from_config.__func__

    @functools.wraps(own.__init__)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        own.__init__(self, *args, **with_defaults(own, args, kwargs))

    @functools.wraps(from_own_config)
    def from_config(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return as_in_keras(from_own_config(cls, *args, **kwargs))

    about = {"__doc__": wrapped.__doc__, "__module__": wrapped.__module__, "__qualname__": wrapped.__qualname__}
    members = {
        **about, "wrapped": wrapped, "__init__": initialize, "from_config": classmethod(from_config),
        "_called_as_keras": True, "adds_keras_weights": wrapped is Layer,
    }  # fmt: skip
    return KerasClass(wrapped.__name__, (wrapped,), members, is_serialized=False)  # files name the wrapped class


def as_in_keras(made: T) -> T:
    """Return a new layer or model whose parts all have the calls of Keras, and its layout of weights.

    Args:
        made: What was made of a config.
    """
    for part in modules(made):
        if isinstance(part, Layer):
            part.use_keras_layout()
    return with_keras_calls(made)


def with_keras_calls(made: T) -> T:
    """Return a layer or model whose parts are all called as in Keras.

    Args:
        made: What was read from a file, which says in which layout its weights are.
    """
    for part in modules(made):
        if isinstance(part, Recordable):
            use_keras_calls(part)
    return made


def use_calls_of(made: T, model: nn.Module) -> T:
    """Return a copy of a model with calls, names and a layout of weights as the model has them.

    Args:
        made: The copy, whose parts were made without the classes of this file.
        model: The model.
    """
    for new, old in zip(modules(made), modules(model), strict=False):
        if getattr(old, "_called_as_keras", False) and isinstance(new, Recordable):
            copy_auto_name(old, new)
            use_keras_calls(new)
        if getattr(old, "keras_layout", False) and isinstance(new, Layer):
            new.use_keras_layout()
    return made


def with_defaults(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with Keras' values for those that are not given and have another default here.

    Args:
        wrapped: A class or function of kerastorch.
        args: Positional arguments of its call.
        kwargs: Keyword arguments of its call.
    """
    names = [*inspect.signature(wrapped).parameters]
    defaults: dict[str, Any] = dict(_DEFAULTS.get(wrapped.__name__, {}))
    if "data_format" in names:
        defaults["data_format"] = image_data_format()
    given = {*names[: len(args)], *(name for name, value in kwargs.items() if value is not None)}
    return {**kwargs, **{name: value for name, value in defaults.items() if name not in given}}


def _taken_out(
    constructor: Callable[..., None], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[int | None, ...] | None, torch.dtype | None]:
    """Return keyword arguments without those for the input and the dtype, the shape of a row, and the dtype.

    An argument that the constructor itself has, such as `input_dim` of a script's own layer, is left to it.
    """
    known = inspect.signature(constructor).parameters
    left = {name: value for name, value in kwargs.items() if name in known or name not in (*_SHAPES, "dtype")}
    dtype = None if "dtype" in known else _float_dtype(kwargs.get("dtype"))
    return left, _row_shape({name: kwargs.get(name) for name in _SHAPES if name not in known}), dtype


def _row_shape(given: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Return the shape of a row, without the batch axis; `None` if no argument says it."""
    for name, value in given.items():
        if value is None:
            continue
        if name == "input_dim":
            return (value,)
        shape = (value,) if isinstance(value, int) else tuple(value)
        return shape if name == "input_shape" else shape[1:]
    return None


def _float_dtype(given: Any) -> torch.dtype | None:
    """Return the dtype of the weights of a layer; `None` for that of the model.

    Raises:
        ValueError: It is a policy of mixed precision.
    """
    name = getattr(given, "name", given)
    if isinstance(name, str) and name.startswith("mixed_"):
        raise ValueError(f"dtype={name!r} of one layer: mixed precision is that of a model, compile(precision='bf16').")
    found = getattr(torch, name, None) if isinstance(name, str) else name
    return found if isinstance(found, torch.dtype) and found.is_floating_point and found != torch.float32 else None
