"""The learning-rate range test: its losses are those of a loop by hand, and the model is as before."""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from support.problems import regression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch import optimizers
from kerastorch.optimizers import schedules
from kerastorch.training.learning_rate_curve import LearningRateCurve

ROWS = 96


def make_net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))


def make_model(optimizer="sgd", net=None, **options):
    model = kt.Model(net or make_net())
    model.compile(optimizer, "mse", **options)
    return model


def data():
    return regression(ROWS)


def everything(model):
    """Return copies of all that a training changes."""
    optimizer = model.optimizer
    states = [copy.deepcopy(state) for state in optimizer.state.values()]
    return {
        "model": copy.deepcopy(model.state_dict()),
        "gradients": [None if one.grad is None else one.grad.clone() for one in model.parameters()],
        "state": states,
        "groups": [
            {k: copy.deepcopy(v) for k, v in group.items() if k != "params"} for group in optimizer.param_groups
        ],
        "torch": torch.get_rng_state(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "modes": [module.training for module in model.modules()],
        "progress": (model.trainer.state.epochs_done, model.trainer.state.completed_fits, model.stop_training),
        "logs": dict(model.trainer.state.logs),
        "history": model.history,
    }


def assert_equal(a, b, where=""):
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_equal(one, other, f"{where}.{index}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a is b or a == b, where


def test_rates_grow_geometrically_and_losses_are_those_of_a_loop_by_hand():
    x, y = data()
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    twin = copy.deepcopy(net)
    curve = make_model(optimizers.SGD(0.01, momentum=0.5), net).find_lr(
        x, y, 32, 0, shuffle=False, steps=20, min_lr=1e-3, max_lr=1.0
    )
    optimizer = torch.optim.SGD(twin.parameters(), 1.0, momentum=0.5)
    losses = []
    rates = [1e-3 * 1000 ** (step / 19) for step in range(20)]
    for step, rate in enumerate(rates):
        rows = slice(step % 3 * 32, step % 3 * 32 + 32)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(twin(x[rows]), y[rows])
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert curve.rates == pytest.approx(rates, rel=1e-12)
    assert curve.losses == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.01, momentum=0.9),
        optimizers.Adam(0.01, use_ema=True),
        optimizers.Adam(0.01, gradient_accumulation_steps=2),
        optimizers.Adam(schedules.CosineDecay(0.01, 50), weight_decay=0.01),
        optimizers.Torch(torch.optim.Adagrad, lr=0.01),
    ],
)
def test_everything_is_as_before_bit_for_bit(optimizer, trained):
    x, y = data()
    model = make_model(optimizer, metrics=["mae"])
    if trained:
        model.fit(x, y, 32, 2, 0)
    _ = model.optimizer
    np.random.rand()
    random.random()
    before = everything(model)
    model.find_lr(x, y, 16, 0)
    assert_equal(everything(model), before)


def test_a_fit_afterwards_has_the_weights_of_one_without_the_test():
    x, y = data()

    def trained(tests, lazy):
        torch.manual_seed(1)
        layers = [kt.layers.Dense(8, activation="tanh"), kt.layers.Dropout(0.3), kt.layers.Dense(1)]
        model = kt.Sequential(layers if lazy else [kt.Input((6,)), *layers])
        model.compile("adam", "mse")
        if tests:
            model.find_lr(x, y, verbose=0)
        history = model.fit(x, y, 16, 3, 0).history
        if tests:
            model.find_lr(x, y, verbose=0)
        history = {name: [*values, *model.fit(x, y, 16, 1, 0)[name]] for name, values in history.items()}
        return model, history

    for lazy in (False, True):
        first, expected = trained(False, lazy)
        second, history = trained(True, lazy)
        assert history == expected
        assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_seeded_layers_data_loaders_and_generators_are_rewound():
    x, y = data()

    def trained(tests):
        generator = torch.Generator().manual_seed(5)
        loader = DataLoader(TensorDataset(x, y), 16, shuffle=True, generator=generator)
        torch.manual_seed(1)
        model = kt.Sequential([kt.Input((6,)), kt.layers.Dropout(0.3, seed=4), kt.layers.Dense(1)])
        model.compile("adam", "mse")
        if tests:
            model.find_lr(loader, verbose=0)
        return model.fit(loader, epochs=2, verbose=0).history

    assert trained(True) == trained(False)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: (DataLoader(TensorDataset(x, y), 16),),
        lambda x, y: (TensorDataset(x, y),),
        lambda x, y: (lambda: ((x[at : at + 16], y[at : at + 16]) for at in range(0, len(x), 16)),),
        lambda x, y: (((x, y) for _ in range(1000)),),
        lambda x, y: (x.numpy(), y.numpy()),
        lambda x, y: (x.tolist(), y.tolist()),
    ],
)
def test_it_takes_the_data_that_fit_takes(make):
    curve = make_model("adam").find_lr(*make(*data()), verbose=0)
    assert 1e-5 < curve.suggestion < 1.0


