"""limit_batches, overfit_batches and max_time: what an epoch of a trial trains on, and when training stops."""

import datetime
import itertools

import numpy as np
import pytest
import torch
from support.interrupted_training import BATCH, Rows, check
from support.interrupted_training import X as ROWS
from support.interrupted_training import Y as CLASSES
from support.problems import regression, same_weights
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt
from kerastorch.callbacks import Callback, LambdaCallback, ModelCheckpoint
from kerastorch.core.duration import format_duration, parse_duration
from kerastorch.data import permutation

X, Y = regression(100)
FIT = {"batch_size": 16, "verbose": 0}


def model():
    torch.manual_seed(0)
    one = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)))
    one.compile(kt.optimizers.SGD(0.1), "mse")
    return one


def by_hand(batches_of_each_epoch):
    """What a PyTorch user writes: the module after these batches, and the mean loss of each epoch."""
    module, losses = model().module_viewed, []
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, foreach=True)
    for batches in batches_of_each_epoch:
        total = count = 0
        for x, y in batches:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(module(x), y)
            loss.backward()
            optimizer.step()
            total, count = total + loss.item() * len(x), count + len(x)
        losses.append(total / count)
    return module, losses


def first_batches(rows, n):
    return [(X[some], Y[some]) for some in rows.split(16)[:n]]


@pytest.mark.parametrize(("limit", "n"), [(3, 3), (0.5, 3), (0.01, 1), (1.0, 7), (50, 7)])
def test_each_epoch_trains_on_the_first_batches_of_its_own_order(limit, n):
    one = model()
    history = one.fit(X, Y, epochs=3, limit_batches=limit, **FIT)
    seed = torch.initial_seed()
    expected, losses = by_hand([first_batches(permutation(100, seed, epoch), n) for epoch in range(3)])
    assert same_weights(one.module_viewed, expected)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-6)


def data_of_kind(kind):
    rows = TensorDataset(X, Y)
    batches = [(X[at : at + 16], Y[at : at + 16]) for at in range(0, 100, 16)]
    return {
        "loader": lambda: DataLoader(rows, batch_size=16),
        "function": lambda: lambda: iter(batches),
        "generator": lambda: itertools.cycle(batches),
        "sequence": lambda: Batches(batches),
        "arrays": lambda: (X, Y),
        "dataset": lambda: rows,
        "map-style dataset": lambda: MapStyle(),
    }[kind]()


