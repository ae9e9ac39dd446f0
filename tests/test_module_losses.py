"""`losses` of layers and models: what `add_loss` was given and the penalties, in `fit` and in a loop of one's own."""

import copy

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.layers import Dense, Layer

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))


class Adds(Layer):
    """A layer that adds the mean square of its input."""

    def forward(self, x):
        self.add_loss(x.square().mean())
        return x


def test_a_layer_lists_the_terms_of_its_last_call_and_its_penalties():
    layer = Adds()
    for scale in (1.0, 2.0):
        layer(scale * X)
        assert [one.item() for one in layer.losses] == [pytest.approx((scale * X).square().mean().item())]
    dense = Dense(2, kernel_regularizer=kt.regularizers.L2(0.1), bias_regularizer="l1")
    dense(X)
    penalty, bias = dense.losses
    assert penalty.item() == pytest.approx(0.1 * dense.weight.square().sum().item())
    assert bias.item() == 0


def test_a_model_lists_the_terms_of_one_call_however_often_it_was_called():
    model = kt.Sequential([Dense(4), Adds(), Dense(4, kernel_regularizer="l2"), Adds()])
    for _ in range(3):
        model(X)
    first, second, penalty = model.losses
    hidden = model[0](X)
    assert first.item() == pytest.approx(hidden.square().mean().item())
    assert second.item() == pytest.approx(model[2](hidden).square().mean().item())
    assert penalty.item() == pytest.approx(0.01 * model[2].weight.square().sum().item())


def test_a_shared_layer_adds_in_each_of_its_calls():
    class Twice(kt.Model):
        def __init__(self):
            super().__init__()
            self.adds = Adds()

        def forward(self, x):
            return self.adds(x) + self.adds(2 * x)

    model = Twice()
    for _ in range(2):
        model(X)
    square = X.square().mean().item()
    assert [one.item() for one in model.losses] == pytest.approx([square, 4 * square])


def test_a_loop_of_ones_own_trains_as_fit_does():
    def build():
        kt.utils.set_random_seed(1)
        return kt.Sequential([kt.Input((4,)), Dense(4, kernel_regularizer="l2"), Adds(), Dense(1)])

    y = X.sum(1, keepdim=True)
    fitted, looped = build(), build()
    fitted.compile(torch.optim.SGD(fitted.parameters(), 0.1), "mse")
    fitted.fit(X, y, batch_size=12, epochs=3, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(looped.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(looped(X), y)
        (loss + sum(looped.losses)).backward()
        optimizer.step()
    for one, other in zip(fitted.parameters(), looped.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_losses_within_a_step_are_those_of_the_step():
    class Own(kt.Sequential):
        def train_step(self, data):
            x, y = data
            y_pred = self(x)
            by_hand = nn.functional.mse_loss(y_pred, y) + sum(self.losses)
            of_layer = sum(self[1].losses)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            self.trainer.backward_and_step(loss)
            return {"loss": loss, "by_hand": by_hand, "of_layer": of_layer, "count": len(self.losses)}

    model = Own([Dense(4, kernel_regularizer="l2"), Adds(), Dense(1, activity_regularizer="l1")])
    model.compile("sgd", "mse", regularizers={"2.bias": "l2"})
    logs = model.fit(X, X.sum(1, keepdim=True), batch_size=4, epochs=2, verbose=0).history
    assert logs["by_hand"] == pytest.approx(logs["loss"], rel=1e-6)
    assert all(0 < one < loss for one, loss in zip(logs["of_layer"], logs["loss"], strict=True))
    assert logs["count"] == [4, 4]


def test_penalties_of_outputs_outside_of_a_step_are_missing_with_a_warning():
    model = kt.Sequential([Dense(2, activity_regularizer="l1")])
    model(X)
    with pytest.warns(UserWarning, match="losses has no penalties of outputs here"):
        assert model.losses == []


def test_frozen_weights_have_no_penalty():
    layer = Dense(2, kernel_regularizer="l2")
    layer(X)
    layer.trainable = False
    assert layer.losses == []


def test_terms_of_dry_runs_and_exports_are_not_kept():
    model = kt.Sequential([kt.Input((4,)), Dense(3), Adds()])
    assert model.losses == []
    model.summary(print_fn=lambda text: None)
    assert model.losses == []
    torch.export.export(model, (X,))
    assert model.losses == []


def test_a_model_with_terms_can_be_copied_and_compiled():
    model = kt.Sequential([kt.Input((4,)), Dense(1), Adds()])
    model(X)
    copied = copy.deepcopy(model)
    assert copied.losses == []
    assert len(model.losses) == 1
    copied.compile("sgd", "mse")
    copied.fit(X, X[:, :1], verbose=0)
    assert len(copied.state_dict()) == len(model.state_dict())


def test_a_model_may_use_the_names_for_its_own():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.losses = nn.ModuleList([nn.Linear(4, 1)])
            self.metrics = {"a": 1}

        def forward(self, x):
            return self.losses[0](x)

    model = Own()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert isinstance(model.losses, nn.ModuleList)
    assert model.metrics == {"a": 1}