def test_sample_weights_and_several_inputs_and_outputs_are_taken():
    x, y = data()
    inputs = {"a": kt.Input((3,), name="a"), "b": kt.Input((3,), name="b")}
    joined = kt.layers.Concatenate()([inputs["a"], inputs["b"]])
    model = kt.Model(inputs, {"one": kt.layers.Dense(1)(joined), "two": kt.layers.Dense(1)(joined)})
    model.compile("adam", {"one": "mse", "two": "mae"})
    given = {"a": x[:, :3], "b": x[:, 3:]}, {"one": y, "two": y}
    assert model.find_lr(*given, 16, 0, sample_weight=np.ones(ROWS)).suggestion > 0


def test_a_compiled_model_is_tested_without_a_warning_and_trains_compiled_afterwards():
    x, y = data()
    model = make_model(optimizers.SGD(0.01), nn.Linear(6, 1), jit_compile=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, 32, 4, 0)
        model.find_lr(x, y, 32, 0)
        model.fit(x, y, 32, 4, 0)
    twin = make_model(optimizers.SGD(0.01), nn.Linear(6, 1))
    assert twin.find_lr(x, y, 32, 0).suggestion > 0


def test_steps_that_are_executed_together_are_tested_one_by_one():
    x, y = data()
    net = nn.Linear(6, 1)
    one = make_model(optimizers.SGD(0.01), copy.deepcopy(net)).find_lr(x, y, 16, 0)
    several = make_model(optimizers.SGD(0.01), copy.deepcopy(net), steps_per_execution=4).find_lr(x, y, 16, 0)
    assert several.losses == one.losses


def test_groups_keep_the_ratio_of_their_rates():
    x, y = data()
    net = nn.Linear(6, 1)
    seen = []
    optimizer = torch.optim.SGD([{"params": [net.weight], "lr": 0.4}, {"params": [net.bias], "lr": 0.1}])
    optimizer.register_step_pre_hook(lambda one, *_: seen.append([group["lr"] for group in one.param_groups]))
    model = make_model(optimizer, net)
    curve = model.find_lr(x, y, 16, 0)
    steps = min(len(seen), len(curve.rates))
    np.testing.assert_allclose([rate for rate, _ in seen[:steps]], curve.rates[:steps])
    np.testing.assert_allclose([rate / other for rate, other in seen], 4.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.1]


def test_a_model_with_a_step_of_its_own_is_tested():
    class Own(kt.Model):
        def train_step(self, batch):
            loss = nn.functional.mse_loss(self(batch.x), batch.y)
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    model = Own(make_net())
    model.compile("adam", "mse")
    assert model.find_lr(*data(), verbose=0).suggestion > 0


def test_it_ends_when_the_loss_diverges_and_the_model_is_as_before():
    x, y = data()
    model = make_model("sgd", nn.Linear(6, 1))
    before = copy.deepcopy(model.state_dict())
    curve = model.find_lr(1000 * x, y, 16, 0, min_lr=1e-12)
    assert len(curve.rates) < 100
    assert np.isfinite(curve.losses).all()
    assert curve.suggestion < 1e-6
    assert_equal(copy.deepcopy(model.state_dict()), before)


def test_the_model_is_as_before_after_an_error_in_the_data():
    x, y = data()

    def broken():
        for at in range(0, 48, 16):
            yield x[at : at + 16], y[at : at + 16]
        raise OSError("no such file")

    model = make_model("adam")
    _ = model.optimizer
    before = everything(model)
    with pytest.raises(OSError, match="no such file"):
        model.find_lr(broken, verbose=0)
    assert_equal(everything(model), before)


# --- what it finds ------------------------------------------------------------------------------------------------


