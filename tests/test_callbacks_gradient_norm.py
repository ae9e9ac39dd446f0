"""GradientNorm: against norms of gradients computed by hand with autograd."""

import csv
import math

import pytest
import torch
from support.problems import regression, same_weights
from torch import nn
from torch.optim import optimizer as torch_optimizer

import kerastorch as kt
from kerastorch.callbacks import CSVLogger, EarlyStopping, GradientNorm, LambdaCallback


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))


def trained(callback, module=None, optimizer=None, epochs=1, before=(), after=(), batch_size=10, **options):
    x, y = regression(40)
    model = kt.Model(net() if module is None else module)
    model.compile(optimizer or kt.optimizers.SGD(0.05), "mse", **options)
    callbacks = [*before, callback, *after]
    model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def by_hand(norm, epochs=1, batch_size=10, rate=0.05):
    """`norm(gradients by name)` at each step, averaged over each epoch."""
    x, y = regression(40)
    model = net()
    means = []
    for _ in range(epochs):
        found = []
        for part, target in zip(x.split(batch_size), y.split(batch_size), strict=True):
            loss = nn.functional.mse_loss(model(part), target)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            found.append(norm(dict(zip(dict(model.named_parameters()), gradients, strict=True))))
            with torch.no_grad():
                for weight, gradient in zip(model.parameters(), gradients, strict=True):
                    weight -= rate * gradient
        means.append(sum(found) / len(found))
    return means


def joined(gradients, order=2.0, prefix=""):
    flat = [gradient.flatten() for name, gradient in gradients.items() if name.startswith(prefix)]
    return torch.cat(flat).norm(order).item()


def near(values):
    return pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize("order", [2.0, 1, math.inf])
def test_it_is_the_mean_norm_over_the_steps_of_an_epoch(order):
    model = trained(GradientNorm(norm_type=order), epochs=3)
    assert model.history.history["gradient_norm"] == near(by_hand(lambda g: joined(g, order), epochs=3))
    assert list(model.history.history) == ["gradient_norm", "learning_rate", "loss"]


def test_each_layer_has_its_own():
    model = trained(GradientNorm(per_layer=True), epochs=2)
    found = dict(model.history.history)
    assert found.pop("learning_rate") == [0.05] * len(found["loss"])
    assert set(found) == {"loss", "gradient_norm", "gradient_norm/0", "gradient_norm/2"}
    for layer in "02":
        assert found[f"gradient_norm/{layer}"] == near(by_hand(lambda g, p=layer: joined(g, prefix=p), epochs=2))


@pytest.mark.parametrize("clip", [{"clipnorm": 0.01}, {"global_clipnorm": 0.01}, {"clipvalue": 0.001}])
def test_it_is_measured_before_clipping(clip):
    model = trained(GradientNorm(), optimizer=kt.optimizers.SGD(0.05, **clip), batch_size=40)
    assert model.history.history["gradient_norm"] == near(by_hand(joined, batch_size=40))


def test_accumulated_gradients_are_measured_where_the_step_is_made():
    optimizer = kt.optimizers.SGD(0.05, gradient_accumulation_steps=2)
    model = trained(GradientNorm(), optimizer=optimizer)
    assert model.history.history["gradient_norm"] == near(by_hand(joined, batch_size=20))


def test_a_scaled_loss_is_measured_without_the_scale():
    model = trained(GradientNorm(), optimizer=kt.optimizers.SGD(0.05, loss_scale_factor=1024.0))
    assert model.history.history["gradient_norm"] == near(by_hand(joined))


def test_training_is_the_same_with_it():
    plain, watched = trained(LambdaCallback(), epochs=3), trained(GradientNorm(per_layer=True), epochs=3)
    same_weights(plain, watched)
    assert plain.history.history["loss"] == watched.history.history["loss"]


def test_frozen_layers_count_nothing():
    module = net()
    module[0].requires_grad_(False)
    found = trained(GradientNorm(per_layer=True), module).history.history
    assert found["gradient_norm/0"] == [0.0]
    assert found["gradient_norm/2"] == near(found["gradient_norm"])


