"""Fake tensors, which have shapes and no numbers: what a function makes of them is known at no cost."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from kerastorch.core.lazy_build import build_by_call
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.tensor_spec import BUILD_SIZES
from kerastorch.core.torch_private import FAKE_TENSOR_LOGGER, fake_tensor_module, pytree
from kerastorch.core.train_mode import evaluation_mode

_fake: Any = None


def fake_mode() -> Any:
    """Where tensors have shapes and no numbers; one for the whole process, or they would not go together."""
    global _fake
    if _fake is None:

        class Shared(fake_tensor_module().FakeTensorMode):  # type: ignore[misc]
            """A tensor refers to it, and a copy of a tensor would copy it, with weak references that are freed once."""

            def __deepcopy__(self, memo: Any) -> Any:
                return self

        _fake = Shared(allow_non_fake_inputs=True)
    return _fake


_asked = False


def is_shape_inference() -> bool:
    """Whether a symbol is being worked out: of a long loop, all of whose steps give one shape, two are enough."""
    return _asked


@contextmanager
def _asking() -> Iterator[None]:
    global _asked
    before, _asked = _asked, True
    try:
        yield
    finally:
        _asked = before


def eval_on_fakes(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a module (in evaluation mode), a function, or a method by its name gives on fake tensors."""
    with fake_mode(), torch.no_grad(), mute_fake_tensor_logs(), _asking():
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

    return pytree.tree_map(to, value)


def is_data_dependent(error: Exception) -> bool:
    """Whether an error says that numbers were asked for, and there were only shapes."""
    fake = fake_tensor_module()
    known = (fake.DataDependentOutputException, fake.DynamicOutputShapeException)
    return isinstance(error, known) or any(word in str(error) for word in ("data-dependent", "unbacked"))


def build_on_zeros(module: nn.Module, given: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    """Make the parameters of a module's lazy parts, if it has any, by one call on zeros.

    Args:
        module: any module.
        given: the positional and keyword arguments of the call, with fake tensors among them.
        other: the same arguments with different sizes of the axes that vary.

    Raises:
        Exception: the error of the first call, if no call with one of `BUILD_SIZES` succeeds.
    """

    def zeros(varying: int, one: Any, two: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        sizes = [a if a == b else min(a, varying) for a, b in zip(one.shape, two.shape, strict=True)]
        return torch.zeros(sizes, dtype=one.dtype)

    def call(arguments: Any) -> Any:
        return module(*arguments[0], **arguments[1])

    trials = (pytree.tree_map(partial(zeros, varying), given, other) for varying in BUILD_SIZES)
    build_by_call(module, call, trials)


@contextmanager
def mute_fake_tensor_logs() -> Iterator[None]:
    """What torch logs about an operation that shapes do not fit is in the error."""
    logger = logging.getLogger(FAKE_TENSOR_LOGGER)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
