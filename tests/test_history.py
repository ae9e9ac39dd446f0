"""History: the curves of one fit and of all fits, resources, files, copies, and histories that no model made."""

import copy
import json
import math
import pickle
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.callbacks import Callback, EarlyStopping, History
from kerastorch.callbacks.epoch_meter import RESOURCES, peak_memory
from kerastorch.errors import CheckpointCorruptError, CheckpointError

ROWS = 20
X, Y = np.linspace(-1, 1, ROWS, dtype="float32")[:, None], np.linspace(1, 2, ROWS, dtype="float32")[:, None]


def make_model(metrics=None):
    model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(kt.optimizers.SGD(0.1), "mse", metrics=metrics)
    return model


def fit(model, epochs=2, **options):
    return model.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, **options)


def joined(*histories):
    """Return the logs of several fits, one after the other."""
    names = sorted({name for one in histories for name in one.history})
    return {name: [value for one in histories for value in one.history.get(name, [])] for name in names}


def made_by_hand(**logs):
    history = History()
    for epoch, values in enumerate(zip(*logs.values(), strict=True)):
        history.on_epoch_end(epoch, dict(zip(logs, values, strict=True)))
    return history


class Fails(Callback):
    """Raises an error at the end of the first batch of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch:
            raise KeyboardInterrupt


# --- all fits of a model -------------------------------------------------------------------------------------------


def test_fit_returns_its_own_curves_and_the_model_has_those_of_all_fits():
    model = make_model(["mae"])
    first, second, third = fit(model, 3), fit(model, 1, validation_data=(X, Y)), fit(model, 2)
    assert [one.epoch for one in (first, second, third)] == [[0, 1, 2], [0], [0, 1]]
    whole = model.history
    assert whole.epoch == [0, 1, 2, 3, 4, 5]
    assert whole.history == joined(first, second, third)
    assert whole.fits == [range(3), range(3, 4), range(4, 6)]
    assert first.fits == [range(3)]
    assert first.model is whole.model is model
    assert whole.params == third.params
    assert repr(whole).startswith("History(6 epochs in 3 fits: ")


def test_logs_of_some_fits_keep_their_epochs_in_the_history_of_all():
    pytest.importorskip("pandas")
    model = make_model()
    fit(model, 2)
    validated = fit(model, 3, validation_data=(X, Y), validation_freq=2)
    assert model.history.best()[0] == 4
    assert model.history.frame()["val_loss"].dropna().to_dict() == {4: validated["val_loss"][0]}


def test_the_history_of_all_fits_is_one_object_that_is_up_to_date_within_a_fit():
    model = make_model()
    assert model.history is None
    fit(model, 1)
    whole, logs, seen = model.history, model.history.history, []

    class Look(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(list(self.model.history.epoch))

    fit(model, 2, callbacks=[Look()])
    assert seen == [[0], [0, 1]]
    assert model.history is whole
    assert whole.history is logs
    assert len(logs["loss"]) == 3


def test_an_epoch_keeps_its_number_if_initial_epoch_is_beyond_those_before():
    model = make_model()
    assert fit(model, 12, initial_epoch=10).epoch == [10, 11]
    assert model.history.epoch == [10, 11]
    assert fit(model, 14, initial_epoch=12).epoch == [12, 13]
    assert model.history.epoch == [10, 11, 12, 13]
    fit(model, 2)  # counted on
    fit(model, 21, initial_epoch=20)
    assert model.history.epoch == [*range(10, 16), 20]
    assert model.history.fits == [range(10, 12), range(12, 14), range(14, 16), range(20, 21)]
    assert model.history.best("loss") == (21, min(model.history["loss"]))


def test_changing_the_curves_of_a_fit_leaves_those_of_the_model():
    model = make_model()
    first, second = fit(model, 2), fit(model, 2)
    expected = joined(first, second)
    first.history["loss"] += second.history["loss"]  # as scripts for Keras join two fits
    assert model.history.history == expected
    assert first.best("loss")[0] == 4  # counted on
    assert first.curves()["loss"].epochs == [1, 2, 3, 4]


def test_a_fit_that_is_interrupted_or_fails_leaves_its_whole_epochs():
    model = make_model()
    fit(model, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, 5, callbacks=[Fails(2)])
    assert model.history.fits == [range(1), range(1, 3)]
    with pytest.raises(KeyboardInterrupt):
        fit(model, 5, callbacks=[Fails(0)])
    with pytest.raises(ValueError, match="99 samples"):
        model.fit(np.ones((99, 1)), Y, verbose=0)
    assert model.history.fits == [range(1), range(1, 3)]
    fit(model, 1)
    assert model.history.fits == [range(1), range(1, 3), range(3, 4)]


def test_compile_leaves_the_history_of_all_fits():
    model = make_model(["mae"])
    first = fit(model, 2)
    model.compile("adam", "mse")
    second = fit(model, 1)
    assert model.history.history["loss"] == first["loss"] + second["loss"]
    assert len(model.history["mae"]) == 2
    assert model.history.fits == [range(2), range(2, 3)]


def test_copies_and_loaded_models_have_no_history(tmp_path):
    model = make_model()
    fit(model, 1)
    model.save(tmp_path / "model.kt")
    for other in (kt.load_model(tmp_path / "model.kt"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.history is None
    other = kt.load_model(tmp_path / "model.kt")
    fit(other, 1)
    assert other.history.epoch == [0]


def test_a_history_as_a_callback_has_its_fit_and_that_of_the_model_is_refused():
    model, own = make_model(), History()
    for epochs in (2, 1):
        history = fit(model, epochs, callbacks=[own])
        assert own.history == history.history
        assert own is not history
    before = dict(model.history.history)
    with pytest.raises(ValueError, match=r"callbacks has model\.history, which records each fit"):
        fit(model, 1, callbacks=[model.history])
    assert model.history.history == before
    assert model.history.fits == [range(2), range(2, 3)]


def test_the_curves_of_a_loaded_model_continue_if_it_gets_its_history(tmp_path):
    model = make_model()
    first = fit(model, 2)
    model.save(tmp_path / "model.kt")
    model.history.save(tmp_path / "history.json")
    other = kt.load_model(tmp_path / "model.kt")
    other.history = History.load(tmp_path / "history.json")
    second = fit(other, 2)
    assert other.history.history["loss"] == first["loss"] + second["loss"]
    assert other.history.fits == [range(2), range(2, 4)]
    assert other.history.model is other


def test_a_model_may_have_another_history_before_it_is_trained():
    class Net(kt.Model):
        def __init__(self):
            super().__init__()
            self.dense = kt.layers.Dense(1)
            self.history = ["notes"]

        def forward(self, x):
            return self.dense(x)

    model = Net()
    model.compile("sgd", "mse")
    history = fit(model, 1)
    assert model.history.history == history.history


@pytest.mark.parametrize("kind", ["sequential", "functional", "subclass", "view"])
@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_kind_of_model_has_the_curves_of_all_fits(kind, jit):
    model = MODELS[kind]()
    model.compile("sgd", "mse", jit_compile=jit)
    loader = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 8)
    first, second = model.fit(loader, epochs=2, verbose=0), fit(model, 1)
    assert model.history.history == joined(first, second)
    assert model.history.fits == [range(2), range(2, 3)]
    assert None not in model.history.resources["samples_per_second"]
    assert "history" not in str(model.state_dict().keys())


def functional():
    x = kt.Input((1,))
    return kt.Model(x, kt.layers.Dense(1)(x))


class Subclass(kt.Model):
    def __init__(self):
        super().__init__()
        self.dense = kt.layers.Dense(1)

    def forward(self, x):
        return self.dense(x)


MODELS = {
    "sequential": lambda: kt.Sequential([kt.layers.Dense(1)]),
    "functional": functional,
    "subclass": Subclass,
    "view": lambda: kt.Model(torch.nn.Linear(1, 1)),
}


def test_what_is_no_fit_leaves_the_history():
    model = make_model()
    model.train_on_batch(X, Y)
    model.find_lr(X, Y, batch_size=ROWS, verbose=0, min_lr=0.01, max_lr=1, steps=20)
    assert model.history is None
    history = fit(model, 1)
    expected = dict(history.history)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.evaluate(X, Y, verbose=0)
    model.find_lr(X, Y, batch_size=ROWS, verbose=0, min_lr=0.01, max_lr=1, steps=20)
    assert model.history.history == expected
    assert len(model.history.epoch) == 1


def test_early_stopping_counts_the_epochs_of_its_own_fit():
    model = make_model()
    fit(model, 5)
    with pytest.warns(UserWarning, match="val_other was never logged"):
        fit(model, 2, validation_data=(X, Y), callbacks=[Adds(), EarlyStopping("val_other", mode="min")])
    fit(model, 2, callbacks=[Adds(), EarlyStopping("val_other", mode="min", start_from_epoch=3)])  # without a warning


class Adds(Callback):
    """May add logs under any name, so that `fit` cannot check those of later callbacks."""

    def on_epoch_end(self, epoch, logs=None):
        pass


def test_limits_and_early_stopping_are_as_any_other_epochs():
    model = make_model()
    fit(model, 3, limit_batches=1)
    fit(model, 9, callbacks=[EarlyStopping("loss", mode="max", patience=1)])
    assert model.history.fits == [range(3), range(3, 5)]


# --- resuming ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2])
def test_a_fit_that_resumes_counts_its_epochs_once(tmp_path, cut):
    kt.utils.set_random_seed(1)
    straight = make_model()
    fit(straight, 2)
    fit(straight, 4, validation_data=(X, Y))
    kt.utils.set_random_seed(1)
    model = make_model()
    fit(model, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, 4, validation_data=(X, Y), callbacks=[Fails(cut)], resume=tmp_path / "state")
    history = fit(model, 4, validation_data=(X, Y), resume=tmp_path / "state")
    assert history.epoch == [0, 1, 2, 3]
    assert model.history.fits == straight.history.fits == [range(2), range(2, 6)]
    assert model.history.history == straight.history.history
    assert [len(values) for values in model.history.resources.values()] == [6, 6, 6]


def test_another_process_resumes_with_all_epochs_and_their_resources(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), 4, callbacks=[Fails(2)], resume=tmp_path / "state")
    model = make_model()
    seen = []

    class Look(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(list(self.model.history.epoch))

    history = fit(model, 4, callbacks=[Look()], resume=tmp_path / "state")
    assert seen[0] == [0, 1]
    assert model.history.history == history.history
    assert model.history.resources == history.resources
    assert None not in history.resources["epoch_seconds"]


def test_a_fit_with_the_same_numbers_before_one_that_resumes_is_kept(tmp_path):
    def constant():
        model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(kt.optimizers.SGD(1e-30), "mse")  # each epoch has the same loss
        return model

    model = constant()
    fit(model, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, 3, callbacks=[Fails(2)], resume=tmp_path / "state")
    other = constant()
    fit(other, 2)  # the same losses as in the fit that resumes
    fit(other, 3, resume=tmp_path / "state")
    assert other.history.fits == [range(2), range(2, 5)]


def test_a_state_of_an_earlier_release_has_unknown_resources():
    old = {"history": {"loss": [1.0, 0.5]}, "epoch": [0, 1], "_at": {"loss": [0, 1]}}
    history = History()
    history.on_train_begin()
    history.load_state_dict(old)
    assert history.resources == {name: [None, None] for name in RESOURCES}
    history.on_epoch_end(2, {"loss": 0.25})
    assert [len(values) for values in history.resources.values()] == [3, 3, 3]


# --- resources -----------------------------------------------------------------------------------------------------


def test_resources_are_measured_and_are_no_logs():
    history = fit(make_model(), 3, validation_data=(X, Y))
    assert list(history.history) == ["learning_rate", "loss", "val_loss"]
    assert list(history.resources) == list(RESOURCES)
    for values in history.resources.values():
        assert len(values) == 3
        assert all(value > 0 for value in values)
    assert history.resources["peak_memory"][0] > 2**20  # a process with torch
    for seconds, speed in zip(history.resources["epoch_seconds"], history.resources["samples_per_second"], strict=True):
        assert speed * seconds >= ROWS  # batches are a part of an epoch


class Sleeps(Callback):
    """Lets a fake clock advance by 2 s in each epoch of batches, by 3 s in each validation, by 5 s in each callback."""

    def __init__(self, clock):
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None):
        self.clock.now += 5

    def on_train_batch_end(self, batch, logs=None):
        self.clock.now += 1

    def on_test_end(self, logs=None):
        self.clock.now += 3


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    return clock


@pytest.mark.parametrize(
    ("options", "rows", "batches"),
    [
        ({}, ROWS, 3),
        ({"limit_batches": 2}, 16, 2),
        ({"steps_per_epoch": 2}, 16, 2),
        ({"validation_split": 0.5, "validation_shuffle": True}, 10, 2),
    ],
)
def test_the_speed_counts_the_rows_of_the_batches_and_not_the_validation(clock, options, rows, batches):
    history = fit(make_model(), 2, validation_data=None if "validation_split" in options else (X, Y),
                  callbacks=[Sleeps(clock)], **options)  # fmt: skip
    assert history.resources["epoch_seconds"] == [batches + 3 + 5] * 2
    assert history.resources["samples_per_second"] == [rows / batches] * 2


def test_an_epoch_that_is_stopped_counts_the_rows_until_then(clock):
    class Stops(Sleeps):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            self.model.stop_training = batch == 1

    history = fit(make_model(), 2, callbacks=[Stops(clock)])
    assert history.resources["samples_per_second"] == [16 / 2]


def test_loaders_have_a_speed_and_generators_have_none(clock):
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    for loader, rows in ((DataLoader(data, 6), 20), (DataLoader(data, 6, drop_last=True), 18)):
        history = make_model().fit(loader, epochs=1, verbose=0, callbacks=[Sleeps(clock)])
        assert history.resources["samples_per_second"] == [rows / (4 if rows == 20 else 3)]
    history = make_model().fit(iter([(X, Y)] * 3), steps_per_epoch=3, verbose=0, callbacks=[Sleeps(clock)])
    assert history.resources["samples_per_second"] == [None]
    assert history.resources["epoch_seconds"] == [8.0]


def test_the_time_before_a_resume_within_an_epoch_counts(tmp_path, clock):
    class Fails(Sleeps):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            if batch == 1:
                raise KeyboardInterrupt

    backup = kt.callbacks.BackupAndRestore(tmp_path / "state", save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), 1, callbacks=[Sleeps(clock), Fails(clock), backup])  # two seconds a batch
    clock.now += 1000  # between the processes
    backup = kt.callbacks.BackupAndRestore(tmp_path / "state", save_freq=1)
    history = fit(make_model(), 1, callbacks=[Sleeps(clock), backup])
    # the state is that after the first batch: 2 s, then two batches, and the callback at the end of the epoch
    assert history.resources["epoch_seconds"] == [2 + 2 + 5]
    assert history.resources["samples_per_second"] == [ROWS / 4]


def test_peak_memory_is_that_of_the_cuda_devices_of_the_model(monkeypatch):
    devices = {torch.device("cuda", 0): 100, torch.device("cuda", 1): 20}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", devices.__getitem__)
    parameters = [SimpleNamespace(device=device) for device in (*devices, *devices, torch.device("cpu"))]
    assert peak_memory(SimpleNamespace(parameters=lambda: parameters)) == 120
    before, of_process = peak_memory(torch.nn.Linear(1, 1)), peak_memory(None)
    assert 2**20 < before <= of_process


def test_a_frame_has_the_resources_where_asked():
    pytest.importorskip("pandas")
    history = fit(make_model(), 2)
    assert list(history.frame().columns) == ["learning_rate", "loss"]
    frame = history.frame(resources=True)
    assert list(frame.columns) == ["learning_rate", "loss", *RESOURCES]
    assert frame["peak_memory"].tolist() == history.resources["peak_memory"]
    clashing = made_by_hand(epoch_seconds=[1.0])
    assert list(clashing.frame(resources=True).columns)[:2] == ["epoch_seconds", "measured_epoch_seconds"]


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_file_restores_the_history_of_all_fits(tmp_path):
    model = make_model(["mae"])
    fit(model, 2)
    fit(model, 4, validation_data=(X, Y), validation_freq=2)
    model.history.save(tmp_path / "new" / "run.json")
    loaded = History.load(tmp_path / "new" / "run.json")
    for name in ("history", "epoch", "fits", "resources", "params", "metric_directions", "settings"):
        assert getattr(loaded, name) == getattr(model.history, name), name
    assert loaded.best("val_mae", "auto") == model.history.best("val_mae", "auto")
    assert loaded.curves() == model.history.curves()
    assert loaded.model is None
    assert repr(loaded) == repr(model.history)


def test_a_file_is_json_that_other_programs_read(tmp_path):
    history = made_by_hand(loss=[1.0, math.nan, math.inf, -math.inf], acc=[0.1, 0.2, 0.30000000000000004, 1e-300])
    history.save(tmp_path / "run.json")

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((tmp_path / "run.json").read_text(), parse_constant=refuse)
    assert content["history"]["acc"] == [0.1, 0.2, 0.30000000000000004, 1e-300]
    assert content["epoch"] == [0, 1, 2, 3]
    assert content["version"] == 1
    loaded = History.load(tmp_path / "run.json")
    assert str(loaded.history) == str(history.history)


VALUES = {
    "array": np.arange(6, dtype="int16").reshape(2, 3),
    "floats": np.array([0.1, math.nan, -math.inf]),
    "empty": np.zeros((0, 3), dtype="float32"),
    "complex": np.array([1 + 2j, 3 - 4j]),
    "flags": np.array([True, False]),
    "tensor": torch.tensor([0.1, 0.2]),
    "bfloat16": torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
    "scalar tensors": [torch.tensor(2), torch.tensor(0.5, dtype=torch.float16)],
    "list": [1, 2.5, None, "text", True],
    "tuple": (1, (2, 3)),
    "dict": {"a": [1.0, math.nan], 3: "key"},
    "text": "note",
    "numpy numbers": [np.float32(0.1), np.int64(3), np.bool_(True)],
}


def same(a, b):
    if isinstance(a, (np.ndarray, torch.Tensor)):
        return type(a) is type(b) and a.dtype == b.dtype and torch.equal(*map(bits, (a, b)))
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b or (a != a and b != b)


def bits(array):
    tensor = torch.as_tensor(array)
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return torch.nan_to_num(tensor.double(), nan=12345.0, posinf=1e300, neginf=-1e300)


@pytest.mark.parametrize("name", VALUES)
def test_a_file_restores_what_callbacks_log(tmp_path, name):
    history = made_by_hand(loss=[1.0, 2.0], extra=[VALUES[name], VALUES[name]])
    history.save(tmp_path / "run.json")
    assert same(History.load(tmp_path / "run.json").history, history.history)


def test_what_a_file_cannot_hold_is_named_and_the_old_file_stays(tmp_path):
    made_by_hand(loss=[1.0]).save(tmp_path / "run.json")
    before = (tmp_path / "run.json").read_bytes()
    for value in (object(), np.array(["a", "b"]), torch.zeros(2).to_sparse(), [{"deep": object()}]):
        with pytest.raises(TypeError, match=r"History\.save: .*extra.*cannot be saved"):
            made_by_hand(loss=[1.0], extra=[value]).save(tmp_path / "run.json")
    assert (tmp_path / "run.json").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]
    with pytest.raises(IsADirectoryError, match="is a folder"):
        made_by_hand(loss=[1.0]).save(tmp_path)


@pytest.mark.parametrize(("name", "advice"), [("run.csv", "to_csv"), ("run", "JSON"), ("run.kt", "JSON")])
def test_a_history_is_saved_as_json_alone(tmp_path, name, advice):
    with pytest.raises(ValueError, match=rf"a name that ends in \.json.*{advice}"):
        made_by_hand(loss=[1.0]).save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="path must be a path, got 3"):
        made_by_hand(loss=[1.0]).save(3)


def broken(change):
    """Return the text of a file in which `change` has changed something."""
    history = made_by_hand(loss=[1.0, 2.0], val_loss=[2.0, 3.0])

    def text(folder):
        history.save(folder / "good.json")
        content = json.loads((folder / "good.json").read_text())
        return json.dumps(change(content))

    return text


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {**c, "epoch": [0]},
        lambda c: {**c, "epoch": [1, 0]},
        lambda c: {**c, "epoch": [0, 1.5]},
        lambda c: {**c, "epoch": None},
        lambda c: {**c, "history": {"loss": [1.0, 2.0, 3.0]}},
        lambda c: {**c, "history": {"loss": 1.0}},
        lambda c: {**c, "history": [1.0]},
        lambda c: {**c, "fits": [1]},
        lambda c: {**c, "fits": []},
        lambda c: {**c, "fits": [0, 7]},
        lambda c: {**c, "epochs_of_logs": {"loss": [0]}},
        lambda c: {**c, "resources": {"epoch_seconds": [1.0]}},
        lambda c: {**c, "resources": {"epoch_seconds": ["a", "b"]}},
        lambda c: {**c, "metric_directions": {"acc": "up"}},
        lambda c: {**c, "settings": ["adam"]},
        lambda c: {**c, "settings": {"targets": 3}},
        lambda c: {**c, "settings": {"optimizer": 5}},
        lambda c: {**c, "settings": {"widths": ["8"]}},
        lambda c: {**c, "settings": {"targets": {"rows": "many"}}},
        lambda c: {**c, "epoch": [0, 10**30]},
        lambda c: {**c, "history": {"loss": [{"$": "tensor", "value": "nowhere"}, 1.0]}},
        lambda c: {**c, "tensors": {"a": {"dtype": "save", "shape": [1], "values": [1]}}},
        lambda c: {**c, "tensors": {"a": {"dtype": "float32", "shape": [9], "values": [1]}}},
        lambda c: {**c, "tensors": []},
        lambda c: {key: value for key, value in c.items() if key != "params"},
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change):
    (tmp_path / "run.json").write_text(broken(change)(tmp_path))
    with pytest.raises(CheckpointCorruptError, match=r"run\.json is damaged, or not what it should be"):
        History.load(tmp_path / "run.json")


JUNK = [
    None, True, -1, 1.5, 10**30, "", "float32", "qint8", "_dynamo", [], [0], {}, {"$": "float", "value": "nan"},
    {"$": "tensor", "value": "extra.0"}, {"$": "map", "value": [[[], 1]]}, {"$": "dtype", "value": "float32"},
]  # fmt: skip


def places(part, place=()):
    """Yield the place of each value within JSON, as keys and indices."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from places(value, (*place, key))


