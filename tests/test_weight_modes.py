"""Optimizers with `train()` and `eval()`: `fit` switches the weights. The oracle is the loop of the paper's authors."""

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn

import kerastorch as kt
from kerastorch import optimizers

X = torch.randn(48, 5, generator=torch.Generator().manual_seed(0))
Y = X[:, :2] * 3 + 1


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


class Averaging(torch.optim.Optimizer):
    """Gradient descent whose result is the mean of its iterates, in a form of another package."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr, "is_training": True, "steps": 0})

    def train(self):
        self._switch(True, "iterate")

    def eval(self):
        self._switch(False, "mean")

    @torch.no_grad()
    def _switch(self, is_training, key):
        for group in self.param_groups:
            if group["is_training"] != is_training:
                for p in group["params"]:
                    if self.state[p]:
                        p.copy_(self.state[p][key])
            group["is_training"] = is_training

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            assert group["is_training"], "call train() first"
            group["steps"] += 1
            for p in group["params"]:
                p.sub_(p.grad, alpha=group["lr"])
                state = self.state[p]
                if not state:
                    state["mean"] = torch.zeros_like(p)
                state["mean"].lerp_(p, 1 / group["steps"])
                state["iterate"] = p.clone()


MAKERS = {
    "another package": lambda params: Averaging(params),
    "schedule-free": lambda params: optimizers.ScheduleFreeAdamW(0.05)(params),
}
each = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)


def loop(maker, epochs=3):
    module = net()
    optimizer = maker(module.parameters())
    values = []
    for _ in range(epochs):
        optimizer.train()
        for i in range(0, len(X), 8):
            optimizer.zero_grad()
            nn.functional.mse_loss(module(X[i : i + 8]), Y[i : i + 8]).backward()
            optimizer.step()
        optimizer.eval()
        values.append(float(nn.functional.mse_loss(module(X), Y).detach()))
    return module, values


def fitted(maker, callbacks=(), epochs=3, **given):
    module = net()
    model = kt.Model(module)
    model.compile(maker(list(module.parameters())), nn.MSELoss())
    history = model.fit(X, Y, 8, epochs, 0, shuffle=False, callbacks=list(callbacks), **given)
    return model, history


def same(one, two):
    return all(map(torch.equal, one.parameters(), two.parameters()))


@each
def test_training_is_the_loop_with_train_and_eval_around_each_epoch(maker):
    model, history = fitted(maker, validation_data=(X, Y))
    expected, values = loop(maker)
    assert same(model, expected)
    assert history.history["val_loss"] == pytest.approx(values, rel=1e-5)


@each
@pytest.mark.filterwarnings("ignore:compile state cannot be written")
def test_what_callbacks_do_within_an_epoch_sees_the_values_to_evaluate_with_and_changes_nothing(maker, tmp_path):
    seen = []

    class Look(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                self.model.save_weights(tmp_path / "one.safetensors")
                self.model.save(tmp_path / "one.kt")
                self.model.export(tmp_path / "one.pt2", verbose=False, input_signature=(None, 5))
                seen.append(self.model.predict(X, verbose=0))
                self.model.evaluate(X, Y, verbose=0)

    model, _ = fitted(maker, [Look()])
    plain, _ = fitted(maker)
    assert same(model, plain)
    stored = kt.Model(net())
    stored.load_weights(tmp_path / "one.safetensors")
    assert np.array_equal(stored.predict(X, verbose=0), seen[-1])
    whole = kt.load_model(tmp_path / "one.kt", module=net(), compile=False)
    assert np.array_equal(whole.predict(X, verbose=0), seen[-1])
    program = torch.export.load(tmp_path / "one.pt2").module()
    np.testing.assert_allclose(program(X).detach().numpy(), seen[-1], rtol=1e-5, atol=1e-6)


@each
def test_a_checkpoint_of_an_epoch_holds_the_values_to_evaluate_with(maker, tmp_path):
    path = tmp_path / "{epoch}.weights.safetensors"
    _, history = fitted(maker, [kt.callbacks.ModelCheckpoint(path, save_weights_only=True)], validation_data=(X, Y))
    stored = kt.Model(net())
    stored.load_weights(tmp_path / "2.weights.safetensors")
    stored.compile("sgd", "mse")
    assert stored.evaluate(X, Y, verbose=0) == pytest.approx(history.history["val_loss"][1], rel=1e-6)


@each
@pytest.mark.parametrize("at", [(0, 2), (1, 5), (2, 0)])
def test_a_training_resumes_with_the_same_bits(maker, at, tmp_path):
    assert same(*whole_and_resumed(lambda callbacks: fitted(maker, callbacks)[0], at, tmp_path))


@each
def test_single_steps_and_fits_take_turns(maker):
    model, _ = fitted(maker, epochs=1)
    model.train_on_batch(X[:8], Y[:8])
    model.fit(X, Y, 8, 1, 0, shuffle=False)
    module = net()
    optimizer = maker(module.parameters())
    for rows in ([*range(0, 48, 8)], [0], [*range(0, 48, 8)]):
        optimizer.train()
        for i in rows:
            optimizer.zero_grad()
            nn.functional.mse_loss(module(X[i : i + 8]), Y[i : i + 8]).backward()
            optimizer.step()
        optimizer.eval()
    assert same(model, module)


@each
def test_an_error_leaves_the_values_to_evaluate_with(maker):
    class Fail(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                raise ZeroDivisionError

    module = net()
    model = kt.Model(module)
    optimizer = maker(list(module.parameters()))
    model.compile(optimizer, nn.MSELoss())
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y, 8, 1, 0, shuffle=False, callbacks=[Fail()])
    before = [p.detach().clone() for p in module.parameters()]
    optimizer.eval()
    assert all(map(torch.equal, before, module.parameters()))