def test_sparse_gradients_are_measured_too():
    class Words(nn.Module):
        def __init__(self, sparse):
            super().__init__()
            torch.manual_seed(0)
            self.words = nn.Embedding(7, 3, sparse=sparse)

        def forward(self, x):
            return self.words(x).sum((1, 2))[:, None]

    found = []
    for sparse in (False, True):
        model = kt.Model(Words(sparse))
        model.compile(kt.optimizers.SGD(0.01), "mse")
        x = torch.tensor([[0, 1, 1], [1, 2, 6]])
        model.fit(x, torch.ones(2, 1), verbose=0, callbacks=[GradientNorm()])
        found.append(model.history.history["gradient_norm"])
    assert found[0] == near(found[1])


def test_low_precision_gradients_are_summed_in_more():
    module = nn.Linear(6, 1).to(torch.bfloat16)
    seen = []
    keep = LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append([p.grad.double() for p in module.parameters()])
    )
    found = trained(GradientNorm(), module, batch_size=40, before=[keep]).history.history["gradient_norm"]
    assert found == near([torch.cat([gradient.flatten() for gradient in seen[0]]).norm().item()])


def test_a_gradient_that_is_not_finite_shows():
    x, y = regression(40)
    model = kt.Model(net())
    model.compile("sgd", lambda output, target: (output * 0).sqrt().mean())  # 0, and steep without end
    model.fit(x, y, batch_size=40, verbose=0, callbacks=[GradientNorm()])
    assert not math.isfinite(model.history.history["gradient_norm"][0])


def test_it_can_be_monitored_and_is_a_column_of_csv(tmp_path):
    stop = EarlyStopping("gradient_norm/2", patience=9, mode="min")
    trained(GradientNorm(per_layer=True), after=[stop, CSVLogger(tmp_path / "log.csv")])
    with open(tmp_path / "log.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["gradient_norm/2"]) == stop.best


def test_its_hook_is_gone_however_training_ends():
    before = dict(torch_optimizer._global_optimizer_pre_hooks)

    def fail(*args):
        raise RuntimeError("no")

    trained(GradientNorm())
    assert torch_optimizer._global_optimizer_pre_hooks == before
    for hook in ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end"):
        for place in ("before", "after"):
            with pytest.raises(RuntimeError, match="no"):
                trained(GradientNorm(), **{place: [LambdaCallback(**{hook: fail})]})
            assert torch_optimizer._global_optimizer_pre_hooks == before


def test_steps_of_another_optimizer_are_not_counted():
    other = nn.Linear(2, 1)
    steps = torch.optim.SGD(other.parameters())

    def step(batch, logs):
        other(torch.full((1, 2), 1e6)).sum().backward()
        steps.step()

    model = trained(GradientNorm(), before=[LambdaCallback(on_train_batch_end=step)])
    assert model.history.history["gradient_norm"] == near(by_hand(joined))


def test_compiled_steps_are_refused_before_the_first_epoch():
    with pytest.raises(ValueError, match="a compiled step leaves no gradients; compile with jit_compile=False"):
        trained(GradientNorm(), jit_compile=True)


def test_lbfgs_is_refused():
    with pytest.raises(ValueError, match="LBFGS computes gradients within its step"):
        trained(GradientNorm(), optimizer="lbfgs")


def test_an_interrupted_epoch_is_gone_on_with():
    whole = trained(GradientNorm()).history.history["gradient_norm"]
    first, states = GradientNorm(), []
    keep = LambdaCallback(on_train_batch_end=lambda batch, logs: states.append(first.state_dict()))
    trained(first, after=[keep])
    second = GradientNorm()
    second.load_state_dict(states[-1])
    logs = {"loss": 0.0}
    second._layers = {}
    second.on_epoch_end(0, logs)
    assert logs["gradient_norm"] == near(whole[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"norm_type": 0}, "norm_type must be a finite number > 0, got 0"),
        ({"norm_type": "fro"}, "norm_type must be"),
        ({"per_layer": "yes"}, "per_layer must be True or False, got 'yes'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        GradientNorm(**arguments)
