"""F11: NaN or infinity in an input, the loss or one gradient, at random batches: never a step on it."""

import copy
import math
import random

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, TerminateOnNaN

CASES = 50
BATCHES, ROWS, EPOCHS = 10, 8, 3


class Look(Callback):
    """Keeps what there was before the last batch, and what there is after it."""

    def on_train_begin(self, logs=None):
        self.before, self.after = None, self.now()

    def on_train_batch_end(self, batch, logs=None):
        self.before, self.after = self.after, self.now()

    def now(self):
        return copy.deepcopy((self.model.state_dict(), self.model.optimizer.state_dict()["state"]))


def bits(state):
    """All of a nested state, tensors as bytes."""
    if isinstance(state, torch.Tensor):
        return state.numpy().tobytes()
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items()}
    return [bits(one) for one in state] if isinstance(state, (list, tuple)) else state


class Faulty:
    """A loss with a fault at one call."""

    def __init__(self, where, at, value, model):
        self.calls, self.where, self.at, self.value, self.model = 0, where, at, value, model

    def __call__(self, y_true, y_pred):
        self.calls += 1
        loss = (y_pred - y_true).square().mean()
        if self.calls == self.at and self.where == "loss":
            return loss + self.value
        return loss


def run(case):
    """One training with one fault: what was said, where it should be, and whether the state is the batch before's."""
    draw = random.Random(case)
    torch.manual_seed(case)
    where, value = draw.choice(["x", "loss", "gradient"]), draw.choice([math.nan, math.inf, -math.inf])
    at = draw.randrange(2, EPOCHS * BATCHES + 1)  # from 1; before the first step there is no state to compare
    epoch, batch = divmod(at - 1, BATCHES)
    model = kt.Model(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)))
    loss = Faulty(where, at, value, model)
    optimizer = draw.choice([
        kt.optimizers.Adam(), kt.optimizers.SGD(0.01, momentum=0.9), kt.optimizers.RMSprop(),
        kt.optimizers.AdamW(global_clipnorm=1.0), kt.optimizers.Adam(use_ema=True),
        kt.optimizers.Adam(gradient_accumulation_steps=2),
    ])  # fmt: skip
    model.compile(optimizer, loss)
    if where == "gradient":
        weight = draw.choice(list(model.parameters()))
        place = draw.randrange(weight.numel())

        def spoil(grad):
            if loss.calls == at:
                grad = grad.clone()
                grad.view(-1)[place] = value
            return grad

        weight.register_hook(spoil)

    def batches():
        for _ in range(BATCHES):
            x = torch.randn(ROWS, 6)
            if where == "x" and loss.calls == at - 1:
                x[draw.randrange(ROWS), draw.randrange(6)] = value
            yield x, torch.randn(ROWS, 1)

    look = Look()
    with pytest.raises(RuntimeError) as error:
        model.fit(batches, epochs=EPOCHS, verbose=0, callbacks=[look, TerminateOnNaN(raise_error=True)])
    return where, str(error.value), f"in epoch {epoch + 1}, batch {batch + 1}:", bits(look.before) == bits(look.after)


def test_every_fault_is_stopped_before_the_step_with_everything_as_the_batch_before(report):
    found = [run(case) for case in range(CASES)]
    assert [told for _, said, told, _ in found if told not in said] == []
    assert sum(equal for *_, equal in found) == CASES
    assert {where for where, *_ in found} == {"x", "loss", "gradient"}
    what = "NaN or infinity in x, loss or a gradient, under `TerminateOnNaN`"
    report("F11", what, CASES, "stopped before the step, epoch and batch named")
