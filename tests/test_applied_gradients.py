"""`optimizer.apply` and `apply_gradients`: a step with given gradients, as in a loop in plain torch."""

import pytest
import torch
from torch import nn

import kerastorch as kt

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(16, 3, generator=DRAW), torch.randn(16, 1, generator=DRAW)
KINDS = {
    "sgd": (lambda: kt.optimizers.SGD(0.1, momentum=0.9), lambda w: torch.optim.SGD(w, 0.1, momentum=0.9)),
    "adam": (lambda: kt.optimizers.Adam(0.1), lambda w: torch.optim.Adam(w, 0.1, eps=1e-7)),
}


class KerasStep(kt.Model):
    """A model with a step in the form of Keras' guides for torch."""

    def __init__(self, method):
        super().__init__()
        self.method = method
        self.hidden, self.head = kt.layers.Dense(4, "tanh"), kt.layers.Dense(1)

    def call(self, x, training=None):
        return self.head(self.hidden(x))

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        self.zero_grad()
        loss.backward()
        weights = self.trainable_weights
        gradients = [weight.grad for weight in weights]
        with torch.no_grad():
            if self.method == "apply":
                self.optimizer.apply(gradients, weights)
            else:
                self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"loss": loss}


@pytest.mark.parametrize("method", ["apply", "apply_gradients"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_keras_guides_trains_as_a_loop(kind, method):
    own, plain = KINDS[kind]
    torch.manual_seed(0)
    model = KerasStep(method)
    model(X)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    for one, other in zip(net.parameters(), model.parameters(), strict=True):
        one.data.copy_(other.data)
    model.compile(own(), "mse")
    model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    optimizer = plain(net.parameters())
    for _ in range(3):
        for rows in torch.arange(16).split(8):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(X[rows]), Y[rows]).backward()
            optimizer.step()
    for one, other in zip(model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def made():
    model = kt.Model(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)))
    model.compile(kt.optimizers.SGD(1.0), "mse")
    return model, model.optimizer, [*model.parameters()]


def test_only_the_given_parameters_move():
    _, optimizer, weights = made()
    before = [one.detach().clone() for one in weights]
    weights[1].grad = torch.ones(2)
    optimizer.apply([torch.ones_like(weights[0]), None], [weights[0], weights[2]])
    assert torch.equal(weights[0], before[0] - 1)
    assert all(map(torch.equal, weights[1:], before[1:]))
    assert torch.equal(weights[1].grad, torch.ones(2))


def test_without_parameters_all_have_a_gradient():
    _, optimizer, weights = made()
    before = [one.detach().clone() for one in weights]
    optimizer.apply([torch.ones_like(one) for one in weights])
    assert all(torch.equal(one, other - 1) for one, other in zip(weights, before, strict=True))


def test_what_cannot_be_is_an_error_and_changes_nothing():
    _, optimizer, weights = made()
    before = [one.detach().clone() for one in weights]
    ones = [torch.ones_like(one) for one in weights]
    for grads, given, message in (
        (ones[:2], weights, "2 gradients for 4 parameters"),
        ([ones[0]], [nn.Parameter(torch.ones(2, 3))], "does not have the parameter"),
        ([ones[0], ones[0]], weights[:2], r"a gradient is \(2, 3\), its parameter has shape \(2,\)"),
        ([1.0], weights[:1], "a gradient is float"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.apply(grads, given)
    assert all(map(torch.equal, weights, before))


def test_variables_are_the_tensors_of_the_state():
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile("adam", "mse")
    assert model.optimizer.variables == []
    model.fit(X, Y, verbose=0)
    assert len(model.optimizer.variables) == 6  # a count and two moments of the weight and the bias


def test_settings_make_an_optimizer_at_the_first_step_of_a_loop():
    start = torch.tensor([1.0, -2.0])
    gradients = [torch.tensor([0.5, 1.0]), torch.tensor([-1.0, 0.25]), torch.tensor([0.1, 0.2])]
    weight, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = kt.optimizers.Adam(0.1)
    reference = torch.optim.Adam([other], lr=0.1, eps=1e-7)
    assert settings.variables == []
    for number, gradient in enumerate(gradients):
        if number == 2:
            settings.learning_rate = reference.param_groups[0]["lr"] = 0.02
        settings.apply_gradients([(gradient, weight)])
        other.grad = gradient
        reference.step()
    torch.testing.assert_close(weight, other)
    assert len(settings.variables) == 3
    assert settings.iterations == 3
    with pytest.raises(ValueError, match="does not have the parameter"):
        settings.apply([gradient], [other])
    with pytest.raises(ValueError, match="needs the parameters"):
        kt.optimizers.SGD(0.1).apply([gradient])
