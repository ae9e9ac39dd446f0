"""Conditions, loops and gradients of one's own; they run at once, on tensors that have values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.torch_private import pytree
from kerastorch.ops.conversion import to_tensor
from kerastorch.symbolic.recording_errors import needs_values
from kerastorch.symbolic.symbolic_tensor import collect_symbols

__all__ = ["cond", "custom_gradient", "fori_loop", "switch", "vectorized_map", "while_loop"]


def refuse_symbols(name: str, *values: Any) -> None:
    """Raise if a value is symbolic: the function `name` runs functions of the user on values.

    Raises:
        TypeError: A value is symbolic, or holds symbolic tensors.
    """
    symbols = collect_symbols(values)
    if symbols:
        raise needs_values(f"ops.{name}", symbols[0])


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Call one of two functions, by a condition.

    Args:
        pred: A boolean, or a tensor with one element.
        true_fn: Called if it is `True`.
        false_fn: Called if it is `False`.
    """
    refuse_symbols("cond", pred)
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call one of several functions.

    Args:
        index: Its index; one beyond the ends is that of the first or the last function.
        branches: The functions.
        *operands: Their arguments.
    """
    refuse_symbols("switch", index)
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Call a function on its own results while a condition holds.

    Args:
        cond: The condition, a function of the variables.
        body: Returns the next variables.
        loop_vars: The first variables, a tuple or list, or one variable.
        maximum_iterations: How often `body` is called at most. Default: no limit.

    Returns:
        The last variables.

    >>> while_loop(lambda n: n < 10, lambda n: 2 * n, 3)
    tensor(12, dtype=torch.int32)
    """
    refuse_symbols("while_loop", loop_vars)
    is_single = not isinstance(loop_vars, (tuple, list))
    values = pytree.tree_map(to_tensor, (loop_vars,) if is_single else tuple(loop_vars))
    count = 0
    while (maximum_iterations is None or count < maximum_iterations) and cond(*values):
        values = body(*values)
        values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
        count += 1
    return values[0] if is_single else values


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Call a function for each integer of a range, on its own last result.

    Args:
        lower: The first integer.
        upper: The integer behind the last.
        body_fun: Function of the integer and the last result.
        init_val: In the place of the last result, the first time.
    """
    refuse_symbols("fori_loop", lower, upper)
    value = init_val
    for index in range(int(lower), int(upper)):
        value = body_fun(index, value)
    return value


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Apply a function to each slice along the first axis, to all at once.

    Args:
        function: Function of a slice, or of the tuple or list of slices of several tensors.
        elements: A tensor, or a tuple or list of tensors.
    """
    refuse_symbols("vectorized_map", elements)
    return torch.vmap(function)(pytree.tree_map(to_tensor, elements))


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """Return the value of a function and its derivative in a direction.

    Args:
        fun: A function of tensors.
        primals: Its arguments.
        tangents: The direction, in the shapes of the arguments.
        has_aux: Whether `fun` returns further results, which are returned last.
    """
    refuse_symbols("jvp", primals, tangents)
    primals, tangents = (tuple(pytree.tree_map(to_tensor, value)) for value in (primals, tangents))
    with warnings.catch_warnings():  # torch imports decompositions on the first call, and warns of its own code
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=DeprecationWarning)
        return torch.func.jvp(fun, primals, tangents, has_aux=has_aux)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a gradient of one's own.

    Args:
        f: Function of tensors that returns its value, a tensor, and a function for the gradient:
            `grad(*args, upstream=None)` returns the gradients of all arguments, for that of the value.

    >>> @custom_gradient
    ... def clipped(x):
    ...     return x**3, lambda x, upstream=None: upstream.clamp(-1, 1)
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> (10 * clipped(x)).backward()
    >>> x.grad
    tensor(1.)
    """

    def function(*args: Any) -> Any:
        refuse_symbols("custom_gradient", args)
        tensors = [arg if isinstance(arg, Tensor) else to_tensor(arg) for arg in args]
        return _CustomGradient.apply(f, *tensors)  # type: ignore[no-untyped-call]

    function.__doc__ = f.__doc__
    return function


class _CustomGradient(torch.autograd.Function):
    """A function of tensors that returns the function for its gradient, too."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *args: Tensor) -> Any:
        value, ctx.gradient = function(*args)
        ctx.save_for_backward(*args)
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        found = ctx.gradient(*ctx.saved_tensors, upstream=upstream[0] if len(upstream) == 1 else upstream)
        return (None, *(found if isinstance(found, (tuple, list)) else (found,)))
