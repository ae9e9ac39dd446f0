"""Training with a schedule as learning rate has the weights of a loop of torch that sets each rate by hand."""

import copy

import numpy as np
import pytest
import torch
from support.problems import regression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch import optimizers
from kerastorch.callbacks import (
    BackupAndRestore,
    Callback,
    LearningRateScheduler,
    LRScheduler,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from kerastorch.optimizers import schedules

BATCHES = 4  # of 8 rows
SCHEDULE = schedules.ExponentialDecay(0.1, 3, 0.5)


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))


def make_model(optimizer, **options):
    model = kt.Model(make_net())
    model.compile(optimizer, "mse", **options)
    return model


def fit(model, epochs=3, callbacks=(), **options):
    x, y = regression(8 * BATCHES)
    return model.fit(
        x, y, **{"batch_size": 8, "shuffle": False, "verbose": 0} | options, epochs=epochs, callbacks=[*callbacks]
    )


def by_hand(make, rate_at, epochs=3, every=1, clip=None):
    """Return the net of a loop of torch in which each step sets its rate."""
    net = make_net()
    x, y = regression(8 * BATCHES)
    optimizer, count, batches = make(net), 0, 0
    for _ in range(epochs):
        for rows in torch.arange(len(x)).split(8):
            (nn.functional.mse_loss(net(x[rows]), y[rows]) / every).backward()
            batches += 1
            if batches % every:
                continue
            for group in optimizer.param_groups:
                group["lr"] = rate_at(count)
            if clip is not None:
                clip(net)
            optimizer.step()
            optimizer.zero_grad()
            count += 1
    return net


def assert_same(model, net, **tolerance):
    for here, there in zip(model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(here, there, **tolerance or {"rtol": 1e-6, "atol": 1e-7})


def half(step):
    return 0.1 * 0.5 ** (step / 3)


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        (optimizers.SGD(SCHEDULE, momentum=0.9), lambda net: torch.optim.SGD(net.parameters(), 1.0, momentum=0.9)),
        (optimizers.Adam(SCHEDULE), lambda net: torch.optim.Adam(net.parameters(), 1.0, eps=1e-7)),
        (
            optimizers.AdamW(SCHEDULE, weight_decay=0.1),
            lambda net: torch.optim.AdamW(net.parameters(), 1.0, eps=1e-7, weight_decay=0.1),
        ),
        (optimizers.RMSprop(SCHEDULE), lambda net: torch.optim.RMSprop(net.parameters(), 1.0, alpha=0.9, eps=1e-7)),
        (optimizers.Torch(torch.optim.RAdam, lr=SCHEDULE), lambda net: torch.optim.RAdam(net.parameters(), 1.0)),
    ],
)
def test_each_step_has_the_rate_of_the_schedule(optimizer, make):
    model = make_model(optimizer)
    history = fit(model).history
    assert_same(model, by_hand(make, half))
    assert history["learning_rate"] == [half(BATCHES * epoch + BATCHES - 1) for epoch in range(3)]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam"])
def test_every_optimizer_takes_a_schedule(name):
    model = make_model(getattr(optimizers, name)(SCHEDULE))
    assert fit(model, 1).history["learning_rate"] == [half(3)]


def test_decoupled_weight_decay_has_the_rate_of_its_step():
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = optimizers.SGD(SCHEDULE, weight_decay=0.5)([weight])
    expected = 1.0
    for step in range(3):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        expected = expected * (1 - half(step) * 0.5) - half(step)
        assert weight.item() == pytest.approx(expected, rel=1e-12)


def test_a_schedule_counts_steps_and_not_batches():
    model = make_model(optimizers.SGD(SCHEDULE, gradient_accumulation_steps=2))
    history = fit(model).history
    assert_same(model, by_hand(lambda net: torch.optim.SGD(net.parameters(), 1.0), half, every=2))
    assert history["learning_rate"] == [half(1), half(3), half(5)]


def test_each_pattern_has_its_own_schedule_or_rate():
    model = make_model(
        optimizers.SGD({"0.*": SCHEDULE, "2.weight": 0.25, "*": schedules.PolynomialDecay(0.2, 12, 0.0)})
    )
    history = fit(model, 1).history
    rates = {name: values for name, values in history.items() if "rate" in name}
    assert rates == {
        "learning_rate_0.*": [half(3)],
        "learning_rate_2.weight": [0.25],
        "learning_rate_*": [pytest.approx(0.2 * 9 / 12)],
    }


def test_groups_of_a_loop_of_your_own_may_have_schedules():
    weights = [nn.Parameter(torch.ones(1)) for _ in range(3)]
    groups = [{"params": [weights[0]]}, {"params": [weights[1]], "lr": 0.5}, {"params": [weights[2]], "lr": SCHEDULE}]
    optimizer = optimizers.SGD(schedules.PolynomialDecay(1.0, 10, 0.0))(groups)
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.9, 0.5, half(1)]


