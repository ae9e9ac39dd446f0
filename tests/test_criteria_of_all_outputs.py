"""A criterion in torch's order gets all outputs of a model, as in `criterion(model(x), y)`; a Keras loss gets each."""

import copy
import warnings
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")

ROWS = 36


def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, 5, generator=generator), torch.randn(ROWS, 5, generator=generator)


Triple = namedtuple("Triple", "recon mu logvar")


@dataclass
class Record:
    recon: Any
    mu: Any
    logvar: Any


class Autoencoder(nn.Module):
    """Return the reconstruction, the mean and the logarithm of the variance, without noise."""

    def __init__(self, form=lambda *outputs: outputs):
        super().__init__()
        self.mu, self.logvar, self.decode = nn.Linear(5, 2), nn.Linear(5, 2), nn.Linear(2, 5)
        self.form = form

    def forward(self, x):
        mu = self.mu(x)
        return self.form(self.decode(mu), mu, self.logvar(x))


def divergence(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).mean()


def elbo(outputs, target):
    recon, mu, logvar = outputs
    return F.mse_loss(recon, target) + 0.1 * divergence(mu, logvar)


def elbo_of_names(outputs, target):
    get = outputs.get if isinstance(outputs, dict) else lambda name: getattr(outputs, name)
    return elbo((get("recon"), get("mu"), get("logvar")), target)


class Elbo(nn.Module):
    """The criterion as a module, with a weight that it learns."""

    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(0.1))

    def forward(self, outputs, target):
        recon, mu, logvar = outputs
        return F.mse_loss(recon, target) + self.beta * divergence(mu, logvar)


