"""Callbacks of several ranks: the logs that they share, the files, and where they run."""

import os

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ReduceLROnPlateau

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def compiled(**options):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.SGD(0.05), "mse", **options)
    return model


def fitted(model, callbacks, **options):
    return model.fit(X, Y, batch_size=4, verbose=0, callbacks=callbacks, **{"epochs": 3, **options})


class Calls(Callback):
    """Counts its calls, and evaluates the model."""

    state_attributes = ()

    def __init__(self):
        self.batches, self.losses = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(self.model.evaluate(X, Y, verbose=0, return_dict=True)["loss"])
        self.losses.append(float(np.mean((self.model.predict(X, verbose=0) - Y.numpy()) ** 2)))
        logs["own"] = -float(epoch)


class EveryCalls(Calls):
    every_rank = True


def counted(kind, **options):
    calls = kind()
    history = fitted(compiled(**options), [calls])
    return calls.batches, calls.losses, history.history


def test_callbacks_run_on_rank_0_unless_they_say_otherwise(two):
    expected = counted(Calls)
    first, second = two.run(counted, Calls)
    assert first[0] == 30
    assert second[:2] == (0, [])
    np.testing.assert_allclose(first[1], expected[1], rtol=1e-5)
    assert second[2]["own"] == first[2]["own"] == [0.0, -1.0, -2.0]  # the history has the logs on both ranks
    for batches, losses, _ in two.run(counted, EveryCalls):
        assert batches == 30
        np.testing.assert_allclose(losses, expected[1], rtol=1e-5)


def test_without_distribution_each_process_runs_its_callbacks(two):
    assert [one[0] for one in two.run(counted, Calls, distribution=None)] == [30, 30]


def monitors_logs_of_rank_0():
    model = compiled()
    early = EarlyStopping("own", mode="max", patience=1)
    reduce = ReduceLROnPlateau("own", mode="max", patience=1, factor=0.5, cooldown=0)
    history = fitted(model, [Calls(), reduce, early], epochs=10)
    return len(history.epoch), early.stopped_epoch, model.optimizer.param_groups[0]["lr"], early.best


def test_callbacks_on_all_ranks_see_what_those_of_rank_0_add_to_the_logs(two):
    assert two.run(monitors_logs_of_rank_0) == [monitors_logs_of_rank_0()] * 2


def own_rates():
    model = compiled()

    def halve(epoch, logs):
        model.optimizer.param_groups[0]["lr"] *= 0.5

    history = fitted(model, [LambdaCallback(on_epoch_end=halve)])
    return model.optimizer.param_groups[0]["lr"], history.history["loss"]


def test_learning_rates_are_those_of_rank_0(two):
    expected = own_rates()
    for rate, losses in two.run(own_rates):
        assert rate == expected[0] == 0.05 / 8
        np.testing.assert_allclose(losses, expected[1], rtol=1e-5)


def with_files(folder):
    callbacks = [CSVLogger(f"{folder}/{distributed.get_rank()}.csv"), ModelCheckpoint(f"{folder}/{{epoch}}.kt")]
    fitted(compiled(), callbacks, epochs=2)
    distributed.barrier()
    return sorted(os.listdir(folder))


def test_files_are_written_by_rank_0(two, tmp_path):
    assert two.run(with_files, str(tmp_path)) == [["0.csv", "1.kt", "2.kt"]] * 2


def with_other_callbacks():
    with pytest.raises(RuntimeError, match="rank 0: EveryCalls, History; rank 1: History"):
        fitted(compiled(), [EveryCalls()] if distributed.get_rank() == 0 else [])


def test_other_callbacks_on_other_ranks_are_an_error(two):
    two.run(with_other_callbacks)
