"""`keras.Variable`: makes parameters of torch, and counts every parameter as an instance."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kerastorch import initializers


class _IsParameter(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, nn.Parameter)


class Variable(metaclass=_IsParameter):
    """A weight: the call returns a `torch.nn.Parameter`.

    Args:
        initializer: The values, as an array or numbers; or an initializer, by name or callable, with `shape`.
        shape: The shape, for an initializer. Default none.
        dtype: A dtype of torch or its name. Default `"float32"`.
        trainable: Whether it is trained; integers never are. Default `True`.
        name: No effect; torch names a parameter after the attribute that holds it.

    Raises:
        ValueError: An initializer was given without a shape.

    >>> Variable([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    >>> Variable("zeros", shape=(2,), trainable=False).requires_grad
    False
    """

    def __new__(  # type: ignore[misc]
        cls,
        initializer: Any,
        shape: Any = None,
        dtype: torch.dtype | str | None = None,
        trainable: bool = True,
        name: str | None = None,  # noqa: ARG004
    ) -> nn.Parameter:
        kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype or torch.get_default_dtype()
        if isinstance(initializer, str) or callable(initializer):
            if shape is None:
                raise ValueError(f"Variable with the initializer {initializer!r} needs shape=(...).")
            values = torch.empty(tuple(shape), dtype=kind)
            with torch.no_grad():
                initializers.get(initializer)(values)
        else:
            values = torch.as_tensor(initializer).detach().to(kind, copy=True)
        return nn.Parameter(values, requires_grad=trainable and values.is_floating_point())