class MapStyle(Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return X[index], Y[index]


class Batches:
    """A sequence of batches that counts its hooks, as a PyDataset."""

    def __init__(self, batches):
        self.batches, self.calls = batches, []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def fit(one, data, **options):
    given = data if isinstance(data, tuple) else (data,)
    sized = isinstance(data, (tuple, Dataset))
    return one.fit(*given, **({"batch_size": 16} if sized else {}), verbose=0, shuffle=False, **options)


@pytest.mark.parametrize("kind", ["loader", "function", "sequence", "arrays", "dataset", "map-style dataset"])
def test_limit_batches_takes_the_first_batches_of_every_kind_of_data(kind):
    one = model()
    fit(one, data_of_kind(kind), epochs=2, limit_batches=2)
    assert same_weights(one.module_viewed, by_hand([first_batches(torch.arange(100), 2)] * 2)[0])


def test_a_generator_goes_on_in_each_epoch_as_it_has_a_single_pass():
    one = model()
    fit(one, data_of_kind("generator"), epochs=2, limit_batches=3)
    batches = first_batches(torch.arange(100), 7)
    assert same_weights(one.module_viewed, by_hand([batches[:3], batches[3:6]])[0])


@pytest.mark.parametrize("limit", [2, 7, 20])
def test_the_hooks_of_a_sequence_are_called_once_around_each_limited_epoch(limit):
    data = data_of_kind("sequence")
    fit(model(), data, epochs=2, limit_batches=limit)
    assert data.calls == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize(("given", "rows"), [({"limit_batches": 2}, 32), ({"limit_batches": 0.5}, 48)])
@pytest.mark.parametrize("split", [False, True])
def test_validation_uses_its_own_first_batches(given, rows, split):
    one, x, y = model(), X[:96], Y[:96]
    parts = {"validation_data": (x, y)} if not split else {"validation_split": 0.5}
    n = rows if not split else (32 if given["limit_batches"] == 2 else 16)
    val = x if not split else x[48:]
    target = y if not split else y[48:]
    history = one.fit(x, y, batch_size=16, verbose=0, **parts, **given)
    with torch.no_grad():
        expected = nn.functional.mse_loss(one.module_viewed(val[:n]), target[:n])
    assert history.history["val_loss"][0] == pytest.approx(expected.item(), rel=1e-5)


def test_validation_steps_and_limit_batches_give_the_smaller_number():
    seen = []
    count = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    model().fit(X, Y, validation_data=(X, Y), validation_steps=2, limit_batches=4, callbacks=count, **FIT)
    assert seen == [0, 1]
    seen.clear()
    model().fit(X, Y, validation_data=(X, Y), validation_steps=5, limit_batches=0.2, callbacks=count, **FIT)
    assert seen == [0]


def test_a_validation_generator_may_be_limited_by_limit_batches():
    history = model().fit(X, Y, validation_data=itertools.cycle([(X[:8], Y[:8])]), limit_batches=2, epochs=2, **FIT)
    assert len(history.history["val_loss"]) == 2


@pytest.mark.parametrize("kind", ["loader", "function", "generator", "sequence", "arrays", "dataset"])
def test_overfit_batches_repeats_the_first_batches_and_validates_on_them(kind):
    one = model()
    history = fit(one, data_of_kind(kind), epochs=3, overfit_batches=2)
    assert same_weights(one.module_viewed, by_hand([first_batches(torch.arange(100), 2)] * 3)[0])
    with torch.no_grad():
        expected = nn.functional.mse_loss(one.module_viewed(X[:32]), Y[:32])
    assert history.history["val_loss"][-1] == pytest.approx(expected.item(), rel=1e-5)


def test_overfit_batches_does_not_shuffle_arrays():
    shuffled, plain = model(), model()
    shuffled.fit(X, Y, epochs=2, overfit_batches=2, **FIT)
    plain.fit(X[:32], Y[:32], epochs=2, shuffle=False, **FIT)
    assert same_weights(shuffled, plain)


def test_overfit_batches_draws_the_batches_of_a_shuffling_loader_once():
    drawn = []

    class Noted(MapStyle):
        def __getitem__(self, index):
            drawn.append(index)
            return super().__getitem__(index)

    one = model()
    history = one.fit(DataLoader(Noted(), 16, shuffle=True), epochs=200, overfit_batches=1, verbose=0)
    assert len(drawn) == 16
    assert len(set(drawn)) == 16
    with torch.no_grad():
        loss = nn.functional.mse_loss(one.module_viewed(X[drawn]), Y[drawn]).item()
    assert loss < 0.05 * history.history["loss"][0]


def test_overfit_batches_replaces_other_validation_data_so_that_callbacks_find_their_logs(tmp_path):
    best = ModelCheckpoint(tmp_path / "best.kt", save_best_only=True)
    one = model()
    history = one.fit(X, Y, validation_data=(X[50:], Y[50:]), epochs=2, overfit_batches=1, callbacks=best, **FIT)
    with torch.no_grad():
        expected = nn.functional.mse_loss(one.module_viewed(X[:16]), Y[:16])
    assert history.history["val_loss"][-1] == pytest.approx(expected.item(), rel=1e-5)
    assert (tmp_path / "best.kt").exists()


def test_a_model_that_changes_its_input_gets_the_same_batches_in_each_epoch():
    class Zeroing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def forward(self, x):
            y = self.layer(x.clone())
            x.zero_()
            return y

    one = kt.Model(Zeroing())
    one.compile("sgd", "mse")
    sums = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: sums.append(logs["loss"]))
    one.fit(data_of_kind("loader"), epochs=3, overfit_batches=1, verbose=0, callbacks=look)
    with torch.no_grad():
        zero_loss = nn.functional.mse_loss(one.module_viewed.layer.bias.expand(16, 1), Y[:16]).item()
    assert sums[0] > sums[1] > sums[2]
    assert sums[2] != pytest.approx(zero_loss, rel=1e-3)


@pytest.mark.parametrize("option", [{"limit_batches": 3}, {"overfit_batches": 3}, {"limit_batches": 0.5}])
@pytest.mark.parametrize("data", ["arrays", "shuffled loader", "dataset"])
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path, option, data):
    made = {
        "arrays": lambda: (ROWS, CLASSES),
        "shuffled loader": lambda: DataLoader(Rows(), BATCH, shuffle=True),
        "dataset": Rows,
    }
    check(tmp_path, broken_at=(1, 4, 6), data=made[data], **option)


def test_compiled_training_is_limited_too():
    one = model()
    one.compile(kt.optimizers.SGD(0.1), "mse", jit_compile=True)
    history = one.fit(X, Y, epochs=3, limit_batches=2, shuffle=False, **FIT)
    _, losses = by_hand([first_batches(torch.arange(100), 2)] * 3)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)