def test_a_file_with_random_changes_is_read_or_refused(tmp_path):
    pytest.importorskip("pandas")
    model, path = make_model(["mae"]), tmp_path / "run.json"
    fit(model, 2)
    history = fit(model, 2, validation_data=(X, Y), validation_freq=2)
    history.history["extra"] = [np.arange(3.0), torch.ones(2)]
    history.save(path)
    good, draw, readable = path.read_text(), random.Random(0), 0
    for _ in range(120):
        content = json.loads(good)
        *outer, last = draw.choice(list(places(content)))
        part = content
        for key in outer:
            part = part[key]
        part[last] = draw.choice(JUNK)
        path.write_text(json.dumps(content))
        try:
            found = History.load(path)
        except CheckpointError:
            continue
        readable += 1
        found.save(path)
        assert History.load(path).resources == found.resources
        assert len(found.frame(resources=True)) == len(found.epoch)
        assert found.curves().keys() <= found.history.keys()
        assert str(found.diagnose())
    assert 0 < readable < 100


def test_other_files_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / "run.json"
    for text in ("", "not JSON", "[1, 2]", '{"loss": [1.0]}', "\x00\x01", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(CheckpointCorruptError, match=r"run\.json is no file of a history\. history\.save\(path\)"):
            History.load(path)
    made_by_hand(loss=[1.0]).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointCorruptError, match="its JSON cannot be read"):
        History.load(path)
    path.write_text(json.dumps({"format": "kerastorch.History", "version": 2, "kerastorch": "9.9"}))
    with pytest.raises(CheckpointError, match=r"was written by kerastorch 9\.9, whose format is newer"):
        History.load(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        History.load(tmp_path / "missing.json")
    with pytest.raises(CheckpointError, match="is no file"):
        History.load(tmp_path)


def test_a_history_without_epochs_can_be_saved(tmp_path):
    History().save(tmp_path / "run.json")
    loaded = History.load(tmp_path / "run.json")
    assert (loaded.history, loaded.epoch, loaded.fits) == ({}, [], [])


# --- copies, pickles, histories that no model made -----------------------------------------------------------------


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
def test_a_copy_has_the_curves_and_not_the_model(make):
    model = make_model(["mae"])
    fit(model, 2, validation_data=(X, Y))
    other = make(model.history)
    assert type(other) is History
    assert other.model is None
    for name in ("history", "epoch", "fits", "resources", "params"):
        assert getattr(other, name) == getattr(model.history, name), name
    assert other.best("val_mae", "auto") == model.history.best("val_mae", "auto")
    other.on_train_begin()  # it can be used as a callback
    other.on_epoch_begin(0)
    other.on_epoch_end(0, {"loss": 1.0})
    assert other.epoch == [0]
    assert model.history.epoch == [0, 1]


def test_a_pickle_of_a_history_is_small():
    model = kt.Sequential([kt.layers.Dense(1000), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 1000), dtype="float32"), np.ones((2, 1)), verbose=0)
    assert len(pickle.dumps(model.history)) < 5000


