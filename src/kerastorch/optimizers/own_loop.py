"""Settings of an optimizer in a loop of a script's own: the first step makes the optimizer, as in Keras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from kerastorch.optimizers.step_hooks import TorchOptimizer


class OwnLoop:
    """Mixin for settings: Keras' `apply`, `apply_gradients`, `variables` and `iterations`.

    Attributes:
        iterations: Number of steps that `apply` has made.
    """

    iterations = 0
    _in_loop: Any = None  # the optimizer that the first step has made

    def apply(self, grads: Sequence[Tensor | None], trainable_variables: Sequence[Tensor] | None = None) -> None:
        """Make a step with gradients.

        The first call makes an optimizer of the parameters; later calls use it.

        Args:
            grads: The gradient of each parameter; `None` for a parameter that stays as it is.
            trainable_variables: The parameters, in the same order. Default: those of the first call.

        Raises:
            ValueError: The first call has no parameters, or a later one has others.
        """
        if self._in_loop is None:
            if trainable_variables is None:
                raise ValueError("The first apply(grads, trainable_variables) needs the parameters.")
            trainable_variables = [*trainable_variables]
            self._in_loop = self(trainable_variables)
        else:
            self._follow_rate(self._in_loop)
        self._in_loop.apply(grads, trainable_variables)
        self.iterations += 1

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Tensor]]) -> None:
        """Make a step with pairs of a gradient and its parameter, as `apply` does.

        Args:
            grads_and_vars: The pairs, such as `zip(grads, model.trainable_weights)`.
        """
        pairs = [*grads_and_vars]
        self.apply([grad for grad, _ in pairs], [parameter for _, parameter in pairs])

    @property
    def variables(self) -> list[Tensor]:
        """The tensors of the state of the optimizer that `apply` made; none before the first step."""
        return [] if self._in_loop is None else self._in_loop.variables

    def __call__(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return the optimizer of parameters."""
        raise NotImplementedError

    def _follow_rate(self, made: Any) -> None:
        """Set the learning rate of the optimizer to that of the settings, which a script may have changed."""
        rate = getattr(self, "learning_rate", None)
        if isinstance(rate, (int, float)) and len(made.param_groups) == 1:
            made.param_groups[0]["lr"] = rate
