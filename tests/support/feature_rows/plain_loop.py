"""The loop that a PyTorch user writes, with one argument for each thing that a feature changes."""

import contextlib
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils import _pytree as pytree


class Seen(NamedTuple):
    """What a batch of the last epoch was trained with: its outputs, loss, targets and weights."""

    outputs: Any
    loss: float
    y: Any
    weight: Any


def cross_entropy(module, x, outputs, y, weight):
    """Return the mean over the rows; weighted rows count as they do in Keras."""
    if weight is None:
        return F.cross_entropy(outputs, y)
    return (F.cross_entropy(outputs, y, reduction="none") * weight).mean()


def sgd(module):
    """Return the optimizer of most rows."""
    return [torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, fused=True)]


def plain_loop(
    module,
    batches,
    epochs,
    *,
    optimizers=sgd,
    loss=cross_entropy,
    begin_epoch=None,
    before_step=None,
    schedulers=lambda optimizer: (None, None),
    every=1,
    scale=1.0,
    dtype=None,
    average=None,
    limit=None,
):
    """Train a module of torch.

    Args:
        module: Trained in place.
        batches: `(x, y, weight)` of the batches of each epoch; the module is called with `x`.
        epochs: Number of epochs.
        optimizers: Function of the module that returns its optimizers.
        loss: Function of module, inputs, outputs, targets and weights.
        begin_epoch: Called with the module and the number of the epoch.
        before_step: Called with the module, its optimizers and the number of the step, when gradients are complete.
        schedulers: Function of the first optimizer that returns a scheduler stepped after each epoch, and one stepped
            after each batch.
        every: Number of batches for a step.
        scale: Factor of the loss, by which gradients are divided.
        dtype: Number format of the forward pass, if it is not float32.
        average: Momentum of a moving average that replaces the weights in the end.
        limit: Number of batches of an epoch, if it is not all of them.

    Returns:
        What the batches of the last epoch were trained with.
    """
    made = optimizers(module)
    by_epoch, by_batch = schedulers(made[0])
    scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
    averaged = None if average is None else AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(average))
    count = steps = 0
    for epoch in range(epochs):
        seen = []
        if begin_epoch is not None:
            begin_epoch(module, epoch)
        for x, y, weight in batches[:limit]:
            with contextlib.nullcontext() if dtype is None else torch.autocast("cpu", dtype):
                outputs = module(x)
            outputs = pytree.tree_map(torch.Tensor.float, outputs)
            value = loss(module, x, outputs, y, weight)
            scaler.scale(value * scale if scale != 1.0 else value).backward()
            count += 1
            seen.append(Seen(pytree.tree_map(torch.Tensor.detach, outputs), value.item(), y, weight))
            if count % every == 0:
                for optimizer in made if dtype is torch.float16 else ():
                    scaler.unscale_(optimizer)
                if scale * every != 1.0:
                    _divide(module, scale * every)
                if before_step is not None:
                    before_step(module, made, steps)
                for optimizer in made:
                    scaler.step(optimizer)
                    optimizer.zero_grad()
                scaler.update()
                steps += 1
                if averaged is not None:
                    averaged.update_parameters(module)
            if by_batch is not None:
                by_batch.step()
        if by_epoch is not None:
            by_epoch.step()
    if averaged is not None:
        module.load_state_dict(averaged.module.state_dict())
    return seen


def _divide(module, by):
    for weight in module.parameters():
        if weight.grad is not None:
            weight.grad.div_(by)