def test_a_metric_of_the_users_own_has_its_direction_in_copies_and_files(tmp_path):
    class Skill(kt.metrics.MeanAbsoluteError):
        higher_is_better = True

    model = make_model([Skill(name="thing")])
    history = fit(model, 3)
    history.save(tmp_path / "run.json")
    directions = {name: value for name, value in history.metric_directions.items() if name == "thing"}
    for other in (pickle.loads(pickle.dumps(history)), History.load(tmp_path / "run.json"), model.history):
        assert {k: v for k, v in other.metric_directions.items() if k == "thing"} == directions
        assert other.best("thing", "auto") == history.best("thing", "auto")


def test_a_history_made_by_hand_works_everywhere(tmp_path):
    pytest.importorskip("pandas")
    history = History()
    history.history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.0, 2.0]}
    assert history.best() == (2, 1.0)
    assert history.frame().index.tolist() == [1, 2, 3]
    assert history.frame(resources=True)["epoch_seconds"].isna().all()
    assert history.curves()["loss"] == ([1, 2, 3], [3.0, 2.0, 1.0])
    assert history.fits == [range(3)]
    history.save(tmp_path / "run.json")
    assert History.load(tmp_path / "run.json").history == history.history
    history.epoch = [4, 5, 6]
    assert history.best() == (6, 1.0)
    history.epoch = [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"history\['loss'\] has 3 values and the history has 4 epochs"):
        history.best("loss")