def test_a_last_batch_of_one_row_that_is_not_used_does_not_matter():
    one = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))
    one.compile("sgd", "mse")
    with pytest.raises(ValueError, match="leaves a batch of 1"):
        one.fit(X[:33], Y[:33], batch_size=32, verbose=0)
    one.fit(X[:33], Y[:33], batch_size=32, limit_batches=1, verbose=0)


@pytest.mark.parametrize("name", ["limit_batches", "overfit_batches"])
@pytest.mark.parametrize("value", [0, -1, 0.0, 1.5, True, "3", float("nan")])
def test_other_numbers_of_batches_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number of batches"):
        model().fit(X, Y, verbose=0, **{name: value})


def test_a_fraction_of_data_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match=r"limit_batches=0\.5 is a fraction, but the number of batches .* Pass an int"):
        model().fit(data_of_kind("generator"), limit_batches=0.5, verbose=0)


@pytest.mark.parametrize(
    "pair", list(itertools.combinations(["steps_per_epoch", "limit_batches", "overfit_batches"], 2)), ids="-".join
)
def test_two_limits_of_an_epoch_exclude_each_other(pair):
    with pytest.raises(ValueError, match=f"pass one of {pair[0]} and {pair[1]}"):
        model().fit(X, Y, verbose=0, **dict.fromkeys(pair, 2))


class Clock:
    """A clock that moves on by a second with each batch."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def tick(self, *args):
        self.now += 1.0


@pytest.mark.parametrize("given", [9.5, "9.5s", "0.15m 0.5s", datetime.timedelta(seconds=9.5)])
def test_training_stops_after_the_batch_in_which_the_time_is_over(monkeypatch, capsys, given):
    clock, calls = Clock(monkeypatch), []
    note = LambdaCallback(
        on_train_batch_begin=clock.tick,
        on_epoch_end=lambda epoch, logs: calls.append((epoch, sorted(logs))),
        on_train_end=lambda logs: calls.append("end"),
    )
    one = model()
    one.fit(
        X, Y, epochs=5, batch_size=16, verbose=2, shuffle=False, validation_data=(X, Y), callbacks=note, max_time=given
    )
    logs = ["loss", "val_loss"]
    assert [call if call == "end" else (call[0], [name for name in call[1] if name in logs]) for call in calls] == [
        (0, logs), (1, logs), "end",
    ]  # fmt: skip
    batches = first_batches(torch.arange(100), 7)
    assert same_weights(one.module_viewed, by_hand([batches, batches[:3]])[0])  # 7 + 3 batches: 10 seconds
    assert "max_time=9.5s is over: training stops after batch 3 of epoch 2." in capsys.readouterr().out
    assert one.stop_training


def test_validation_that_takes_long_ends_training_after_its_epoch(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    slow = LambdaCallback(on_test_batch_end=clock.tick)
    one = model()
    history = one.fit(X, Y, epochs=5, batch_size=100, validation_data=(X, Y), validation_batch_size=50, verbose=2,
                      callbacks=slow, max_time=3)  # fmt: skip
    assert history.epoch == [0, 1]
    assert "max_time=3s is over: training stops after epoch 2." in capsys.readouterr().out


def test_a_training_that_is_fast_enough_is_not_changed(monkeypatch, capsys):
    Clock(monkeypatch)
    one, other = model(), model()
    one.fit(X, Y, epochs=2, verbose=2, max_time="1h")
    other.fit(X, Y, epochs=2, verbose=2)
    assert same_weights(one, other)
    assert "max_time" not in capsys.readouterr().out


def test_a_resumed_training_counts_the_time_of_all_its_runs(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)

    class Fail(Callback):
        def on_train_batch_end(self, batch, logs=None):
            clock.tick()
            if clock.now == 104.0:
                raise RuntimeError("the machine is gone")

    def run():
        return model().fit(X, Y, epochs=9, shuffle=False, batch_size=100, verbose=0, callbacks=Fail(),
                           resume=tmp_path / "run", max_time=5.5)  # fmt: skip

    with pytest.raises(RuntimeError, match="gone"):
        run()
    clock.now = 1000.0  # hours later
    assert len(run().epoch) == 6  # three epochs of a second each were saved, and 2.5 seconds were left


@pytest.mark.parametrize("value", [0, -5, "", "ten", "5x", "30m1h", "1h1h", True, float("inf"), [3], "-5s"])
def test_other_durations_are_refused(value):
    with pytest.raises(ValueError, match=r"max_time must be a number of seconds > 0, a timedelta, or text such as"):
        model().fit(X, Y, verbose=0, max_time=value)


def test_durations_are_read_as_they_are_written():
    assert parse_duration("t", "1d2h3m4s") == 86400 + 7200 + 180 + 4
    assert parse_duration("t", " 2 h 5 min ") == 7500
    assert format_duration(parse_duration("t", "1d2h")) == "1d 2h"