def as_loader(x, y):
    return {"x": DataLoader(TensorDataset(x, y), 8), "batch_size": None}


def as_generator(x, y):
    return {"x": lambda: ((x[at : at + 8], y[at : at + 8]) for at in range(0, len(x), 8)), "batch_size": None}


@pytest.mark.parametrize("make", [as_loader, as_generator])
def test_data_that_yields_batches_is_trained_on_with_the_same_rates(make):
    model = make_model(optimizers.SGD(SCHEDULE))
    model.fit(epochs=3, verbose=0, **make(*regression(32)))
    assert_same(model, by_hand(lambda net: torch.optim.SGD(net.parameters(), 1.0), half))


def test_the_schedule_continues_in_the_next_fit_and_in_train_on_batch():
    x, y = regression(8)
    model = make_model(optimizers.SGD(SCHEDULE))
    fit(model, 1)
    model.train_on_batch(x, y)
    assert model.optimizer.param_groups[0]["lr"] == half(4)
    assert fit(model, 1).history["learning_rate"] == [half(8)]


def test_a_step_of_your_own_is_scheduled():
    class Own(kt.Model):
        def train_step(self, batch):
            loss = nn.functional.mse_loss(self(batch.x), batch.y)
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    model = Own(make_net())
    model.compile(optimizers.SGD(SCHEDULE), "mse")
    fit(model)
    assert_same(model, by_hand(lambda net: torch.optim.SGD(net.parameters(), 1.0), half))


def test_an_optimizer_that_needs_a_closure_is_scheduled():
    model = make_model(optimizers.Torch(torch.optim.LBFGS, lr=SCHEDULE, max_iter=2))
    assert fit(model, 2).history["learning_rate"] == [half(3), half(7)]


@pytest.mark.parametrize(
    "optimizer", [optimizers.SGD(SCHEDULE), optimizers.Torch(torch.optim.LBFGS, lr=SCHEDULE, max_iter=1)]
)
def test_a_step_that_a_guard_rejects_is_not_counted(optimizer, capsys):
    x, y = regression(8 * BATCHES)
    x[20] = float("nan")  # in the third batch
    model = make_model(optimizer)
    model.fit(x, y, 8, 1, 0, [TerminateOnNaN()], shuffle=False, check_finite=False)
    assert "terminating training" in capsys.readouterr().out
    assert model.optimizer.param_groups[0]["iterations"] == 2
    assert model.optimizer.learning_rate == half(2)


def test_a_step_that_a_loss_scaler_leaves_out_is_not_counted():
    x, y = regression(8 * BATCHES)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(optimizers.LossScaleOptimizer(optimizers.SGD(SCHEDULE), initial_scale=2.0**126), "mse")
    model.fit(1e6 * x, y, 8, 1, 0)
    assert "iterations" not in model.optimizer.param_groups[0]
    assert model.history["learning_rate"] == [half(0)]


def test_several_optimizers_have_schedules_of_their_own():
    model = make_model({"0": optimizers.SGD(SCHEDULE), "2": optimizers.SGD(0.25)})
    history = fit(model, 1).history
    rates = {name: values for name, values in history.items() if "rate" in name}
    assert rates == {"learning_rate_0": [half(3)], "learning_rate_2": [0.25]}


def test_one_of_several_optimizers_has_a_scheduler_of_torch():
    model = make_model({"0": optimizers.SGD(0.5), "2": optimizers.SGD(0.25)})
    scheduler = LRScheduler("exponential", interval="batch", optimizer="2", gamma=0.5)
    history = fit(model, 2, [scheduler]).history
    assert history["learning_rate_0"] == [0.5, 0.5]
    assert history["learning_rate_2"] == [0.25 * 0.5**3, 0.25 * 0.5**7]


@pytest.mark.parametrize("steps", [1, "auto", 3])
def test_compiled_steps_have_the_rates_and_weights_of_eager_ones(steps):
    def trained(**options):
        model = make_model(
            optimizers.Adam(schedules.PiecewiseConstantDecay([5, 9, 21], [0.1, 0.05, 0.01, 0.002])), **options
        )
        return model, fit(model, 8).history

    eager, expected = trained()
    model, history = trained(jit_compile=True, steps_per_execution=steps)
    assert history["learning_rate"] == expected["learning_rate"]
    assert history["learning_rate"][-1] == 0.002
    assert_same(model, eager, rtol=1e-4, atol=1e-5)
    assert model.optimizer.param_groups[0]["iterations"] == 8 * BATCHES


def test_compiled_steps_are_not_given_up_because_of_a_schedule():
    model = make_model(optimizers.SGD(SCHEDULE, weight_decay=0.01, clipnorm=1.0), jit_compile=True)
    fit(model, 6)
    eager = make_model(optimizers.SGD(SCHEDULE, weight_decay=0.01, clipnorm=1.0))
    fit(eager, 6)
    assert_same(model, eager, rtol=1e-4, atol=1e-6)
    reason = model.trainer.compiled_step.fallback_reason
    assert reason is None or "a compiled step takes" in reason  # slower on this machine


