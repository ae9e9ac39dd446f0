"""Keras' methods of optimizers that are given gradients: `apply`, `apply_gradients`, and `variables`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from kerastorch.core.errors import shown


class AppliedGradients:
    """Mixin for optimizers of torch: a step with gradients that the caller has computed."""

    param_groups: list[dict[str, Any]]
    state: dict[Tensor, dict[str, Any]]

    def apply(self, grads: Sequence[Tensor | None], trainable_variables: Sequence[Tensor] | None = None) -> None:
        """Make a step with gradients; other parameters stay as they are.

        The gradients are stored as `grad` of their parameters, as `backward` stores them.

        Args:
            grads: The gradient of each parameter; `None` for a parameter that stays as it is.
            trainable_variables: The parameters, in the same order. Default: all of the optimizer.

        Raises:
            ValueError: The numbers differ, a shape differs, or the optimizer does not have a parameter.
        """
        known = {id(one): one for group in self.param_groups for one in group["params"]}
        given = [*known.values()] if trainable_variables is None else [*trainable_variables]
        if len(grads) != len(given):
            raise ValueError(f"apply was given {len(grads)} gradients for {len(given)} parameters.")
        for grad, parameter in zip(grads, given, strict=True):
            _check(grad, parameter, id(parameter) in known)
        chosen = {id(parameter) for parameter in given}
        others = [(one, one.grad) for one in known.values() if id(one) not in chosen]
        for one, _ in others:
            one.grad = None
        for grad, parameter in zip(grads, given, strict=True):
            parameter.grad = None if grad is None else grad.detach()
        try:
            self.step()  # type: ignore[attr-defined]
        finally:
            for one, grad in others:
                one.grad = grad

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Tensor]]) -> None:
        """Make a step with pairs of a gradient and its parameter, as `apply` does.

        Args:
            grads_and_vars: The pairs, such as `zip(grads, model.trainable_weights)`.
        """
        pairs = [*grads_and_vars]
        self.apply([grad for grad, _ in pairs], [parameter for _, parameter in pairs])

    @property
    def variables(self) -> list[Tensor]:
        """The tensors of the state, such as moments and numbers of steps; none before the first step."""
        return [value for state in self.state.values() for value in state.values() if isinstance(value, Tensor)]


def _check(grad: Any, parameter: Any, is_known: bool) -> None:
    if not is_known:
        raise ValueError(f"apply: the optimizer does not have the parameter {shown(parameter)}.")
    if grad is None:
        return
    if not isinstance(grad, torch.Tensor) or grad.shape != parameter.shape:
        given = tuple(grad.shape) if isinstance(grad, torch.Tensor) else type(grad).__name__
        raise ValueError(f"apply: a gradient is {given}, its parameter has shape {tuple(parameter.shape)}.")