def by_hand(module, criterion, x, y, epochs=2, batch_size=8):
    """Train copies in a plain loop without shuffling; return the module and the mean loss of each epoch."""
    module, criterion = copy.deepcopy(module), copy.deepcopy(criterion)
    learned = list(criterion.parameters()) if isinstance(criterion, nn.Module) else []
    optimizer = torch.optim.Adam([*module.parameters(), *learned], lr=0.01)
    means = []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(x), batch_size):
            loss = criterion(module(x[start : start + batch_size]), y[start : start + batch_size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x[start : start + batch_size])
        means.append(total / len(x))
    return module, means


def compiled(module, criterion, **given):
    model = kt.Model(module)
    learned = list(criterion.parameters()) if isinstance(criterion, nn.Module) else []
    model.compile(torch.optim.Adam([*model.parameters(), *learned], lr=0.01), criterion, **given)
    return model


def train(model, x, y=None, epochs=2, **given):
    return model.fit(x, y, epochs=epochs, batch_size=8, shuffle=False, verbose=0, **given).history


def assert_same_weights(one, other):
    for (name, first), second in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def assert_trains_as_by_hand(module, criterion, x, y, by_hand_criterion=None):
    expected, means = by_hand(module, by_hand_criterion or criterion, x, y)
    history = train(compiled(module, criterion), x, y)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    assert list(history) == ["learning_rate", "loss"]


FORMS = {
    "tuple": lambda *outputs: outputs,
    "list": lambda *outputs: list(outputs),
    "namedtuple": Triple,
    "dataclass": Record,
    "dict": lambda *outputs: dict(zip(("recon", "mu", "logvar"), outputs, strict=True)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_criterion_gets_all_outputs_as_the_model_returned_them(form):
    x, _ = rows()
    criterion = elbo if form in ("tuple", "list", "namedtuple") else elbo_of_names
    assert_trains_as_by_hand(Autoencoder(FORMS[form]), criterion, x, x)


@pytest.mark.parametrize("form", FORMS)
def test_a_criterion_with_a_parameter_for_each_output_gets_them_one_by_one(form):
    x, _ = rows()

    def criterion(recon, mu, logvar, target):
        return elbo((recon, mu, logvar), target)

    hand = elbo if form in ("tuple", "list", "namedtuple") else elbo_of_names
    assert_trains_as_by_hand(Autoencoder(FORMS[form]), criterion, x, x, hand)


def test_the_parameter_of_the_targets_may_stand_between_those_of_the_outputs():
    x, _ = rows()

    def criterion(recon_x, x, mu, logvar):
        return elbo((recon_x, mu, logvar), x)

    assert_trains_as_by_hand(Autoencoder(), criterion, x, x, elbo)


def test_parameters_with_the_names_of_outputs_get_these_in_any_order():
    x, _ = rows()

    def criterion(logvar, target, recon, mu):
        return elbo((recon, mu, logvar), target)

    assert_trains_as_by_hand(Autoencoder(FORMS["dict"]), criterion, x, x, elbo_of_names)


def test_a_criterion_whose_parameters_do_not_fit_the_outputs_is_refused_in_a_sentence():
    x, _ = rows()

    def criterion(a, b, c, d, target):
        return a.sum()

    with pytest.raises(ValueError, match=r"takes \(a, b, c, d, target\), and the model returned a tuple of a tensor"):
        train(compiled(Autoencoder(), criterion), x, x)


def test_a_criterion_that_is_a_module_learns_with_the_model():
    x, _ = rows()
    criterion = Elbo()
    module = Autoencoder()
    expected, means = by_hand(module, criterion, x, x)
    history = train(compiled(module, criterion), x, x)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    assert criterion.beta.item() != pytest.approx(0.1, abs=1e-4)


def test_a_criterion_with_one_parameter_needs_no_targets():
    x, _ = rows()

    def criterion(outputs):
        return outputs[1].square().mean() + divergence(outputs[1], outputs[2])

    module = Autoencoder()
    expected, means = by_hand(module, lambda outputs, y: criterion(outputs), x, x)
    model = compiled(module, criterion)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = train(model, x)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    assert model.evaluate(x, verbose=0) == pytest.approx(criterion(module(x)).item(), rel=1e-5)


def test_a_criterion_with_one_parameter_takes_a_single_output_too():
    x, _ = rows()
    module = nn.Linear(5, 2)
    expected, means = by_hand(module, lambda outputs, y: outputs.square().mean(), x, x)
    assert train(compiled(module, lambda outputs: outputs.square().mean()), x)["loss"] == pytest.approx(means, rel=1e-6)
    assert_same_weights(expected, module)


class Forecast(nn.Module):
    """Return what it makes of the past and of the future."""

    def __init__(self):
        super().__init__()
        self.past, self.future = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x):
        return self.past(x), self.future(x)


def test_backcast_and_forecast_share_a_criterion():
    x, y = rows()
    assert_trains_as_by_hand(Forecast(), lambda outputs, target: F.l1_loss(outputs[1], target), x, y)


class Auxiliary(nn.Module):
    """More heads in training than in evaluation."""

    def __init__(self):
        super().__init__()
        self.main, self.aux = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        return (self.main(x), self.aux(x)) if self.training else self.main(x)


def weighted_heads(outputs, target):
    if isinstance(outputs, torch.Tensor):
        return F.cross_entropy(outputs, target)
    return F.cross_entropy(outputs[0], target) + 0.3 * F.cross_entropy(outputs[1], target)


def test_an_auxiliary_head_may_be_there_in_training_alone():
    x, y = rows()
    y = y[:, :3].argmax(1)
    module = Auxiliary()
    expected, means = by_hand(module, weighted_heads, x, y)
    history = train(compiled(module, weighted_heads), x, y, validation_data=(x, y))
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    assert history["val_loss"][-1] == pytest.approx(F.cross_entropy(module.main(x), y).item(), rel=1e-5)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 4)

    def forward(self, a, b):
        return self.net(a), self.net(b)


@pytest.mark.parametrize("make", [nn.CosineEmbeddingLoss, lambda: F.cosine_embedding_loss], ids=["module", "function"])
def test_losses_of_torch_with_two_inputs_take_two_outputs(make):
    a, b = rows()
    y = (a[:, 0] > 0).float() * 2 - 1
    module = Siamese()
    model = compiled(module, make())
    expected = F.cosine_embedding_loss(*module(a, b), y)
    assert model.evaluate((a, b), y, batch_size=ROWS, verbose=0) == pytest.approx(expected.item(), rel=1e-5)
    train(model, (a, b), y)


def test_a_triplet_loss_takes_three_outputs_and_no_targets():
    a, b = rows()

    class Triplets(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(5, 4)

        def forward(self, a, b, c):
            return self.net(a), self.net(b), self.net(c)

    module = Triplets()
    model = compiled(module, nn.TripletMarginLoss())
    inputs = (a, b, a.flip(0))
    found = model.evaluate(inputs, batch_size=ROWS, verbose=0)
    assert found == pytest.approx(F.triplet_margin_loss(*module(*inputs)).item(), rel=1e-5)
    train(model, inputs)


def test_a_gaussian_likelihood_takes_mean_and_variance_around_the_targets():
    x, y = rows()

    class Gaussian(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.var = nn.Linear(5, 5), nn.Linear(5, 5)

        def forward(self, x):
            return self.mean(x), F.softplus(self.var(x))

    module = Gaussian()
    mean, var = module(x)
    found = compiled(module, nn.GaussianNLLLoss()).evaluate(x, y, batch_size=ROWS, verbose=0)
    assert found == pytest.approx(F.gaussian_nll_loss(mean, y, var).item(), rel=1e-5)


def test_each_output_with_a_target_of_its_own_has_the_criterion_for_itself():
    x, y = rows()

    class Squares(nn.Module):
        def forward(self, outputs, target):
            return (outputs - target).square().mean()

    module = Forecast()
    model = compiled(module, Squares())
    logs = model.evaluate(x, (x, y), batch_size=ROWS, verbose=0, return_dict=True)
    past, future = module(x)
    assert logs["output_0_loss"] == pytest.approx(F.mse_loss(past, x).item(), rel=1e-5)
    assert logs["output_1_loss"] == pytest.approx(F.mse_loss(future, y).item(), rel=1e-5)
    assert logs["loss"] == pytest.approx(logs["output_0_loss"] + logs["output_1_loss"])


def test_a_criterion_that_takes_all_outputs_and_all_targets_gets_both_structures():
    x, y = rows()

    def criterion(outputs, targets):
        return F.mse_loss(outputs[0], targets[0]) * F.l1_loss(outputs[1], targets[1])

    module = Forecast()
    past, future = module(x)
    found = compiled(module, criterion).evaluate(x, (x, y), batch_size=ROWS, verbose=0)
    assert found == pytest.approx((F.mse_loss(past, x) * F.l1_loss(future, y)).item(), rel=1e-5)


def test_targets_of_another_structure_than_the_outputs_go_to_the_criterion_as_they_are():
    x, y = rows()

    def criterion(outputs, targets):
        return F.mse_loss(outputs[0], targets["a"]) + F.mse_loss(outputs[1], targets["b"]) + outputs[2].mean()

    module = Autoencoder(lambda recon, mu, logvar: (recon, recon + 1, logvar))
    recon, shifted, logvar = module(x)
    found = compiled(module, criterion).evaluate(x, {"a": x, "b": y}, batch_size=ROWS, verbose=0)
    expected = F.mse_loss(recon, x) + F.mse_loss(shifted, y) + logvar.mean()
    assert found == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", nn.MSELoss(), F.mse_loss, lambda y_true, y_pred: (y_true - y_pred).abs()])
def test_built_in_losses_and_keras_order_mean_each_output(loss):
    x, y = rows()
    module = Forecast()
    logs = compiled(module, loss).evaluate(x, (x, y), batch_size=ROWS, verbose=0, return_dict=True)
    function = F.l1_loss if getattr(loss, "__name__", "") == "<lambda>" else F.mse_loss
    past, future = module(x)
    assert logs["output_0_loss"] == pytest.approx(function(past, x).item(), rel=1e-5)
    assert logs["output_1_loss"] == pytest.approx(function(future, y).item(), rel=1e-5)
    with pytest.raises(ValueError, match="give a target for each of 'output_0', 'output_1'"):
        compiled(Forecast(), loss).evaluate(x, y, verbose=0)


def test_a_criterion_that_fails_says_what_it_was_called_with():
    x, y = rows()

    def criterion(outputs, target):
        return (outputs - target).square().mean()

    with pytest.raises(TypeError) as caught:
        train(compiled(Forecast(), criterion), x, y)
    notes = " ".join(caught.value.__notes__)
    assert "loss 'criterion' was called with all outputs, a tuple of a tensor (8, 5) and a tensor (8, 5)" in notes


def test_missing_targets_of_a_criterion_are_said():
    x, _ = rows()
    with pytest.raises(ValueError, match="loss 'elbo' needs y, got None"):
        train(compiled(Autoencoder(), elbo), x)


def test_weights_of_rows_are_refused_unless_the_criterion_takes_them():
    x, _ = rows()
    weights = torch.rand(ROWS)

    def weighted(outputs, target, sample_weight=None):
        values = (outputs[0] - target).square().mean(1)
        return (values if sample_weight is None else values * sample_weight).mean()

    with pytest.raises(ValueError, match="takes no sample weights"):
        train(compiled(Autoencoder(), elbo), x, x, sample_weight=weights)
    module = Autoencoder()
    found = compiled(module, weighted).evaluate(x, x, sample_weight=weights, batch_size=ROWS, verbose=0)
    assert found == pytest.approx(((module(x)[0] - x).square().mean(1) * weights).mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match="sample_weight"):
        train(compiled(Autoencoder(), weighted), x, x, sample_weight=-weights)


def test_metrics_of_outputs_go_by_their_names():
    x, _ = rows()
    module = Autoencoder(FORMS["dict"])
    model = compiled(
        module, elbo_of_names, metrics={"recon": ["mae"], "mu": [("size", lambda pred, target: pred.abs().mean())]}
    )
    logs = model.evaluate(x, x, verbose=0, return_dict=True)
    outputs = module(x)
    assert logs["recon_mae"] == pytest.approx(F.l1_loss(outputs["recon"], x).item(), rel=1e-5)
    assert logs["mu_size"] == pytest.approx(outputs["mu"].abs().mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match="metrics are one list, but the model returns the outputs"):
        compiled(Autoencoder(), elbo, metrics=["mae"]).evaluate(x, x, verbose=0)


def test_factors_and_penalties_belong_to_a_criterion():
    x, _ = rows()
    module = Autoencoder()
    model = compiled(module, elbo, loss_weights=2.0, regularizers={"mu.weight": kt.regularizers.L2(0.5)})
    logs = model.evaluate(x, x, batch_size=ROWS, verbose=0, return_dict=True)
    data = 2 * elbo(module(x), x).item()
    assert logs["data_loss"] == pytest.approx(data, rel=1e-5)
    assert logs["loss"] == pytest.approx(data + 0.5 * module.mu.weight.square().sum().item(), rel=1e-5)


def test_a_criterion_may_return_its_parts():
    x, _ = rows()

    def criterion(outputs, target):
        recon, kld = F.mse_loss(outputs[0], target), divergence(*outputs[1:])
        return {"loss": recon + 0.1 * kld, "recon_term": recon.detach(), "kld_term": kld.detach()}

    module = Autoencoder()
    expected, means = by_hand(module, elbo, x, x)
    history = train(compiled(module, criterion), x, x)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    np.testing.assert_allclose(
        history["loss"], np.add(history["recon_term"], 0.1 * np.array(history["kld_term"])), rtol=1e-5
    )


@pytest.mark.parametrize("result", [lambda: torch.zeros(3), lambda: None, lambda: 1.0])
def test_what_is_no_loss_is_refused(result):
    x, _ = rows()
    with pytest.raises(TypeError, match="must return a scalar tensor, or a dict of scalars"):
        train(compiled(Autoencoder(), lambda outputs, target: result()), x, x)


@pytest.mark.parametrize("at", [(0, 2), (1, 0)])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(at, tmp_path):
    x, _ = rows()

    def fit(callbacks):
        torch.manual_seed(3)
        module, criterion = Autoencoder(), Elbo()
        history = compiled(module, criterion).fit(x, x, epochs=2, batch_size=8, verbose=0, callbacks=callbacks)
        return {**module.state_dict(), "beta": criterion.beta.detach()}, history.history

    (weights, logs), (resumed_weights, resumed_logs) = whole_and_resumed(fit, at, tmp_path)
    assert all(torch.equal(one, resumed_weights[name]) for name, one in weights.items())
    assert resumed_logs == logs


def test_compiled_steps_give_the_weights_of_uncompiled_ones():
    x, _ = rows()
    x = x[:32]
    found = []
    for jit in (False, True):
        torch.manual_seed(1)
        module = Autoencoder()
        model = compiled(module, elbo, jit_compile=jit)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="jit_compile.*")
            history = train(model, x, x, epochs=4)
        assert not jit or model.trainer.is_compiled
        found.append((module.state_dict(), history["loss"]))
    (weights, losses), (jit_weights, jit_losses) = found
    assert jit_losses == pytest.approx(losses, rel=1e-5)
    for name, one in weights.items():
        torch.testing.assert_close(jit_weights[name], one, rtol=1e-5, atol=1e-6)


class SavedAutoencoder(kt.Model):
    def __init__(self):
        super().__init__()
        self.mean, self.log_variance, self.decode = (kt.layers.Dense(n) for n in (2, 2, 5))

    def forward(self, x):
        mean = self.mean(x)
        return self.decode(mean), mean, self.log_variance(x)


def test_a_saved_model_keeps_its_criterion(tmp_path):
    x, _ = rows()
    model = SavedAutoencoder()
    model.compile("adam", elbo)
    train(model, x, x)
    model.save(tmp_path / "model.kt")
    own = {"SavedAutoencoder": SavedAutoencoder, "elbo": elbo}
    loaded = kt.load_model(tmp_path / "model.kt", custom_objects=own)
    assert loaded.evaluate(x, x, verbose=0) == model.evaluate(x, x, verbose=0)
    assert train(loaded, x, x) == train(model, x, x)


def test_the_trial_of_a_criterion_changes_neither_random_numbers_nor_its_state():
    x, y = rows()

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, outputs, target):
            self.calls += 1
            noise = torch.rand(())
            return (outputs[0] - target[0]).square().mean() + (outputs[1] - target[1]).square().mean() + 0 * noise

    criterion = Counting()
    model = kt.Model(Forecast())
    model.compile("sgd", criterion)
    torch.manual_seed(5)
    model.evaluate(x, (x, y), batch_size=12, verbose=0)
    found = torch.rand(())
    torch.manual_seed(5)
    for _ in range(3):
        torch.rand(())
    assert found == torch.rand(())
    (held,) = model.trainer.compiled_loss.outputs.modules()
    assert held.calls == 3


@pytest.mark.parametrize("verb", ["train_on_batch", "test_on_batch"])
def test_single_batches_use_the_criterion(verb):
    x, _ = rows()
    module = Autoencoder()
    expected = elbo(module(x), x).item()
    assert getattr(compiled(module, elbo), verb)(x, x) == pytest.approx(expected, rel=1e-5)