# --- reading and setting the rate ---------------------------------------------------------------------------------


def test_learning_rate_is_the_rate_of_the_next_step_and_cannot_be_set():
    model = make_model(optimizers.SGD(SCHEDULE))
    assert model.optimizer.learning_rate == half(0)
    fit(model, 1)
    assert model.optimizer.learning_rate == half(4)
    assert model.optimizer.param_groups[0]["lr"] == half(3)
    with pytest.raises(TypeError, match="cannot be set: the optimizer was made with a schedule, ExponentialDecay"):
        model.optimizer.learning_rate = 0.5


@pytest.mark.parametrize(
    "callback",
    [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("loss"), LRScheduler("exponential", gamma=0.5)],
)
def test_a_callback_that_sets_the_rate_is_refused_before_training(callback):
    model = make_model(optimizers.SGD(SCHEDULE))
    before = copy.deepcopy(model.state_dict())
    name = type(callback).__name__
    with pytest.raises(ValueError, match=f"{name} sets the learning rate, but the optimizer has a schedule of its own"):
        fit(model, callbacks=[callback])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("rate", [lambda step: 0.1, torch.optim.lr_scheduler.LinearLR])
def test_another_kind_of_schedule_is_refused_with_advice(rate):
    with pytest.raises(ValueError, match=r"optimizers\.schedules.*callbacks\.LRScheduler"):
        optimizers.Adam(rate)


def test_an_optimizer_shows_its_schedule():
    text = "SGD(learning_rate=CosineDecay(initial_learning_rate=0.1, decay_steps=5))"
    assert repr(optimizers.SGD(schedules.CosineDecay(0.1, 5))) == text


# --- files --------------------------------------------------------------------------------------------------------


class Halving(schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate * 0.5**step


@pytest.mark.parametrize(
    ("rate", "next_rate"),
    [
        (SCHEDULE, half(4)),
        (schedules.Warmup(SCHEDULE, 2), half(2)),
        (Halving(0.8), 0.05),
        (schedules.Warmup(Halving(0.8), 2), 0.2),
        ({"0.*": SCHEDULE, "*": SCHEDULE}, half(4)),
    ],
)
def test_a_saved_model_continues_its_schedule(tmp_path, rate, next_rate):
    model = make_model(optimizers.Adam(rate))
    fit(model, 1)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt", custom_objects={"Halving": Halving})
    assert loaded.optimizer.learning_rate == pytest.approx(next_rate)
    fit(model, 1, shuffle=False)
    fit(loaded, 1, shuffle=False)
    assert_same(loaded, model, rtol=0, atol=0)


def test_the_config_of_an_optimizer_has_its_schedule():
    config = optimizers.Adam(schedules.Warmup(SCHEDULE, 2)).get_config()
    again = optimizers.Adam.from_config(config)
    assert [again.learning_rate(step) for step in range(6)] == [0.0, 0.05, *(half(step) for step in range(4))]


class Stop(Callback):
    state_attributes = ()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.trainer.state.epoch == 1 and batch == 1:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("jit", [False, True])
def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, jit):
    def make():
        return make_model(optimizers.Adam(schedules.Warmup(schedules.CosineDecay(0.1, 12), 3)), jit_compile=jit)

    whole = make()
    history = fit(whole, callbacks=[BackupAndRestore(tmp_path / "whole", save_freq=1)]).history
    with pytest.raises(RuntimeError, match="power cut"):
        fit(make(), callbacks=[BackupAndRestore(tmp_path / "cut", save_freq=1), Stop()])
    again = make()
    resumed = fit(again, callbacks=[BackupAndRestore(tmp_path / "cut", save_freq=1)]).history
    assert_same(again, whole, **({"rtol": 1e-4, "atol": 1e-5} if jit else {"rtol": 0, "atol": 0}))
    np.testing.assert_array_equal(resumed["learning_rate"], history["learning_rate"])


def test_a_resumed_script_with_another_schedule_warns_and_uses_the_new_one(tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        fit(make_model(optimizers.SGD(SCHEDULE)), callbacks=[BackupAndRestore(tmp_path, save_freq=1), Stop()])
    model = make_model(optimizers.SGD(schedules.ExponentialDecay(0.1, 5, 0.5)))
    with pytest.warns(UserWarning, match=r"learning_rate \(ExponentialDecay.*decay_steps=3.*decay_steps=5.*is used"):
        history = fit(model, callbacks=[BackupAndRestore(tmp_path, save_freq=1)]).history
    assert history["learning_rate"] == [half(3), 0.1 * 0.5 ** (7 / 5), 0.1 * 0.5 ** (11 / 5)]
