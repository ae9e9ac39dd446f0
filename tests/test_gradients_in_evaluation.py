"""`compile(gradients_in_evaluation=True)`: derivatives with respect to inputs in evaluate, validation and predict."""

import gc

import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.linspace(0, 1, 40).reshape(-1, 1)


def derivative(function, x):
    """Return values and derivatives of a function of one number, by autograd."""
    x = x.detach().requires_grad_()
    value = function(x)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    return value, slope


class Slope(kt.Model):
    """A model that learns a function from its derivative."""

    def __init__(self, module=None):
        super().__init__(module)
        if module is None:
            self.layer = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x):
        return super().forward(x) if self.module_viewed is not None else self.layer(x)

    def train_step(self, data):
        x, y = data
        _, slope = derivative(self, x)
        loss = (slope - y).square().mean()
        self.trainer.backward_and_step(loss)
        return {"loss": loss}

    def test_step(self, data):
        x, y = data
        _, slope = derivative(self, x)
        return {"loss": (slope - y).square().mean()}

    def predict_step(self, x):
        return derivative(self, x)


CONTAINERS = {
    "subclass": Slope,
    "view": lambda: Slope(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_evaluate_validation_and_predict_differentiate(make):
    model = make()
    model.compile(kt.optimizers.Adam(0.01), gradients_in_evaluation=True)
    y = 2 * X
    logs = model.fit(X, y, epochs=2, verbose=0, validation_data=(X, y)).history
    value, slope = derivative(model, X)
    expected = (slope - y).square().mean().item()
    assert logs["val_loss"][-1] == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(X, y) == pytest.approx(expected, rel=1e-5)
    values, slopes = model.predict(X, verbose=0)
    torch.testing.assert_close(torch.as_tensor(values), value.detach())
    torch.testing.assert_close(torch.as_tensor(slopes), slope.detach())
    assert torch.is_grad_enabled()


def test_without_the_switch_no_gradients_are_recorded():
    model = Slope()
    model.compile("sgd")
    with pytest.raises(RuntimeError, match="does not require grad"):
        model.evaluate(X, X, verbose=0)


def test_gradients_of_the_parameters_stay_as_they_are():
    class Backward(Slope):
        def test_step(self, data):
            x, y = data
            loss = (self(x) - y).square().mean()
            loss.backward()
            return {"loss": loss}

    model = Backward()
    model.compile("sgd", gradients_in_evaluation=True)
    for index, weight in enumerate(model.parameters()):
        weight.grad = torch.full_like(weight, float(index))
    held = [weight.grad for weight in model.parameters()]
    model.evaluate(X, X, batch_size=8, verbose=0)
    for index, (weight, before) in enumerate(zip(model.parameters(), held, strict=True)):
        assert weight.grad is before
        assert bool((weight.grad == index).all())


def test_memory_does_not_grow_with_the_batches():
    model = Slope()
    model.compile("sgd", gradients_in_evaluation=True)

    def alive():
        gc.collect()
        return sum(type(one) is torch.Tensor for one in gc.get_objects())

    counts = []  # after two of the batches, because collecting takes long in a large process
    count = kt.callbacks.LambdaCallback(
        on_test_batch_end=lambda batch, logs: counts.append(alive()) if batch in (5, 39) else None
    )
    model.evaluate(X.repeat(8, 1), X.repeat(8, 1), batch_size=8, verbose=0, callbacks=[count])
    assert len(counts) == 2
    assert counts[1] - counts[0] < 100  # a graph of each batch would be some twenty tensors


def test_the_switch_is_saved_with_the_model(tmp_path):
    model = kt.Sequential([kt.Input((1,)), kt.layers.Dense(1)])
    model.compile("sgd", "mse", gradients_in_evaluation=True)
    model.save(tmp_path / "model.kt")
    loaded = kt.saving.load_model(tmp_path / "model.kt")
    assert loaded.trainer.compile_args["gradients_in_evaluation"] is True


def test_the_switch_is_true_or_false():
    with pytest.raises((TypeError, ValueError), match="gradients_in_evaluation must be True or False"):
        kt.Sequential([kt.layers.Dense(1)]).compile("sgd", "mse", gradients_in_evaluation="yes")
