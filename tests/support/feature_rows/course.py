"""Features of a fit: averages, unfreezing, checkpointed activations, limits and schedulers."""

import torch
from torch.optim import lr_scheduler

from kerastorch import callbacks
from support.feature_rows.feature import EPOCHS, Feature, mean_loss, sgd


def train_first_later(module, epoch):
    for weight in module.first.parameters():
        weight.requires_grad_(epoch >= 2)


def unfused_sgd(module):  # torch's fused kernel needs a momentum for all weights or for none
    return [torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)]


FEATURES = {
    "a moving average": Feature(
        sgd(), {"average": 0.9}, lambda: {"callbacks": [callbacks.ExponentialMovingAverage(0.9)]}
    ),
    "unfreezing": Feature(
        sgd(),
        {"begin_epoch": train_first_later, "optimizers": unfused_sgd},
        lambda: {"callbacks": [callbacks.Unfreeze({3: "*first*"})]},
        compilations=2,
        rtol=1e-5,
    ),
    "checkpointed activations": Feature(
        sgd(),
        prepare=lambda model: model.checkpoint_activations(["*first", "*norm"]),
        uncompiled="the activations of Linear are checkpointed",
    ),
    "limit_batches": Feature(sgd(), {"limit": 3}, lambda: {"limit_batches": 3}, logs={"loss": mean_loss}),
    "a scheduler by epoch": Feature(
        sgd(),
        {"schedulers": lambda optimizer: (lr_scheduler.StepLR(optimizer, 2, 0.5), None)},
        lambda: {"callbacks": [callbacks.LRScheduler(lr_scheduler.StepLR, step_size=2, gamma=0.5)]},
        logs={"learning_rate": lambda seen: 0.1 * 0.5 ** ((EPOCHS - 1) // 2)},
    ),
    "a scheduler by batch": Feature(
        sgd(),
        {"schedulers": lambda optimizer: (None, lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 20))},
        lambda: {
            "callbacks": [
                callbacks.LRScheduler(
                    lr_scheduler.LinearLR, interval="batch", start_factor=0.1, end_factor=1.0, total_iters=20
                )
            ]
        },
        logs={"learning_rate": lambda seen: 0.1},
    ),
}