def test_the_suggestion_trains_better_than_a_rate_far_below_and_far_above():
    x, y = data()

    def loss_at(rate):
        model = make_model(optimizers.SGD(rate))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y, 16, 10, 0)
        return model.evaluate(x, y, verbose=0)

    rate = make_model("sgd").find_lr(x, y, 16, 0).suggestion
    middle, low, high = loss_at(rate), loss_at(rate / 100), loss_at(rate * 1000)
    assert middle < low
    assert not high < middle


def test_the_suggestion_is_the_steepest_descent_of_a_known_curve():
    exponents = np.linspace(-6, 1, 71)
    falling = -np.tanh(2 * (exponents + 3))  # steepest at 1e-3
    curve = LearningRateCurve(list(10**exponents), list(falling), smoothing=0.5)
    assert curve.suggestion == pytest.approx(1e-3)


def test_smoothing_is_the_mean_with_weights_that_decay_on_both_sides():
    losses = [5.0, 4.0, 3.5, 2.0, 1.0, 0.5]
    curve = LearningRateCurve([10.0**power for power in range(6)], losses, smoothing=0.5)
    expected = [
        sum(0.5 ** abs(i - j) * loss for j, loss in enumerate(losses)) / sum(0.5 ** abs(i - j) for j in range(6))
        for i in range(6)
    ]
    assert curve.smoothed == pytest.approx(expected)


def test_a_loss_that_explodes_does_not_move_the_suggestion():
    exponents = np.linspace(-6, 1, 71)
    falling = list(-np.tanh(2 * (exponents + 3)))
    plain = LearningRateCurve(list(10**exponents), falling)
    exploding = LearningRateCurve(list(10**exponents), [*falling[:-2], 1e6, 1e30])
    assert exploding.suggestion == pytest.approx(plain.suggestion, rel=0.3)


def test_it_shows_its_suggestion_and_plots_it(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    curve = make_model("adam").find_lr(*data(), verbose=0)
    assert f"suggestion {curve.suggestion:.2g})" in repr(curve)
    figure = curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "learning rate", "loss")
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match=r"ends in \.png"):
        curve.plot("curve.txt")
    plt.close("all")


def test_it_prints_a_line_or_nothing(capsys):
    model = make_model("adam")
    model.find_lr(*data(), verbose=0)
    assert capsys.readouterr().out == ""
    curve = model.find_lr(*data(), verbose=2)
    assert capsys.readouterr().out.startswith(f"find_lr - {len(curve.losses)} steps, ")


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_lr": 0.0}, "min_lr must be a finite number > 0, got 0.0"),
        ({"max_lr": 1e-8}, "max_lr must be a finite number > 1e-07, got 1e-08"),
        ({"steps": 4}, "steps must be an integer >= 5, got 4"),
        ({"smoothing": 1.0}, "smoothing must be a finite number >= 0 and < 1"),
        ({"divergence": 1.0}, "divergence must be a finite number > 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model().find_lr(*data(), verbose=0, **arguments)


def test_rates_too_small_to_learn_with_are_an_error():
    with pytest.raises(ValueError, match="the loss did not fall at any learning rate from 1e-12 to 1e-10"):
        make_model("sgd").find_lr(*data(), verbose=0, min_lr=1e-12, max_lr=1e-10)


def test_rates_that_diverge_at_once_are_an_error():
    with pytest.raises(ValueError, match=r"diverged after \d batches"):
        make_model("sgd", nn.Linear(6, 1)).find_lr(*data(), verbose=0, min_lr=100.0, max_lr=1e6)


def test_a_loss_that_is_not_finite_at_once_is_an_error():
    net = nn.Linear(6, 1)
    nn.init.constant_(net.weight, float("inf"))
    with pytest.raises(ValueError, match="no loss was recorded"):
        make_model("sgd", net).find_lr(*data(), verbose=0)


def test_an_optimizer_without_a_rate_is_an_error():
    with pytest.raises(ValueError, match="has no learning rate"):
        make_model("bfgs", nn.Linear(6, 1)).find_lr(*data(), ROWS, 0)


def test_several_optimizers_are_an_error():
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1)))
    model.compile({"0": "sgd", "1": "adam"}, "mse")
    with pytest.raises(ValueError, match="the model has several"):
        model.find_lr(*data(), verbose=0)


def test_a_model_that_is_not_compiled_is_an_error():
    with pytest.raises(RuntimeError, match=r"compile"):
        kt.Model(nn.Linear(6, 1)).find_lr(*data())
