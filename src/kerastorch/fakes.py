"""Fake tensors, which have shapes and no numbers: what a function makes of them is known at no cost."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kerastorch.modes import evaluation_mode
from kerastorch.tree import modules, tensors

_fake: Any = None


def fake_mode() -> Any:
    """Where tensors have shapes and no numbers; one for the whole process, or they would not go together."""
    global _fake
    if _fake is None:
        from torch._subclasses.fake_tensor import FakeTensorMode  # slow to import, and not everybody needs it

        _fake = FakeTensorMode(allow_non_fake_inputs=True)
    return _fake


def evaluated(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a module (in evaluation mode), a function, or a method by its name gives on fake tensors."""
    with fake_mode(), torch.no_grad(), unlogged():
        if isinstance(target, nn.Module):
            # symbols are on the CPU, wherever a layer that has been trained already is
            device = next((tensor.device for tensor in tensors(modules(target))), torch.device("cpu"))
            with evaluation_mode(target):
                args, kwargs = _moved((args, dict(kwargs)), device)
                return _moved(target(*args, **kwargs), torch.device("cpu"))
        if isinstance(target, str):
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)


def _moved(value: Any, device: torch.device) -> Any:
    def to(leaf: Any) -> Any:
        return leaf.to(device) if isinstance(leaf, torch.Tensor) and leaf.device != device else leaf

    return torch.utils._pytree.tree_map(to, value)


def goes_by_numbers(error: Exception) -> bool:
    """Whether an error says that numbers were asked for, and there were only shapes."""
    from torch._subclasses import fake_tensor as fake

    known = (fake.DataDependentOutputException, fake.DynamicOutputShapeException)
    return isinstance(error, known) or any(word in str(error) for word in ("data-dependent", "unbacked"))


def build_on_zeros(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
    """Make the parameters of lazy parts, if there are any left, by one call on zeros.

    Args:
        module: any.
        args: what it is called on, with fake tensors.
        kwargs: the same by name.
    """
    lazy = any(
        getattr(part, "built", True) is False
        or any(weight is not None and nn.parameter.is_lazy(weight) for weight in part._parameters.values())
        for part in modules(module)
    )
    if not lazy:
        return

    def zeros(leaf: Any) -> Any:
        return torch.zeros(leaf.shape, dtype=leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf

    args, kwargs = torch.utils._pytree.tree_map(zeros, (args, dict(kwargs)))
    with evaluation_mode(module), torch.no_grad():
        module(*args, **kwargs)


@contextmanager
def unlogged() -> Iterator[None]:
    """What torch logs about an operation that shapes do not fit is in the error."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
