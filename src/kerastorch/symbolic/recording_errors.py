"""Errors for calls that cannot be recorded: they need values, change a tensor in place, or use weights directly."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.name_lookup import own_name
from kerastorch.core.torch_private import CALL_CODE
from kerastorch.symbolic.fake_tensors import is_data_dependent


def display_name(target: Any) -> str:
    """Return the name of a module (with its `name`, if it has one), function or method for an error message."""
    if isinstance(target, nn.Module):
        name = own_name(target)
        return type(target).__name__ if name is None else f"{type(target).__name__} {name!r}"
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def needs_values(what: str, symbol: Any) -> TypeError:
    """Return the error for code (`what`: its description) that reads the values of a symbol."""
    return TypeError(
        f"{what} needs the numbers of {symbol!r}, and a functional model is put together before there are any. "
        "Use functions of torch (torch.where instead of if), or put this code into the forward of a module."
    )


def explain_failure(error: Exception, target: Any, shapes: Iterable[tuple[Any, ...]]) -> Exception:
    """Return an error in the user's words for one that `target` raised on fake tensors.

    Args:
        error: The error of the call.
        target: The module, function or method that was called.
        shapes: The shapes of the tensors and symbols among its arguments.
    """
    name = display_name(target)
    if is_data_dependent(error):
        return TypeError(
            f"{name} goes by the numbers in its input, and a functional model is put together before there are "
            "any. Put it into a module with a forward of its own, and that into Model(module)."
        )
    reason = str(error).partition("\n")[0] or type(error).__name__
    return ValueError(f"{name} cannot take inputs of shape {', '.join(map(str, shapes))}: {reason}")


def check_function(target: Any, kwargs: Mapping[str, Any], tensors: Iterable[Tensor]) -> None:
    """Raise if a call of a function or tensor method cannot be a node of a graph.

    Args:
        target: The function, or the name of the method.
        kwargs: Its keyword arguments.
        tensors: The tensors among its arguments that are not symbolic.

    Raises:
        TypeError: The call would change a tensor in place, uses weights that no module in the graph would own, or comes
            from the `forward` of a torch module that was called on a symbol directly.
    """
    name = display_name(target)
    check_no_weights(name, tensors)
    in_place = kwargs.get("inplace") or kwargs.get("out") is not None
    underscored = name.endswith("_") and not name.endswith("__") and getattr(operator, name, None) is not target
    if in_place or underscored:
        raise TypeError(
            f"{name} changes a tensor in place, which a symbol cannot be; use the function that returns a new one."
        )
    module = _running_module()
    if module is not None:
        raise TypeError(f"{type(module).__name__} was called on a symbol; call it as kerastorch.call(module, x).")


def check_no_weights(name: str, tensors: Iterable[Tensor]) -> None:
    """Raise if a tensor requires a gradient: the graph would hold a copy of it, which training does not change.

    Args:
        name: The name of what is called, for the message.
        tensors: The tensors among its arguments that are not symbolic.
    """
    weights = [tensor for tensor in tensors if tensor.requires_grad]
    if any(isinstance(weight, nn.Parameter) for weight in weights):
        raise TypeError(
            f"{name} was called on a symbol together with a parameter, which would belong to no module. "
            "Call a torch module as kerastorch.call(module, x); put a parameter of your own into a module."
        )
    if weights:
        raise TypeError(
            f"{name} was called on a symbol together with a tensor made of weights, which would learn nothing there. "
            "Call the layer that made it on a symbol: Embedding(n, d)(torch.arange(n).expand_as(x))."
        )


def _running_module() -> nn.Module | None:
    """Return the innermost torch module whose `forward` is running, or `None`.

    A torch module that is called on a symbol directly runs its `forward`, whose functions would be recorded one by
    one, with its weights among their arguments.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is CALL_CODE and isinstance(frame.f_locals.get("self"), nn.Module):
            return frame.f_locals["self"]  # type: ignore[no-any-return]
        frame = frame.f_back
    return None
