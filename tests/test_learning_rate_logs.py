"""Every epoch logs the learning rate of its last batch, for every kind of optimizer, data and callback."""

import csv
import re

import numpy as np
import pytest
import torch
from support.problems import regression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    LearningRateScheduler,
    LRScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)

BATCHES = 4  # of 8 rows


def make_model(optimizer=None, **options):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(optimizer or kt.optimizers.SGD(0.05), "mse", **options)
    return model


def fit(model, epochs=3, **options):
    x, y = regression(8 * BATCHES)
    return model.fit(x, y, 8, epochs, **{"verbose": 0} | options)


def grouped(model, **more):
    layer = model.get_submodule("") if not hasattr(model, "weight") else model
    return torch.optim.SGD(
        [{"params": [layer.weight], "lr": 0.1} | more.get("first", {}), {"params": [layer.bias]}], lr=0.2
    )


def test_a_constant_rate_is_logged_in_each_epoch_but_not_for_the_validation():
    history = fit(make_model(), validation_split=0.25).history
    assert history["learning_rate"] == [0.05] * 3
    assert set(history) == {"learning_rate", "loss", "val_loss"}


def sequence(x, y):
    return DataLoader(TensorDataset(x, y), 8)


def generator(x, y):
    return lambda: ((x[at : at + 8], y[at : at + 8]) for at in range(0, len(x), 8))


@pytest.mark.parametrize("make", [sequence, generator])
def test_the_rate_is_logged_for_data_that_yields_batches(make):
    model = make_model("adam")
    assert model.fit(make(*regression(32)), epochs=2, verbose=0).history["learning_rate"] == [0.001] * 2


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        ("rmsprop", 0.001),
        ("lbfgs", 1.0),
        (lambda params: torch.optim.Adam(params, lr=torch.tensor(0.25)), 0.25),
        (kt.optimizers.SGD(0.5, gradient_accumulation_steps=3), 0.5),
    ],
)
def test_the_rate_of_any_optimizer_is_a_float_in_the_logs(optimizer, rate):
    history = fit(make_model(optimizer), epochs=1).history
    assert history["learning_rate"] == [rate]
    assert type(history["learning_rate"][0]) is float


def test_an_optimizer_without_a_rate_logs_none():
    x, y = regression(32)
    model = make_model("bfgs")
    assert set(model.fit(x, y, 32, 1, 0).history) == {"loss"}
    with pytest.raises(ValueError, match="Unknown metric 'learning_rate'"):
        make_model("bfgs").fit(x, y, 32, 1, 0, [ModelCheckpoint("x.kt", "learning_rate", save_best_only=True)])


def test_evaluate_and_train_on_batch_return_no_rate():
    x, y = regression(32)
    model = make_model()
    fit(model)
    assert set(model.evaluate(x, y, verbose=0, return_dict=True)) == {"loss"}
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss"}
    assert model.metrics_names == ["loss"]


def test_groups_of_different_rates_have_logs_of_their_own():
    model = make_model()
    model.compile(grouped(model), "mse")
    history = fit(model, 2).history
    assert (history["learning_rate_0"], history["learning_rate_1"]) == ([0.1] * 2, [0.2] * 2)
    assert "learning_rate" not in history


def test_groups_of_one_rate_have_one_log():
    model = make_model()
    model.compile(torch.optim.SGD([{"params": [one]} for one in model.parameters()], lr=0.2), "mse")
    assert fit(model, 1).history["learning_rate"] == [0.2]


def test_a_group_with_a_name_is_logged_under_it():
    model = make_model()
    model.compile(grouped(model, first={"name": "kernel"}), "mse")
    assert {name for name in fit(model, 1).history if "rate" in name} == {"learning_rate_kernel", "learning_rate_1"}


def test_groups_keep_their_logs_when_their_rates_become_equal():
    model = make_model()
    model.compile(grouped(model), "mse")
    with pytest.warns(UserWarning, match="has run out to a learning rate of 0"):
        history = fit(model, 3, callbacks=[LRScheduler("step", step_size=1, gamma=0.0)]).history
    assert (history["learning_rate_0"], history["learning_rate_1"]) == ([0.1, 0.0, 0.0], [0.2, 0.0, 0.0])


