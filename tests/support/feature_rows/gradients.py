"""Features of the step: clipping, accumulation, precision, optimizers and rates."""

import torch
from torch import nn

from kerastorch import callbacks, optimizers
from kerastorch.optimizers import schedules
from support.feature_rows.feature import BATCHES, EPOCHS, Feature, mean_loss, sgd

SCALED = "the scale of the loss changes from step to step, and steps that overflow are left out"


def clip_each(module, made, step):
    for weight in module.parameters():
        weight.grad *= 0.05 / weight.grad.norm().clamp(min=0.05)


def halve(module, made, step):
    for weight in module.parameters():
        weight.grad *= 0.5


class Halve(callbacks.Callback):
    def on_before_optimizer_step(self, optimizer):
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad *= 0.5


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2, without weight decay."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self):
        for weight in self.param_groups[0]["params"]:
            mean = self.state[weight].get("mean", torch.zeros_like(weight))
            weight -= 0.01 * torch.sign(0.9 * mean + 0.1 * weight.grad)
            self.state[weight]["mean"] = 0.99 * mean + 0.01 * weight.grad


def matrices_and_others(module):
    """Return the weights with two axes, and the others."""
    weights = list(module.parameters())
    return [one for one in weights if one.ndim > 1], [one for one in weights if one.ndim <= 1]


def decaying_adamw(module):
    matrices, others = matrices_and_others(module)
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=1e-2, eps=1e-7, weight_decay=0.5, fused=True)]


def slow_first(module):
    slow = list(module.first.parameters())
    groups = [{"params": slow, "lr": 0.01}, {"params": [*module.norm.parameters(), *module.last.parameters()]}]
    return [torch.optim.SGD(groups, lr=0.1, momentum=0.9, fused=True)]


def two_optimizers(module):
    others = [*module.norm.parameters(), *module.last.parameters()]
    return [
        torch.optim.SGD(module.first.parameters(), lr=0.1, fused=True),
        torch.optim.Adam(others, lr=0.01, eps=1e-7, fused=True),
    ]


def warm_up_and_decay(module, made, step):
    rate = 0.2 * step / 5 if step < 5 else 0.2 * 0.5 ** ((step - 5) / 10)
    made[0].param_groups[0]["lr"] = rate


FEATURES = {
    "default": Feature(sgd(), logs={"loss": mean_loss}),
    "adam": Feature(
        lambda: {"optimizer": "adam"},
        {"optimizers": lambda module: [torch.optim.Adam(module.parameters(), lr=1e-3, eps=1e-7, fused=True)]},
        logs={"loss": mean_loss},
    ),
    "clipnorm": Feature(sgd(clipnorm=0.05), {"before_step": clip_each}),
    "clipvalue": Feature(
        sgd(clipvalue=0.01),
        {"before_step": lambda module, made, step: nn.utils.clip_grad_value_(module.parameters(), 0.01)},
    ),
    "global_clipnorm": Feature(
        sgd(global_clipnorm=0.1),
        {"before_step": lambda module, made, step: nn.utils.clip_grad_norm_(module.parameters(), 0.1)},
    ),
    "accumulation": Feature(  # 24 batches: 4 steps, and 4 batches that make no step
        sgd(gradient_accumulation_steps=5),
        {"every": 5},
        uncompiled="gradient_accumulation_steps is larger than 1",
    ),
    "use_ema": Feature(sgd(use_ema=True, ema_momentum=0.9), {"average": 0.9}),
    "loss scale": Feature(sgd(loss_scale_factor=8.0), {"scale": 8.0}),
    "bf16": Feature(lambda: {**sgd()(), "precision": "bf16"}, {"dtype": torch.bfloat16}, compiled_rtol=0.1),
    "fp16": Feature(lambda: {**sgd()(), "precision": "fp16"}, {"dtype": torch.float16}, uncompiled=SCALED),
    "a class of torch": Feature(
        lambda: {"optimizer": optimizers.Torch(torch.optim.NAdam, lr=0.01, clipvalue=0.01)},
        {
            "optimizers": lambda module: [torch.optim.NAdam(module.parameters(), lr=0.01, foreach=True)],
            "before_step": lambda module, made, step: nn.utils.clip_grad_value_(module.parameters(), 0.01),
        },
    ),
    "rates by pattern": Feature(
        lambda: {"optimizer": optimizers.SGD({"*first*": 0.01, "*": 0.1}, momentum=0.9)}, {"optimizers": slow_first}
    ),
    "decay without biases": Feature(
        lambda: {"optimizer": optimizers.AdamW(1e-2, weight_decay=optimizers.ExceptBiasAndNorm(0.5))},
        {"optimizers": decaying_adamw},
    ),
    "two optimizers": Feature(
        lambda: {"optimizer": {"*first*": optimizers.SGD(0.1), "*": optimizers.Adam(0.01)}},
        {"optimizers": two_optimizers},
        uncompiled="there are several optimizers",
    ),
    "schedule": Feature(
        lambda: {
            "optimizer": optimizers.SGD(schedules.Warmup(schedules.ExponentialDecay(0.2, 10, 0.5), 5), momentum=0.9)
        },
        {"before_step": warm_up_and_decay},
        logs={"learning_rate": lambda seen: 0.2 * 0.5 ** ((EPOCHS * BATCHES - 6) / 10)},
        rtol=1e-6,
    ),
    "lion": Feature(
        lambda: {"optimizer": optimizers.Lion(0.01)},
        {"optimizers": lambda module: [Lion(module.parameters())]},
        rtol=1e-5,
    ),
    "a hook before the step": Feature(
        sgd(),
        {"before_step": halve},
        lambda: {"callbacks": [Halve()]},
        uncompiled="while callbacks have hooks within a step",
    ),
}  # fmt: skip
