"""`add_loss`: a layer or a model that adds to what is minimised."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import Input, Model, Sequential
from kerastorch.layers import Dense, Layer
from tests.support.slow import mostly_slow


class Charging(Layer):
    """What `activity_regularizer="l2"` does, by hand."""

    def forward(self, x):
        self.add_loss(0.01 * x.square().sum() / x.shape[0])
        return x


def _data(rows=96):
    kt.utils.set_random_seed(0)
    return torch.randn(rows, 4), torch.randn(rows, 2)


@pytest.mark.parametrize("jit", mostly_slow([False, True], False))
def test_what_is_added_counts_as_an_activity_penalty_does(jit):
    x, y = _data()
    found = []
    for last in (Dense(2, activity_regularizer="l2"), Sequential([Dense(2), Charging()])):
        kt.utils.set_random_seed(1)
        model = Sequential([Input((4,)), last])
        model.compile("adam", "mse", jit_compile=jit)
        kt.utils.set_random_seed(2)
        found.append(model.fit(x, y, epochs=3, validation_split=0.25, verbose=0).history)
    assert list(found[0]) == list(found[1])
    for name, curve in found[0].items():
        assert found[1][name] == pytest.approx(curve, rel=1e-5)


class Autoencoder(Model):
    """Variational, its loss all its own: Keras' guide to layers and models."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = Dense(4), nn.LazyLinear(4)

    def forward(self, x):
        mean, log_variance = self.encode(x).chunk(2, dim=-1)
        self.add_loss(-0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean())
        rebuilt = self.decode(mean)
        self.add_loss(F.mse_loss(rebuilt, x))
        return rebuilt


def test_a_model_may_have_no_other_loss():
    x, _ = _data()
    model = Autoencoder()
    model.compile(kt.optimizers.Adam(0.02))
    curve = model.fit(x, epochs=8, verbose=0, validation_data=(x, None)).history
    assert curve["loss"][-1] < 0.9 * curve["loss"][0]
    with torch.no_grad():
        mean, log_variance = model.encode(x).chunk(2, dim=-1)
        expected = F.mse_loss(model(x), x) - 0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
    assert curve["val_loss"][-1] == pytest.approx(float(expected), rel=1e-5)


def test_a_model_that_adds_nothing_needs_a_loss():
    class Silent(Model):
        def __init__(self):
            super().__init__()
            self.dense = Dense(2)

        def forward(self, x):
            return self.dense(x)

    model = Silent()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"needs a loss: .* Or call add_loss"):
        model.fit(*_data(), verbose=0)


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"add_loss takes a tensor of one number, got shape \(3,\)"):
        Dense(2).add_loss(torch.ones(3))
    with pytest.raises(ValueError, match=r"got 0\.5"):
        Dense(2).add_loss(0.5)


def test_it_is_not_heard_outside():
    layer = Charging()
    layer(torch.ones(2, 3))
    assert layer._aux_losses is None
