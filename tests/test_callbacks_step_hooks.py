"""`on_after_backward` and `on_before_optimizer_step`: what callbacks see between the backward pass and the step."""

import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Watch(kt.callbacks.Callback):
    """Stores the order of the hooks and the gradients that each of them sees."""

    def __init__(self):
        self.order, self.gradients = [], []

    def _look(self, name):
        self.order.append(name)
        self.gradients.append(self.model.weight.grad.clone())

    def on_after_backward(self):
        self._look("after")

    def on_before_optimizer_step(self, optimizer):
        assert optimizer is self.model.optimizer
        self._look("before")

    def on_train_batch_end(self, batch, logs=None):
        self.order.append("batch")


def model_of(optimizer, **options):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile(optimizer, "mse", **options)
    return model


def gradient(model, x=X, y=Y):
    return torch.autograd.grad(nn.functional.mse_loss(model(x), y), model.weight)[0]


def test_hooks_see_the_gradients_of_the_batch_before_they_are_clipped():
    model, watch = model_of(kt.optimizers.SGD(0.1, clipnorm=1e-3)), Watch()
    expected, before = gradient(model), model.weight.detach().clone()
    model.fit(X, Y, batch_size=24, shuffle=False, verbose=0, callbacks=[watch])
    assert watch.order == ["after", "before", "batch"]
    for seen in watch.gradients:
        torch.testing.assert_close(seen, expected)
    assert (model.weight - before).norm() < 1.01e-4


def test_gradients_that_a_hook_changes_are_those_of_the_step():
    class Halve(kt.callbacks.Callback):
        def on_before_optimizer_step(self, optimizer):
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.grad.mul_(0.5)

    changed, usual = model_of(kt.optimizers.SGD(0.1)), model_of(kt.optimizers.SGD(0.05))
    changed.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[Halve()])
    usual.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    torch.testing.assert_close(changed.weight, usual.weight)


def test_a_step_comes_after_several_backward_passes_that_are_accumulated():
    model, watch = model_of(kt.optimizers.SGD(0.1, gradient_accumulation_steps=3)), Watch()
    expected = gradient(model)
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
    assert watch.order == ["after", "batch", "after", "batch", "after", "before", "batch"]
    torch.testing.assert_close(watch.gradients[-1], expected)


def test_gradients_before_the_step_are_without_the_loss_scale():
    model, watch = model_of(kt.optimizers.SGD(0.1, loss_scale_factor=64.0)), Watch()
    expected = gradient(model)
    model.fit(X, Y, batch_size=24, shuffle=False, verbose=0, callbacks=[watch])
    torch.testing.assert_close(watch.gradients[0], 64 * expected)
    torch.testing.assert_close(watch.gradients[1], expected)


def test_hooks_are_called_in_fit_alone_and_removed_afterwards():
    model, watch = model_of("sgd"), Watch()
    model.fit(X, Y, verbose=0, callbacks=[watch])
    seen = len(watch.order)
    model.fit(X, Y, verbose=0)
    model.train_on_batch(X, Y)
    assert len(watch.order) == seen
    assert not model.trainer.optimizer_step.listeners.has_functions


def test_hooks_are_removed_after_an_error():
    class Fails(kt.callbacks.Callback):
        def on_after_backward(self):
            raise RuntimeError("stop here")

    model = model_of("sgd")
    with pytest.raises(RuntimeError, match="stop here"):
        model.fit(X, Y, verbose=0, callbacks=[Fails()])
    assert not model.trainer.optimizer_step.listeners.has_functions


def test_a_callback_without_these_hooks_adds_nothing_to_the_step():
    class Other(kt.callbacks.Callback):
        seen = True

        def on_train_batch_end(self, batch, logs=None):
            self.seen = self.model.trainer.optimizer_step.listeners.has_functions

    model, other = model_of("sgd"), Other()
    model.fit(X, Y, verbose=0, callbacks=[other])
    assert other.seen is False


def test_functions_are_hooks_in_a_lambda_callback():
    seen = []
    callback = kt.callbacks.LambdaCallback(
        on_after_backward=lambda: seen.append("after"),
        on_before_optimizer_step=lambda optimizer: seen.append(type(optimizer).__name__),
    )
    model = model_of("sgd")
    model.fit(X, Y, batch_size=24, verbose=0, callbacks=[callback])
    assert seen[0] == "after"
    assert "SGD" in seen[1]


def test_a_compiled_step_pauses_while_a_callback_has_such_a_hook():
    model, watch = model_of(kt.optimizers.SGD(0.1), jit_compile=True), Watch()
    with pytest.warns(UserWarning, match="uncompiled while callbacks have hooks within a step"):
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[watch])
    assert watch.order.count("before") == 6


def test_a_step_of_ones_own_that_calls_the_trainer_calls_the_hooks():
    class Own(kt.Sequential):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x))
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    seen = []
    model = Own([kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = kt.callbacks.LambdaCallback(on_before_optimizer_step=lambda optimizer: seen.append(optimizer))
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[callback])
    assert seen == [model.optimizer] * 3


def test_every_optimizer_of_several_is_seen():
    class Two(kt.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.a(x) + self.b(x)

    seen = []
    model = Two()
    model.compile({"a": kt.optimizers.SGD(0.1), "b": kt.optimizers.Adam(0.1)}, "mse")
    callback = kt.callbacks.LambdaCallback(on_before_optimizer_step=lambda one: seen.append(type(one).__name__))
    model.fit(X, Y, batch_size=24, verbose=0, callbacks=[callback])
    assert len(seen) == 2
    assert len(set(seen)) == 2
