"""Evaluation on torch's fake tensors, which have shapes but no values: output shapes at no cost."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from kerastorch.core.lazy_build import build_by_call, copy_module
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.tensor_spec import BUILD_SIZES
from kerastorch.core.torch_private import FAKE_TENSOR_LOGGER, fake_tensor_module, pytree
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.core.undivided_modules import undivided

_fake: Any = None


def fake_mode() -> Any:
    """Return the mode in which tensors are fake; all fake tensors of a process must be of one mode."""
    global _fake
    if _fake is None:

        class Shared(fake_tensor_module().FakeTensorMode):  # type: ignore[misc]
            """A tensor refers to it, and a copy of a tensor would copy it, with weak references that are freed once."""

            def __deepcopy__(self, memo: Any) -> Any:
                return self

        _fake = Shared(allow_non_fake_inputs=True)
    return _fake


_infers_shapes = False


def is_shape_inference() -> bool:
    """Return whether a call only infers shapes; a loop whose steps have equal shapes may then run two of them."""
    return _infers_shapes


@contextmanager
def _shape_inference() -> Iterator[None]:
    global _infers_shapes
    before, _infers_shapes = _infers_shapes, True
    try:
        yield
    finally:
        _infers_shapes = before


def eval_on_fakes(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the result of a call on fake tensors.

    Args:
        target: A module, which is called in evaluation mode; a function; or the name of a tensor method.
        args: Its positional arguments, fake tensors among them.
        kwargs: Its keyword arguments.
    """
    with fake_mode(), torch.no_grad(), mute_fake_tensor_logs(), _shape_inference():
        if isinstance(target, nn.Module):
            # a trained layer may be on an accelerator; symbols are on the CPU, so inputs are moved there and back
            device = next((tensor.device for tensor in tensors(modules(target))), torch.device("cpu"))
            with evaluation_mode(target), undivided(target):
                args, kwargs = _moved((args, dict(kwargs)), device)
                return _moved(target(*args, **kwargs), torch.device("cpu"))
        if isinstance(target, str):
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)


def _moved(value: Any, device: torch.device) -> Any:
    def to(leaf: Any) -> Any:
        return leaf.to(device) if isinstance(leaf, torch.Tensor) and leaf.device != device else leaf

    return pytree.tree_map(to, value)


def eval_on_numbers(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Return the result of a call of a module that reads values, as fake tensors; `None` if its shapes depend on them.

    A copy of the module is called on zeros and on ones, in evaluation mode.

    Args:
        module: A module with all its parameters.
        args: Its positional arguments, fake tensors among them.
        kwargs: Its keyword arguments.
    """
    if isinstance(torch.empty(0), fake_tensor_module().FakeTensor):
        return None  # the weights of the module have no values either

    def call(value: int) -> Any:
        def filled(leaf: Any) -> Any:
            return torch.full(leaf.shape, value, dtype=leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf

        inputs, named = pytree.tree_map(filled, (args, dict(kwargs)))
        copied = copy_module(module)
        with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluation_mode(copied), _shape_inference():
            return copied(*inputs, **named)

    results = [call(value) for value in (0, 1)]
    shapes = [pytree.tree_map(lambda leaf: getattr(leaf, "shape", leaf), result) for result in results]
    if shapes[0] != shapes[1]:
        return None
    return pytree.tree_map(
        lambda leaf: fake_mode().from_tensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, results[0]
    )


def is_data_dependent(error: BaseException) -> bool:
    """Return whether a call failed because it needs the values of a tensor that has only a shape."""
    fake = fake_tensor_module()
    known = (fake.DataDependentOutputException, fake.DynamicOutputShapeException)
    if isinstance(error, known) or any(word in str(error) for word in ("data-dependent", "unbacked")):
        return True
    return error.__cause__ is not None and is_data_dependent(error.__cause__)


def build_on_zeros(module: nn.Module, given: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    """Create the parameters of the lazy modules in a module, if there are any, by a call on zeros.

    Args:
        module: A module; it is called in evaluation mode.
        given: Its positional and keyword arguments, fake tensors among them.
        other: Arguments of the same structure, with different sizes for the axes that vary.

    Raises:
        Exception: The error of the first call, if the calls with all `BUILD_SIZES` fail.
    """

    def zeros(varying: int, one: Any, two: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        sizes = [a if a == b else min(a, varying) for a, b in zip(one.shape, two.shape, strict=True)]
        return torch.zeros(sizes, dtype=one.dtype)

    def call(arguments: Any) -> Any:
        return module(*arguments[0], **arguments[1])

    trials = (pytree.tree_map(partial(zeros, varying), given, other) for varying in BUILD_SIZES)
    with _shape_inference():
        build_by_call(module, call, trials)


@contextmanager
def mute_fake_tensor_logs() -> Iterator[None]:
    """Mute torch's log of failed operations on fake tensors, whose error has the same message."""
    logger = logging.getLogger(FAKE_TENSOR_LOGGER)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
