"""LossScaleOptimizer: an optimizer whose losses are scaled, so that small gradients survive in float16."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.representation import represent
from kerastorch.optimizers.parameter_groups import ParameterGroup
from kerastorch.optimizers.step_hooks import TorchOptimizer
from kerastorch.optimizers.step_options import StepOptions


class LossScaleOptimizer(StepOptions):
    """Scale the loss of an inner optimizer by a factor that adapts itself, by `torch.amp.GradScaler`.

    The loss is multiplied by the scale before the backward pass, and the gradients are divided by it. If a gradient is
    not finite, the step is left out and the scale is halved; after `dynamic_growth_steps` steps without that it is
    doubled. `compile(precision="fp16")` scales the losses of every optimizer by itself; use this class to choose the
    first scale, or its growth.

    Args:
        inner_optimizer: Settings of the optimizer, such as `Adam(1e-3)` or `Torch(torch.optim.SGD, lr=0.1)`.
        initial_scale: The first scale, > 0. Default 2 ** 15.
        dynamic_growth_steps: Steps with finite gradients after which the scale is doubled, >= 1. Default 2000.
        name: Name for error messages. Default: that of the class.

    Raises:
        TypeError: `inner_optimizer` is no settings of an optimizer.
        ValueError: A number is out of its bounds; the inner optimizer has a `loss_scale_factor` itself.

    >>> from kerastorch.optimizers import SGD
    >>> LossScaleOptimizer(SGD(0.1), initial_scale=1024)
    LossScaleOptimizer(inner_optimizer=SGD(learning_rate=0.1), initial_scale=1024.0)
    """

    def __init__(
        self,
        inner_optimizer: StepOptions,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, StepOptions) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise TypeError(
                "LossScaleOptimizer needs settings of an optimizer, such as Adam(1e-3) or Torch(torch.optim.SGD, "
                f"lr=0.1), got {inner_optimizer!r}."
            )
        if inner_optimizer.loss_scale_factor:
            raise ValueError("the inner optimizer has a loss_scale_factor; leave it out, the scale adapts itself.")
        self.inner_optimizer = inner_optimizer
        self.initial_scale = check_float("initial_scale", initial_scale, above=0)
        self.dynamic_growth_steps = check_int("dynamic_growth_steps", dynamic_growth_steps)
        options = {one.name: getattr(inner_optimizer, one.name) for one in fields(StepOptions) if one.name != "name"}
        super().__init__(**options, name=name)

    def __repr__(self) -> str:
        return represent(self, name=type(self).__name__)

    def scaler(self, device_type: str) -> torch.amp.GradScaler:
        """Return a new scaler for a kind of device."""
        return torch.amp.GradScaler(
            device_type, init_scale=float(self.initial_scale), growth_interval=self.dynamic_growth_steps
        )

    @property
    def existing(self) -> TorchOptimizer | None:
        return self.inner_optimizer.existing

    def read_modules(self, model: nn.Module) -> None:
        self.inner_optimizer.read_modules(model)

    @property
    def is_grouped(self) -> bool:
        return self.inner_optimizer.is_grouped

    def group(self, named: Mapping[str, Tensor]) -> list[ParameterGroup]:
        return self.inner_optimizer.group(named)

    def check_without_fit(self) -> None:
        raise ValueError(
            f"{self.name} scales the loss in fit(); in your own loop use torch.amp.GradScaler, and make the optimizer "
            "of the inner settings."
        )

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        return self.inner_optimizer.build(params)
