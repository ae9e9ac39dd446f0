"""The one way from a loss to new weights: zero, backward, unscale, guard, clip, step, constrain, average."""

import copy

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers, optimizers
from kerastorch.core.errors import CheckpointError
from kerastorch.optimizers.step_hooks import Clip
from kerastorch.training.optimizer_step import OptimizerStep

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = -X.sum(1, keepdim=True)


def constrained():
    torch.manual_seed(0)
    return kt.Sequential([kt.Input((3,)), layers.Dense(1, kernel_constraint="non_neg")])


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_moving_average_is_one_of_constrained_weights(jit):
    model = constrained()
    weight, bias = (tensor.detach().clone().requires_grad_() for tensor in model.parameters())
    by_hand = torch.optim.SGD([weight, bias], lr=0.1)
    averages = []
    for _ in range(4):
        for rows in range(0, 24, 6):
            by_hand.zero_grad()
            nn.functional.mse_loss(X[rows : rows + 6] @ weight.T + bias, Y[rows : rows + 6]).backward()
            by_hand.step()
            with torch.no_grad():
                weight.clamp_(min=0)
            now = [tensor.detach().clone() for tensor in (weight, bias)]
            averages = [old.lerp(new, 0.5) for old, new in zip(averages, now, strict=True)] if averages else now
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse", jit_compile=jit)
    model.fit(X, Y, 6, 4, verbose=0, shuffle=False)
    for found, average in zip(model.parameters(), averages, strict=True):
        torch.testing.assert_close(found.detach(), average)
    assert (model.layers[-1].weight >= 0).all()


def test_the_hook_for_constraints_goes_on_every_way_out_of_training():
    model = constrained()
    model.compile(optimizers.SGD(0.1, use_ema=True), "mse")
    hooks = []

    def count(batch, logs):
        hooks.append(len(model.optimizer._optimizer_step_post_hooks))
        if batch == 1:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        model.fit(X, Y, 6, verbose=0, callbacks=[kt.callbacks.LambdaCallback(on_train_batch_end=count)])
    hooks.append(len(model.optimizer._optimizer_step_post_hooks))
    model.fit(X, Y, verbose=0)
    hooks.append(len(model.optimizer._optimizer_step_post_hooks))
    model.train_on_batch(X, Y)
    hooks.append(len(model.optimizer._optimizer_step_post_hooks))
    assert hooks == [2, 2, 1, 1, 1]  # the constraints and the average, or the average alone


class TwiceEvaluated(torch.optim.SGD):
    """Requires a closure, and is none of torch's classes: the gradient of the mean of two evaluations."""

    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        first = [weight.grad.clone() for group in self.param_groups for weight in group["params"]]
        with torch.enable_grad():
            closure()
        for weight, gradient in zip(self.param_groups[0]["params"], first, strict=True):
            weight.grad.add_(gradient).div_(2)
        super().step()
        return loss


def test_any_optimizer_whose_step_requires_a_closure_gets_one():
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    plain = copy.deepcopy(net)
    model = kt.Model(net)
    model.compile(TwiceEvaluated(net.parameters(), lr=0.1), "mse", metrics=["mae"])
    history = model.fit(X, Y, 6, 2, verbose=0, shuffle=False)
    by_hand, losses = torch.optim.SGD(plain.parameters(), lr=0.1), []
    for _ in range(2):
        for rows in range(0, 24, 6):
            by_hand.zero_grad()
            loss = nn.functional.mse_loss(plain(X[rows : rows + 6]), Y[rows : rows + 6])
            losses.append(loss.item())
            loss.backward()
            by_hand.step()
    torch.testing.assert_close(net.weight, plain.weight)
    assert history.history["loss"] == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4])


class AnyOptions(torch.optim.SGD):
    """Its step has no argument of its own."""

    def step(self, **options):
        super().step(**options)


def test_an_optimizer_whose_step_takes_options_alone_gets_no_closure():
    net = nn.Linear(3, 1)
    plain = copy.deepcopy(net)
    model = kt.Model(net)
    model.compile(AnyOptions(net.parameters(), lr=0.1), "mse")
    model.train_on_batch(X, Y)
    by_hand = torch.optim.SGD(plain.parameters(), lr=0.1)
    nn.functional.mse_loss(plain(X), Y).backward()
    by_hand.step()
    torch.testing.assert_close(net.weight, plain.weight)


def test_gradients_are_clipped_within_the_closure():
    net = nn.Linear(3, 1)
    optimizer = TwiceEvaluated(net.parameters(), lr=1.0)
    optimizer.register_step_pre_hook(Clip("clipvalue", 0.01))
    before = net.weight.detach().clone()
    model = kt.Model(net)
    model.compile(optimizer, "mse")
    model.train_on_batch(X, 100 * Y)
    assert (net.weight - before).abs().max() <= 0.01 + 1e-6


def test_minimize_is_the_short_name_of_backward_and_step():
    class Mine(kt.Model):
        def train_step(self, batch):
            loss = self.compute_loss(batch.x, batch.y, self(batch.x))
            self.trainer.minimize(loss)
            return {"loss": loss}

    net = nn.Linear(3, 1)
    before = net.weight.detach().clone()
    model = Mine(net)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert not torch.equal(net.weight, before)


def test_a_step_is_made_within_fit_alone():
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="within fit"):
        model.trainer.backward_and_step(torch.zeros((), requires_grad=True))