@pytest.mark.parametrize("make", [History, lambda: EarlyStopping("loss"), lambda: EarlyStopping("accuracy")])
def test_callbacks_work_in_a_loop_of_your_own_with_a_model_that_is_not_compiled(make):
    callback, model = make(), kt.Sequential([kt.Input((1,)), kt.layers.Dense(1)])
    callbacks = kt.callbacks.CallbackList([callback], model, {})
    callbacks.emit("on_train_begin", {})
    for epoch in range(2):
        callbacks.emit("on_epoch_begin", epoch, {})
        callbacks.emit("on_epoch_end", epoch, {"loss": 1.0 - epoch, "accuracy": 0.5})
    callbacks.emit("on_train_end", {})
    if isinstance(callback, History):
        assert callback["loss"] == [1.0, 0.0]
        assert all(seconds >= 0 for seconds in callback.resources["epoch_seconds"])
        assert callback.resources["samples_per_second"] == [None, None]


@pytest.mark.slow  # two processes import torch
def test_joblib_returns_histories_from_other_processes():
    script = """
import numpy as np
import joblib
import kerastorch as kt

def train(rate):
    model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(kt.optimizers.SGD(rate), "mse")
    x = np.ones((4, 1), dtype="float32")
    return model.fit(x, x, epochs=2, verbose=0), model.history

if __name__ == "__main__":
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(train)(rate) for rate in (0.125, 0.25))
    for history, whole in found:
        print(history["loss"], whole.epoch, history.model, len(history.resources["epoch_seconds"]))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[1.0, 0.25] [0, 1] None 2\n[1.0, 0.0] [0, 1] None 2\n"
