"""ExponentialMovingAverage: evaluate and save a moving average of the weights, with any optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kerastorch.callbacks.averaging_callback import AveragingCallback
from kerastorch.callbacks.weight_replacement import Replacement, WeightAverage
from kerastorch.core.errors import check_float
from kerastorch.optimizers.step_hooks import Average, TorchOptimizer, optimizer_parameters


class ExponentialMovingAverage(AveragingCallback):
    r"""A callback that averages the weights over the steps, and uses the average for all but training.

    After the first step of the optimizer the average $\bar w$ is a copy of the weights $w$. After each further step it
    is $\bar w \leftarrow m \bar w + (1 - m) w$ with the momentum $m$, as in `torch.optim.swa_utils.AveragedModel` with
    `get_ema_multi_avg_fn(m)`. Any optimizer can be used, those of `torch.optim`, too.

    The average is in place during the validation of an epoch and all other calls of `evaluate` and `predict` within
    `fit`, for what callbacks do at the end of an epoch, for each file of `ModelCheckpoint`, and after `fit`. So `save`,
    `export` and `predict` use it. The hooks of this callback are called before those of others, wherever it is in the
    list. After an error or Ctrl-C the model has the trained weights. Another `fit` starts from the average, and starts
    a new one.

    The average takes as much memory as the weights; while it is in place, the trained weights take it once more.

    Args:
        momentum: Share of the old average that is kept at each step, in [0, 1]. Default 0.999: the average is over
            about the last 1000 steps, and too slow for a training of a few hundred. Then use a smaller value, or
            `warmup=True`.
        use_buffers: Whether floating-point buffers, such as the running statistics of batch normalization, are
            averaged, too. Default `False`: those of the training are used.
        warmup: Whether the momentum is at most $(1 + t) / (10 + t)$ after $t$ averaged steps, as in TensorFlow's
            `ExponentialMovingAverage(num_updates=t)`, so that the first weights do not stay in the average for long.
            Default `False`.

    Raises:
        ValueError: `momentum` is out of range; or, when `fit` begins, the optimizer or another callback averages the
            weights, too.

    >>> ExponentialMovingAverage(0.99)
    ExponentialMovingAverage(momentum=0.99)
    """

    def __init__(self, momentum: float = 0.999, *, use_buffers: bool = False, warmup: bool = False) -> None:
        super().__init__()
        self.momentum = check_float("momentum", momentum, least=0, most=1)
        self.use_buffers = use_buffers
        self.warmup = warmup

    def _begin(self) -> list[Replacement]:
        """Average the weights of each optimizer after each of its steps."""
        averages: list[Replacement] = []
        for optimizer in self.model.trainer.optimizer_step.optimizers:
            average = WeightAverage(self._averaged_tensors(optimizer, has_buffers=not averages), self._combine)
            averages.append(average)
            handle = optimizer.register_step_post_hook(_AveragingHook(self.momentum, average))
            self._at_end.append(handle.remove)
        return averages

    def _averaged_tensors(self, optimizer: TorchOptimizer, has_buffers: bool) -> Any:
        """Return a function that returns the weights of an optimizer, and the buffers of the model if wanted."""
        model = self.model

        def tensors() -> Sequence[Tensor]:
            weights = optimizer_parameters(optimizer)
            return [*weights, *model.buffers()] if self.use_buffers and has_buffers else weights

        return tensors

    def _combine(self, averages: list[Tensor], tensors: list[Tensor], count: Tensor) -> None:
        """Update the averages with new values of the tensors."""
        steps = int(count)
        momentum = min(self.momentum, (1 + steps) / (10 + steps)) if self.warmup else self.momentum
        get_ema_multi_avg_fn(momentum)(averages, tensors, count)


class _AveragingHook(Average):
    """Hook after a step that updates an average which is kept outside the optimizer.

    Args:
        momentum: Share of the old average that is kept.
        average: The average.
    """

    def __init__(self, momentum: float, average: WeightAverage) -> None:
        super().__init__(momentum, None)
        self._average = average

    @torch.no_grad()
    def __call__(self, optimizer: TorchOptimizer, args: Any, kwargs: Any) -> None:
        self._average.update()
