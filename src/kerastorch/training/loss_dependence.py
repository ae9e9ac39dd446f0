"""What a scalar beside the outputs of a model depends on: whether it can be the loss of these outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.model_outputs import named_loss, outer_parts, returned_loss
from kerastorch.core.nested import leaves


def leaf_tensors(tensors: Iterable[Tensor]) -> dict[int, Tensor]:
    """Return the leaves of the autograd graph, mostly parameters, that tensors depend on, by `id`."""
    found: dict[int, Tensor] = {}
    seen: set[Any] = set()
    waiting: list[Any] = []
    for tensor in tensors:
        if tensor.grad_fn is not None:
            waiting.append(tensor.grad_fn)
        elif tensor.requires_grad:
            found[id(tensor)] = tensor
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found[id(variable)] = variable
        waiting.extend(following for following, _ in node.next_functions if following is not None)
    return found


def _tensors_with_axes(outputs: Any) -> list[Tensor]:
    return [one for _, one in leaves(outer_parts(outputs)) if isinstance(one, Tensor) and one.ndim]


def parameter_reason(scalar: Tensor, outputs: Any) -> str | None:
    """Return why a scalar beside outputs is surely no loss of theirs, for a message; `None` if it may be one.

    Args:
        scalar: The only scalar that the model returned.
        outputs: All that it returned, of a batch with gradients; without gradients nothing is known.
    """
    others = leaf_tensors(_tensors_with_axes(outputs))
    if not torch.is_grad_enabled() or not others or named_loss(outputs) is not None:
        return None
    own = leaf_tensors([scalar])
    if not own:
        return "it has no gradient"
    depends_on_one = len(own) == 1 and next(iter(own.values())).numel() == 1 and others.keys() - own.keys()
    return "it depends on a single learned number, as a scale or a temperature does" if depends_on_one else None


def adoption_reason(outputs: Any) -> str | None:
    """Return why the loss that a model returned is not used unless `compile` says so; `None` if it is.

    A scalar of a tuple has no name. It is used if it depends on all weights that the other outputs depend on, and is
    not negative.

    Args:
        outputs: What the model returned for a first batch.
    """
    found = returned_loss(outputs)
    if found is None or found.parts or named_loss(outputs) is not None or isinstance(outputs, Tensor):
        return None
    others = _tensors_with_axes(outputs)
    if not others:
        return None
    if not torch.is_grad_enabled():
        return "a batch without gradients does not show whether the scalar is the loss"
    reason = parameter_reason(found.total, outputs)
    if reason is not None:
        return f"its scalar is no loss: {reason}"
    if leaf_tensors(others).keys() - leaf_tensors([found.total]).keys():
        return "its scalar does not depend on all weights that the outputs depend on"
    return "its scalar is negative" if bool(found.total.detach() < 0) else None
