"""The optimizer's step within fit is torch's, hooks, schedules and profilers included."""

import functools

import pytest
import torch
from torch import nn
from torch.optim.optimizer import (
    _use_grad_for_differentiable,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

import kerastorch as kt
from kerastorch.training.unwrapped_step import UnwrappedStep


def batches(rows=64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 4, generator=generator)
    return x, x.sum(1, keepdim=True)


def model_with(make, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = make(net.parameters())
    model = kt.Model(net)
    model.compile(optimizer, nn.MSELoss())
    return model, optimizer


def by_hand(make, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = make(net.parameters())
    x, y = batches()
    for rows in torch.arange(64).split(16):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
    return net


class Counted(torch.optim.SGD):
    """Overrides both methods."""

    steps = zeroed = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)

    def zero_grad(self, set_to_none=True):
        self.zeroed += 1
        super().zero_grad(set_to_none)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(torch.optim.Adam, lr=0.01, fused=True),
        functools.partial(torch.optim.AdamW, lr=0.01),
        functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
        functools.partial(torch.optim.RMSprop, lr=0.01),
        functools.partial(Counted, lr=0.1),
    ],
)
def test_fit_steps_to_the_same_bits_as_a_loop_by_hand(make):
    model, _ = model_with(make)
    model.fit(*batches(), batch_size=16, shuffle=False, verbose=0)
    for ours, theirs in zip(model.parameters(), by_hand(make).parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_optimizer_that_overrides_step_and_zero_grad_is_heard():
    model, optimizer = model_with(functools.partial(Counted, lr=0.1))
    model.fit(*batches(), batch_size=16, verbose=0)
    assert (optimizer.steps, optimizer.zeroed) == (4, 4)


def test_hooks_added_while_fit_runs_are_called_from_then_on():
    calls = []
    model, optimizer = model_with(torch.optim.Adam)
    handles = []

    def add(batch, logs):
        if batch == 1:
            handles.append(optimizer.register_step_pre_hook(lambda *_: calls.append("pre")))
            handles.append(optimizer.register_step_post_hook(lambda *_: calls.append("post")))

    model.fit(*batches(), batch_size=16, verbose=0, callbacks=kt.callbacks.LambdaCallback(on_train_batch_end=add))
    assert calls == ["pre", "post"] * 2
    for handle in handles:
        handle.remove()
    model.fit(*batches(), batch_size=16, verbose=0)
    assert calls == ["pre", "post"] * 2


def test_hooks_of_all_optimizers_are_called():
    calls = []
    model, _ = model_with(torch.optim.Adam)
    handles = [
        register_optimizer_step_pre_hook(lambda *_: calls.append("pre")),
        register_optimizer_step_post_hook(lambda *_: calls.append("post")),
    ]
    try:
        model.fit(*batches(), batch_size=32, verbose=0)
    finally:
        for handle in handles:
            handle.remove()
    assert calls == ["pre", "post"] * 2


def test_a_schedule_made_on_the_optimizer_hears_the_steps():
    model, optimizer = model_with(functools.partial(torch.optim.SGD, lr=1.0))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    step = kt.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: schedule.step())
    model.fit(*batches(), epochs=2, verbose=0, callbacks=step)  # torch warns if it sees no optimizer.step() before
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_step_wrapped_by_the_user_is_called_as_it_is():
    calls = []

    class Mine(torch.optim.SGD):
        pass

    model, _ = model_with(functools.partial(Mine, lr=0.1))
    model.fit(*batches(), batch_size=16, verbose=0)
    before = Mine.step

    @functools.wraps(before)
    def counted(*args):
        calls.append(1)
        return before(*args)

    Mine.step = counted
    model.fit(*batches(), batch_size=16, verbose=0)
    other, _ = model_with(functools.partial(Mine, lr=0.1))
    other.fit(*batches(), batch_size=16, verbose=0)
    assert len(calls) == 8


def test_a_profiler_sees_the_steps_of_the_optimizer():
    model, _ = model_with(torch.optim.Adam)
    model.fit(*batches(), batch_size=16, verbose=0)
    with torch.autograd.profiler.profile() as seen:
        model.fit(*batches(), batch_size=16, verbose=0)
    counts = {event.key: event.count for event in seen.key_averages()}
    assert counts["Optimizer.step#Adam.step"] == counts["Optimizer.zero_grad#Adam.zero_grad"] == 4


def test_a_hook_before_the_step_may_give_it_other_arguments():
    seen = []

    class Mine(torch.optim.SGD):
        def step(self, closure=None, factor=1):
            seen.append(factor)

    model, optimizer = model_with(functools.partial(Mine, lr=0.1))
    optimizer.register_step_pre_hook(lambda self, args, kwargs: (args, {"factor": 2}))
    optimizer.register_step_post_hook(lambda self, args, kwargs: seen.append(kwargs))
    model.fit(*batches(), batch_size=32, verbose=0)
    assert seen == [2, {"factor": 2}] * 2


@pytest.mark.parametrize("grad", [True, False])
def test_a_step_that_fails_leaves_the_gradient_mode_as_it_was(grad):
    class Failing(torch.optim.Adam):
        step = _use_grad_for_differentiable(lambda self, closure=None: 1 / 0)

    step = UnwrappedStep(Failing([torch.zeros(1, requires_grad=True)]))
    with torch.set_grad_enabled(grad):
        with pytest.raises(ZeroDivisionError):
            step.step()
        assert torch.is_grad_enabled() is grad
