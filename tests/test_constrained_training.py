"""Constraints hold after each step of the optimizer, however steps are made."""

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import Input, Sequential
from kerastorch.callbacks import Callback
from kerastorch.constraints import MaxNorm
from kerastorch.layers import Dense, PReLU


def _data(rows=96):
    kt.utils.set_random_seed(0)
    return torch.randn(rows, 4), torch.randn(rows, 2)


def _model(optimizer="sgd", **options):
    kt.utils.set_random_seed(1)
    layer = Dense(2, kernel_constraint=MaxNorm(0.5), bias_constraint="non_neg")
    model = Sequential([Input((4,)), layer])
    model.compile(optimizer, "mse", **options)
    return model


class _Watch(Callback):
    def __init__(self):
        self.norms = []
        self.lowest = []

    def on_train_batch_end(self, batch, logs=None):
        layer = self.model.layers[0]
        self.norms.append(float(layer.weight.detach().norm(dim=1).max()))
        self.lowest.append(float(layer.bias.detach().min()))


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "compiled"])
def test_they_hold_after_every_step(jit):
    watch = _Watch()
    _model("adam", jit_compile=jit).fit(*_data(), epochs=3, callbacks=watch, verbose=0)
    assert len(watch.norms) == 9
    assert max(watch.norms) <= 0.5 + 1e-6
    assert max(watch.norms) > 0.49  # it is the constraint that holds it
    assert min(watch.lowest) >= 0


def test_training_is_that_of_a_loop_that_projects_after_each_step():
    x, y = _data()
    model = _model(torch.optim.SGD)
    plain = nn.Linear(4, 2)
    plain.load_state_dict({name.removeprefix("0."): value for name, value in model.state_dict().items()})
    optimizer = torch.optim.SGD(plain.parameters())
    model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        for rows in torch.arange(96).split(32):
            optimizer.zero_grad()
            nn.functional.mse_loss(plain(x[rows]), y[rows]).backward()
            optimizer.step()
            with torch.no_grad():
                norm = plain.weight.norm(dim=1, keepdim=True)
                plain.weight.mul_(norm.clamp(max=0.5) / (norm + 1e-7))
                plain.bias.clamp_(min=0)
    torch.testing.assert_close(model.layers[0].weight, plain.weight)
    torch.testing.assert_close(model.layers[0].bias, plain.bias)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "compiled"])
def test_they_hold_where_steps_are_accumulated_or_scaled(jit):
    for options in ({"gradient_accumulation_steps": 2}, {"loss_scale_factor": 8.0}):
        watch = _Watch()
        jit = jit and "loss_scale_factor" in options  # accumulation is not compiled
        model = _model(kt.optimizers.SGD(0.5, **options), jit_compile=jit)
        model.fit(*_data(), epochs=2, callbacks=watch, verbose=0)
        assert watch.norms[-1] <= 0.5 + 1e-6


def test_they_hold_for_an_optimizer_that_asks_for_the_loss_several_times():
    watch = _Watch()
    _model(torch.optim.LBFGS).fit(*_data(), callbacks=watch, verbose=0)
    assert max(watch.norms) <= 0.5 + 1e-6


def test_a_frozen_weight_is_left_as_it_is():
    model = _model()
    model.add(Dense(2))
    with torch.no_grad():
        model.layers[0].weight.fill_(3.0)
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    model.fit(*_data(), verbose=0)
    assert (model.layers[0].weight == 3.0).all()


def test_a_constraint_of_ones_own_is_a_function_of_the_weight():
    kt.utils.set_random_seed(1)
    model = Sequential([Input((4,)), PReLU(alpha_constraint=lambda w: w.clamp(0.1, 0.2)), Dense(2)])
    model.compile("sgd", "mse")
    model.fit(*_data(), verbose=0)
    assert model.layers[0].weight.min() >= 0.1