class Read(Callback):
    """Read the rate at the beginning of each batch, when it is the rate of the batch."""

    def __init__(self):
        self.rates, self.last = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(self.model.optimizer.param_groups[0]["lr"])

    def on_epoch_end(self, epoch, logs=None):
        self.last.append(self.rates[-1])


@pytest.mark.parametrize("position", ["first", "last"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: LRScheduler("exponential", interval="batch", gamma=0.5),
        lambda: LRScheduler("exponential", gamma=0.5),
        lambda: LRScheduler("one_cycle", max_lr=0.1, cycle_momentum=False),
        lambda: LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)),
        lambda: ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1e9),
    ],
)
def test_the_log_is_the_rate_of_the_last_batch_before_and_after_the_callback_in_the_list(make, position, tmp_path):
    read, logger = Read(), CSVLogger(tmp_path / "log.csv")
    callbacks = [read, logger, make()] if position == "first" else [make(), read, logger]
    history = fit(make_model(), callbacks=callbacks)
    assert history["learning_rate"] == read.last
    assert len(set(read.last)) > 1
    with (tmp_path / "log.csv").open(newline="") as file:
        assert [float(row["learning_rate"]) for row in csv.DictReader(file)] == read.last


def test_a_rate_that_a_train_step_logs_itself_stays():
    class Own(kt.Model):
        def train_step(self, batch):
            return {**super().train_step(batch), "learning_rate": torch.tensor(7.0)}

    torch.manual_seed(0)
    model = Own(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    assert fit(model, 1).history["learning_rate"] == [7.0]


def test_the_line_of_an_epoch_shows_the_rate_before_the_validation(capsys):
    fit(make_model(metrics=["mae"]), 1, verbose=2, validation_split=0.25)
    pattern = r"- loss: \S+ - mae: \S+ - learning_rate: 0\.0500 - val_loss: \S+ - val_mae: \S+$"
    assert re.search(pattern, capsys.readouterr().out.strip())


def test_the_rate_can_be_monitored_and_be_in_the_name_of_a_checkpoint(tmp_path):
    callbacks = [ModelCheckpoint(str(tmp_path / "{epoch}-{learning_rate:.2f}.safetensors"), save_weights_only=True)]
    fit(make_model(), 1, callbacks=callbacks)
    assert [path.name for path in tmp_path.iterdir()] == ["1-0.05.safetensors"]


def test_a_resumed_training_has_the_rates_of_an_uninterrupted_one(tmp_path):
    class Stop(Callback):
        state_attributes = ()

        def on_train_batch_end(self, batch, logs=None):
            if self.model.trainer.state.epoch == 1 and batch == 2:
                raise RuntimeError("power cut")

    def callbacks(folder, *more):
        return [
            LRScheduler("one_cycle", max_lr=0.1, cycle_momentum=False),
            *more,
            BackupAndRestore(folder, save_freq=1),
        ]

    whole = fit(make_model(), callbacks=callbacks(tmp_path / "whole")).history
    with pytest.raises(RuntimeError, match="power cut"):
        fit(make_model(), callbacks=callbacks(tmp_path / "cut", Stop()))
    again = fit(make_model(), callbacks=callbacks(tmp_path / "cut")).history
    assert again == whole


def test_a_plot_has_a_panel_for_a_rate_that_changes_only():
    plt = pytest.importorskip("matplotlib.pyplot")

    def panels(history):
        return [axes.get_ylabel() for axes in history.plot().axes]

    constant = fit(make_model())
    changing = fit(make_model(), callbacks=[LRScheduler("exponential", gamma=0.5)])
    assert panels(constant) == ["loss"]
    assert panels(changing) == ["loss", "learning_rate"]
    plt.close("all")


def test_a_compiled_step_logs_the_rate_of_the_last_batch():
    read = Read()
    model = make_model(jit_compile=True)
    history = fit(model, callbacks=[LRScheduler("exponential", interval="batch", gamma=0.5), read])
    assert history["learning_rate"] == read.last
    np.testing.assert_allclose(read.last, [0.05 * 0.5 ** (BATCHES * epoch + 3) for epoch in range(3)])