def test_the_loop_of_a_nested_evaluation_leaves_the_metrics_of_the_step_alone():
    class Looks(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(X, Y, verbose=0)

    torch.manual_seed(0)
    plain = nn.Linear(3, 1)
    curves = []
    for callbacks in ([], [Looks()]):
        model = kt.Model(copy.deepcopy(plain))
        model.compile("sgd", "mse", metrics=["mae"])
        curves.append(model.fit(X, Y, 6, 2, verbose=0, callbacks=callbacks).history)
    assert curves[0] == curves[1]


def test_two_callbacks_that_save_the_fit_are_refused(tmp_path):
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse")
    both = [kt.callbacks.BackupAndRestore(tmp_path / name) for name in "ab"]
    with pytest.raises(CheckpointError, match="two callbacks"):
        model.fit(X, Y, verbose=0, callbacks=both)


class Signs(torch.optim.Optimizer):
    """None of torch's: moves each weight by the sign of its gradient."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(group["lr"] * weight.grad.sign())


@pytest.mark.parametrize("kind", [torch.optim.RAdam, torch.optim.Adafactor, Signs])
def test_accumulated_gradients_of_any_optimizer_are_those_of_the_large_batch(kind):
    torch.manual_seed(0)
    nets = [nn.Linear(3, 1)]
    nets.append(copy.deepcopy(nets[0]))
    optimizers_ = [kind(net.parameters(), lr=0.01) for net in nets]
    step = OptimizerStep(optimizers_[0], optimizers.SGD(gradient_accumulation_steps=3, loss_scale_factor=8.0))
    for _ in range(3):
        for rows in range(0, 24, 8):
            step.backward_and_step(nn.functional.mse_loss(nets[0](X[rows : rows + 8]), Y[rows : rows + 8]))
        optimizers_[1].zero_grad()
        nn.functional.mse_loss(nets[1](X), Y).backward()
        optimizers_[1].step()
    torch.testing.assert_close(nets[0].weight, nets[1].weight)


def test_torchs_own_optimizer_is_clipped_within_fit_as_in_a_loop():
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    plain = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(Clip("global_clipnorm", 0.1))
    model = kt.Model(net)
    model.compile(optimizer, "mse")
    model.fit(X, 10 * Y, 6, 2, verbose=0, shuffle=False)
    by_hand = torch.optim.SGD(plain.parameters(), lr=0.1)
    for _ in range(2):
        for rows in range(0, 24, 6):
            by_hand.zero_grad()
            nn.functional.mse_loss(plain(X[rows : rows + 6]), 10 * Y[rows : rows + 6]).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
            by_hand.step()
    torch.testing.assert_close(net.weight, plain.weight)


def test_a_guard_rejects_a_batch_and_keeps_what_was_accumulated():
    net = nn.Linear(3, 1)
    step = OptimizerStep(torch.optim.SGD(net.parameters(), lr=0.1), optimizers.SGD(gradient_accumulation_steps=2))
    verdicts = iter([True, False, True])
    remove = step.listeners.register_guard(lambda loss: next(verdicts))
    before = net.weight.detach().clone()
    losses = [lambda rows=rows: nn.functional.mse_loss(net(X[rows]), Y[rows]) for rows in (slice(8), slice(8, 16))]
    expected = [torch.autograd.grad(loss(), net.weight)[0] for loss in losses]
    step.backward_and_step(losses[0]())
    step.backward_and_step(losses[1]())  # rejected
    assert torch.equal(net.weight, before)
    step.backward_and_step(losses[1]())
    torch.testing.assert_close(net.weight, before - 0.1 * (expected[0] + expected[1]) / 2)
    remove()
    assert not step.listeners.is_guarded


@pytest.mark.parametrize("batch_size", [8, 16])
def test_hooks_of_an_optimizer_with_a_schedule_see_the_gradients_of_the_step(batch_size):
    """A schedule of torch wraps `optimizer.step`; the wrapper has the signature of the unbound method."""
    x, y = torch.randn(32, 3), 100 * torch.randn(32, 1)

    def prepare():
        torch.manual_seed(0)
        net = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        torch.optim.lr_scheduler.StepLR(optimizer, 10)
        optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(net.parameters(), 1.0) and None)
        return net, optimizer

    plain, optimizer = prepare()
    for _ in range(3):
        for rows in torch.arange(32).split(batch_size):
            optimizer.zero_grad()
            nn.functional.mse_loss(plain(x[rows]), y[rows]).backward()
            optimizer.step()

    net, optimizer = prepare()
    model = kt.Model(net)
    model.compile(optimizer, nn.MSELoss(), jit_compile=False)
    model.fit(x, y, batch_size=batch_size, epochs=3, shuffle=False, verbose=0)
    torch.testing.assert_close(net.weight, plain.weight, rtol=0, atol=0)
    torch.testing.assert_close(net.bias, plain.bias, rtol=0, atol=0)


def test_an_optimizer_that_requires_a_closure_gets_one_beside_a_schedule():
    class Closing(torch.optim.SGD):
        def step(self, closure):
            self.losses = [*getattr(self, "losses", []), float(closure().detach())]
            super().step()

    net = nn.Linear(3, 1)
    optimizer = Closing(net.parameters(), 0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 10)
    model = kt.Model(net)
    model.compile(optimizer, nn.MSELoss())
    model.fit(torch.randn(8, 3), torch.randn(8, 1), batch_size=8, epochs=2, verbose=0)
    assert len(optimizer.losses) == 2
