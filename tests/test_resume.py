"""A training that was broken off and is run again: the same bits as one that never was."""

import itertools
import signal
import warnings

import numpy as np
import pytest
import torch
from support.interrupted_training import BATCH, ROWS, BreakOff, BrokenOffError, Rows, Signal, X, Y, check, dense, script
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.core.errors import CheckpointError
from kerastorch.data.data_adapter import DataAdapter


class OwnNoise(Dataset):
    """Draws from a generator of its own, of torch or NumPy."""

    def __init__(self, generator):
        self.generator = generator

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        drawn = self.generator
        if isinstance(drawn, torch.Generator):
            return X[index] + 0.1 * torch.randn(6, generator=drawn), Y[index]
        return X[index] + 0.1 * torch.tensor(drawn.standard_normal(6), dtype=torch.float32), Y[index]


class OwnOrder(torch.utils.data.Sampler):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return ROWS

    def __iter__(self):
        return iter(self.rng.permutation(ROWS).tolist())


SOURCES = {
    "dataset with a generator": lambda: OwnNoise(torch.Generator().manual_seed(3)),
    "dataset with one of numpy": lambda: OwnNoise(np.random.default_rng(3)),
    "dataset with an older one of numpy": lambda: OwnNoise(np.random.RandomState(3)),
    "loader of a dataset with a generator": lambda: DataLoader(OwnNoise(np.random.default_rng(3)), BATCH),
    "sampler with a generator": lambda: DataLoader(Rows(), BATCH, sampler=OwnOrder()),
    "arrays": lambda: (X, Y),
    "numpy": lambda: (X.numpy(), Y.numpy()),
    "dataset": Rows,
    "tensor dataset": lambda: TensorDataset(X, Y),
    "shuffled loader": lambda: DataLoader(Rows(), BATCH, shuffle=True),
    "seeded loader": lambda: DataLoader(Rows(), BATCH, shuffle=True, generator=torch.Generator().manual_seed(3)),
    "loader that draws rows": lambda: DataLoader(
        Rows(), BATCH, sampler=torch.utils.data.WeightedRandomSampler([1.0] * ROWS, ROWS)
    ),
    "function": lambda: lambda: ((X[at : at + BATCH], Y[at : at + BATCH]) for at in range(0, ROWS, BATCH)),
}


@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 0.0001])
@pytest.mark.parametrize("source", SOURCES)
def test_it_goes_on_exactly_for(source, save_freq, tmp_path):
    check(tmp_path, data=SOURCES[source], save_freq=save_freq, broken_at=(8,))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: kt.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=4),
        lambda: kt.optimizers.Adam(use_ema=True, ema_overwrite_frequency=3),
        lambda: kt.optimizers.RMSprop(clipnorm=1.0),
        lambda: torch.optim.LBFGS,
        "adamw",
    ],
    ids=["accumulating", "averaging", "clipping", "lbfgs", "adamw"],
)
def test_it_goes_on_exactly_with(optimizer, tmp_path):
    check(tmp_path, optimizer=optimizer, save_freq=1, broken_at=(3, 8))


def stateful():
    return kt.Sequential([layers.Reshape((3, 2)), layers.LSTM(4, stateful=True, dropout=0.2), layers.Dense(2)])


def seeded():
    return kt.Sequential(
        [layers.GaussianNoise(0.5, seed=3), layers.Dense(4), layers.Dropout(0.5, seed=1), layers.Dense(2)]
    )


def frozen():
    net = kt.Sequential([layers.Dense(4), layers.BatchNormalization(trainable=False), layers.Dense(2)])
    net[0].trainable = False
    return net


def functional():
    x = kt.Input((6,))
    return kt.Model(x, layers.Dense(2)(torch.cat([x, layers.Dense(3, activation="tanh")(x)], 1)))


def wrapped():
    return kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2)))


class Counting(nn.Module):
    """Keeps something that no parameter and no persistent buffer is."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(6, 2)
        self.register_buffer("scale", torch.ones(()), persistent=False)
        self.calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.scale.mul_(0.99)
        return self.inside(x) * self.scale * (1 + self.calls / 100)

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


class Noisy(nn.Module):
    """Draws from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(6, 2)
        self.generator = torch.Generator().manual_seed(2)

    def forward(self, x):
        return self.inside(x + torch.rand(x.shape, generator=self.generator))


@pytest.mark.parametrize(
    "make", [stateful, seeded, frozen, functional, wrapped, lambda: kt.Model(Counting()), lambda: kt.Model(Noisy())]
)
def test_it_goes_on_exactly_for_the_model(make, tmp_path):
    rows = ROWS // BATCH * BATCH  # a stateful layer takes batches of one size
    check(tmp_path, make=make, data=lambda: (X[:rows], Y[:rows]), broken_at=(3, 8))


def channels_last():
    net = nn.Sequential(nn.Conv2d(3, 4, (1, 2)), nn.Conv2d(4, 3, (2, 1)), nn.Flatten(), nn.Linear(48, 2))
    return kt.Model(net.to(memory_format=torch.channels_last))


@pytest.mark.parametrize(
    "optimizer",
    ["adam", lambda: kt.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=4)],
    ids=["adam", "accumulating"],
)
def test_it_goes_on_exactly_where_weights_are_not_in_the_order_of_their_axes(optimizer, tmp_path):
    images = torch.randn(ROWS, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    check(tmp_path, make=channels_last, optimizer=optimizer, data=lambda: (images, Y), save_freq=1, broken_at=(3, 8))


@pytest.mark.parametrize("kind", [torch.optim.NAdam, torch.optim.ASGD])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_goes_on_exactly_where_an_optimizer_counts_in_another_dtype_than_the_weights(kind, dtype, tmp_path):
    def make():
        return kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype))

    check(tmp_path, make=make, optimizer=lambda: kind, broken_at=(8,))


def test_it_goes_on_exactly_with_validation_and_callbacks_that_steer(tmp_path):
    def also():
        return [
            callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
            callbacks.ReduceLROnPlateau("val_loss", patience=1),
            callbacks.LRScheduler(
                lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=60), interval="batch"
            ),
        ]

    whole, curves, _ = script(None, also=also(), validation_split=0.3, epochs=8)
    for broken in (2, 5, 7, 9):
        folder = tmp_path / str(broken)
        with pytest.raises(BrokenOffError):
            script(folder, broken, also=also(), validation_split=0.3, epochs=8)
        found, again, _ = script(folder, also=also(), validation_split=0.3, epochs=8)
        assert again == curves
        assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_epochs_that_go_on_in_a_pass_go_on_there(tmp_path):
    for source in (lambda: (X, Y), lambda: DataLoader(Rows(), BATCH, shuffle=True)):
        check(tmp_path / str(id(source)), data=source, steps_per_epoch=4, broken_at=(2, 5, 10), save_freq=1)


def test_passes_that_begin_within_an_epoch_begin_with_the_random_state_of_then(tmp_path):
    data = lambda: DataLoader(Rows(), BATCH, shuffle=True)  # noqa: E731
    check(tmp_path, data=data, steps_per_epoch=4, epochs=4, broken_at=(9, 13), save_freq=2)


def test_validation_goes_on_where_it_was(tmp_path):
    loader = DataLoader(Rows(), 7, shuffle=True, generator=torch.Generator().manual_seed(5))
    state = loader.generator.get_state()

    def also():
        loader.generator.set_state(state)  # as in another process
        return []

    whole, curves, _ = script(None, also=also(), validation_data=loader, validation_steps=2)
    with pytest.raises(BrokenOffError):
        script(tmp_path, 9, also=also(), validation_data=loader, validation_steps=2)
    found, again, _ = script(tmp_path, also=also(), validation_data=loader, validation_steps=2)
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_a_generator_that_validates_is_drawn_again_with_a_warning(tmp_path):
    def stream():
        return ((X[at : at + BATCH], Y[at : at + BATCH]) for at in itertools.cycle(range(0, ROWS, BATCH)))

    _, curves, _ = script(None, validation_data=stream(), validation_steps=2)
    with pytest.raises(BrokenOffError):
        script(tmp_path, 9, validation_data=stream(), validation_steps=2)
    with pytest.warns(UserWarning, match="the data is a generator"):
        _, again, _ = script(tmp_path, validation_data=stream(), validation_steps=2)
    assert again == curves


@pytest.mark.parametrize("interval", ["epoch", "batch"])
def test_a_schedule_of_schedules_goes_on(tmp_path, interval):
    schedulers = torch.optim.lr_scheduler

    def make(optimizer):
        parts = [schedulers.ConstantLR(optimizer, 0.5, 3), schedulers.MultiStepLR(optimizer, [1, 2, 4])]
        return schedulers.SequentialLR(optimizer, parts, [2 if interval == "epoch" else 9])

    whole, curves, _ = script(None, also=[callbacks.LRScheduler(make, interval=interval)], epochs=4)
    with pytest.raises(BrokenOffError):
        script(tmp_path, 9, also=[callbacks.LRScheduler(make, interval=interval)], epochs=4)
    found, again, _ = script(tmp_path, also=[callbacks.LRScheduler(make, interval=interval)], epochs=4)
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_batches_are_counted_where_steps_are_executed_together(tmp_path):
    saved = []

    class Looks(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            backup._writer.wait()
            saved.append((batch, len(list(tmp_path.iterdir()))))

    net = dense()
    net.compile("sgd", "cross_entropy", steps_per_execution=2)
    backup = callbacks.BackupAndRestore(tmp_path, save_freq=4)
    net.fit(X, Y, BATCH, 1, 0, [Looks(), backup])
    assert saved == [(0, 0), (2, 0), (4, 1)]


def test_a_generator_is_drawn_again_with_a_warning(tmp_path):
    def stream():
        return ((X[at : at + BATCH], Y[at : at + BATCH]) for at in itertools.cycle(range(0, ROWS, BATCH)))

    whole, _, _ = script(None, data=stream, steps_per_epoch=5)
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, data=stream, steps_per_epoch=5)
    with pytest.warns(UserWarning, match="the data is a generator"):
        found, _, _ = script(tmp_path, data=stream, steps_per_epoch=5)
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_metrics_of_torchmetrics_and_functions_go_on_too(tmp_path):
    def mae(y_true, y_pred):
        return (y_true - y_pred.argmax(1)).abs().float().mean()

    torchmetrics = pytest.importorskip("torchmetrics")
    kind = torchmetrics.classification.MulticlassF1Score

    def run(folder, broken=None):
        kt.utils.set_random_seed(2)
        net = dense()
        net.compile("adam", "cross_entropy", metrics=[kind(2, average="macro"), mae, "auc"])
        told = [] if broken is None else [BreakOff(broken)]
        return net.fit(X, Y, 5, 2, 0, [*told, callbacks.BackupAndRestore(folder, 1)]).history

    whole = run(tmp_path / "whole")
    with pytest.raises(BrokenOffError):
        run(tmp_path / "broken", 7)
    assert run(tmp_path / "broken") == whole


def test_the_order_of_unseeded_training_goes_on_too(tmp_path):
    def run(seed, broken=None):
        torch.manual_seed(seed)  # what a process that seeds nothing begins with
        net = dense()
        net.compile("sgd", "cross_entropy")
        told = [] if broken is None else [BreakOff(broken)]
        net.fit(X, Y, BATCH, 3, 0, [*told, callbacks.BackupAndRestore(tmp_path / str(broken), 1)])
        return net.get_weights()

    whole = run(7)
    with pytest.raises(BrokenOffError):
        run(7, 8)
    (tmp_path / "8").rename(tmp_path / "None")
    assert all(np.array_equal(one, other) for one, other in zip(run(99), whole, strict=True))


# --- what it says ---------------------------------------------------------------------------------------------


def test_resume_is_the_short_form_and_says_where_it_goes_on(tmp_path, capsys):
    net = dense()
    net.compile("adam", "cross_entropy")
    with pytest.raises(BrokenOffError):
        net.fit(X, Y, BATCH, 3, 0, BreakOff(8), resume=tmp_path / "kept")
    history = net.fit(X, Y, BATCH, 3, 2, resume=tmp_path / "kept")
    assert f"Resuming from {tmp_path / 'kept'}: epoch 2." in capsys.readouterr().out
    assert history.epoch == [0, 1, 2]
    assert net.history.history == history.history  # those of the interrupted fit are not counted twice
    assert net.history.fits == [range(3)]


def test_after_a_restored_run_the_next_fit_trains_all_its_epochs(tmp_path):
    *_, net = _broken_and_restored(tmp_path)
    assert net.fit(X, Y, BATCH, epochs=2, verbose=0).epoch == [0, 1]
    assert net.fit(X, Y, BATCH, epochs=2, verbose=0, resume=tmp_path / "kept").epoch == [0, 1]


def _broken_and_restored(tmp_path, **backup):
    net = dense()
    net.compile("adam", "cross_entropy")
    kept = callbacks.BackupAndRestore(tmp_path / "kept", 1, **backup)
    with pytest.raises(BrokenOffError):
        net.fit(X, Y, BATCH, 3, 0, [kept, BreakOff(8)])
    return kept, net.fit(X, Y, BATCH, 3, 0, kept), net


def test_the_checkpoint_of_a_training_that_has_ended_is_kept_but_not_gone_on_with(tmp_path):
    kept, _, net = _broken_and_restored(tmp_path, delete_checkpoint=False)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert net.fit(X, Y, BATCH, 2, 0, kept).epoch == [0, 1]


def test_more_epochs_go_on_from_the_same_place(tmp_path):
    net = dense()
    net.compile("adam", "cross_entropy")
    with pytest.raises(BrokenOffError):
        net.fit(X, Y, BATCH, 2, 0, BreakOff(9), resume=tmp_path / "kept")
    assert net.fit(X, Y, BATCH, 5, 0, resume=tmp_path / "kept").epoch == [0, 1, 2, 3, 4]


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_it_is_used(tmp_path):
    whole, _, _ = script(None)
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged.*One before it is used"):
        found, _, _ = script(tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_where_all_are_damaged_nothing_is_trained(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="There is no other; delete"):
        script(tmp_path)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"make": lambda: kt.Sequential([layers.Dense(3), layers.Dense(2)])}, "Is it of another model"),
        ({"make": lambda: kt.Sequential([layers.Dense(8), layers.Dense(2)])}, "Is it of another model"),
        ({"data": lambda: (X[:40], Y[:40])}, "samples 53, this one has 40"),
        ({"data": lambda: (X + 1, Y)}, "sums of the arrays"),
        ({"data": lambda: DataLoader(TensorDataset(X, Y), BATCH)}, "was saved by a fit with"),
        ({"initial_epoch": 1}, "initial_epoch 0, this one has 1"),
        ({"steps_per_epoch": 3}, "steps_per_epoch None, this one has 3"),
        ({"batch_size": 9}, "batch_size 10, this one has 9"),
        ({"optimizer": "sgd"}, "optimizer"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_and_nothing_is_changed(about, words, tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path / "kept", 8)
    with pytest.raises(
        CheckpointError, match=f"kept: .*{words}.*Run the same script, or delete it to start from the beginning"
    ):
        script(tmp_path / "kept", **about)
    assert CheckpointRotation(tmp_path / "kept").load() is not None


def test_a_file_of_save_is_no_checkpoint(tmp_path):
    CheckpointRotation(tmp_path).save({"weights": {}})
    with pytest.raises(CheckpointError, match="holds no state of a fit"):
        script(tmp_path)


def two_fits(folders, broken=None):
    """A script of two fits: what it ends with."""
    kt.utils.set_random_seed(5)
    net = dense()
    net.compile("adam", "cross_entropy")
    net.fit(X, Y, BATCH, 2, 0, resume=folders[0])
    net.fit(X, Y, BATCH, 3, 0, [] if broken is None else BreakOff(broken), resume=folders[1])
    return net.get_weights()


def test_a_script_of_two_fits_goes_on_with_a_folder_for_each(tmp_path):
    folders = tmp_path / "first", tmp_path / "second"
    whole = two_fits(folders)
    with pytest.raises(BrokenOffError):
        two_fits(folders, 9)
    assert all(np.array_equal(one, other) for one, other in zip(two_fits(folders), whole, strict=True))


def test_a_script_of_two_fits_with_one_folder_is_told_so(tmp_path):
    with pytest.raises(BrokenOffError):
        two_fits((tmp_path, tmp_path), 9)
    with pytest.raises(CheckpointError, match=r"number of fits before it 1, this one has 0.*its own folder"):
        two_fits((tmp_path, tmp_path))


def test_another_compile_does_not_make_another_fit_the_first_one(tmp_path):
    def run(broken=None):
        net = dense()
        net.compile("adam", "cross_entropy")
        net.fit(X, Y, BATCH, 2, 0, resume=tmp_path)
        net.compile(kt.optimizers.Adam(1e-4), "cross_entropy")
        net.fit(X, Y, BATCH, 3, 0, [] if broken is None else BreakOff(broken), resume=tmp_path)

    with pytest.raises(BrokenOffError):
        run(9)
    with pytest.raises(CheckpointError, match="number of fits before it 1, this one has 0"):
        run()


def test_arrays_are_known_again_with_any_number_of_threads():
    x = torch.randn(400_001, 3, generator=torch.Generator().manual_seed(0))
    facts = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        facts.append(DataAdapter(x).batches(32).fingerprint())
    torch.set_num_threads(1)
    assert facts[0] == facts[1]
    x[7, 1] += 1e-3
    assert DataAdapter(x).batches(32).fingerprint() != facts[0]


def test_an_error_of_another_callback_at_the_end_leaves_the_checkpoint(tmp_path):
    class FullDisk(callbacks.Callback):
        def on_train_end(self, logs=None):
            raise BrokenOffError

    net = dense()
    net.compile("adam", "cross_entropy")
    with pytest.raises(BrokenOffError):
        net.fit(X, Y, BATCH, 2, 0, FullDisk(), resume=tmp_path)
    assert net.fit(X, Y, BATCH, 2, 0, BreakOff(1), resume=tmp_path).epoch == [0, 1]  # nothing is left to be trained

    whole, curves, _ = script(None)
    with pytest.raises(BrokenOffError):
        script(tmp_path, also=[FullDisk()], save_freq="epoch")
    found, again, _ = script(tmp_path, save_freq="epoch", also=[BreakOff(1)])  # nothing is left to be trained
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("hook", "number"),
    [("on_test_begin", 2), ("on_test_batch_end", 3), ("on_test_end", 2), ("on_epoch_end", 3), ("on_train_end", 1)],
)
def test_it_goes_on_exactly_after_a_signal_in(hook, number, which, tmp_path):
    def run(folder, *also):
        validation = DataLoader(Rows(), 20, shuffle=True)
        return script(folder, also=also, validation_data=validation, save_freq="epoch")

    whole, curves, _ = run(None)
    with pytest.raises(KeyboardInterrupt if which == signal.SIGINT else SystemExit):
        run(tmp_path, Signal(hook, number, which))
    found, again, _ = run(tmp_path)
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_states_that_a_validation_moves_are_kept_from_before_it(tmp_path):
    def run(folder, *also):
        return script(folder, also=also, make=stateful, data=lambda: (X[:50], Y[:50]), validation_data=(X[:20], Y[:20]))

    whole, curves, _ = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Signal("on_test_batch_end", 3, signal.SIGINT))
    found, again, _ = run(tmp_path)
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


class Sometimes(callbacks.Callback):
    """Has a state, or none."""

    def __init__(self, keeps):
        self.state_attributes = ("seen",) if keeps else ()
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1


def test_states_go_to_the_callbacks_they_are_of_where_some_of_a_class_have_none(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, also=[Sometimes(False), Sometimes(True)])
    again = [Sometimes(False), Sometimes(True)]
    script(tmp_path, also=again)
    assert [one.seen for one in again] == [12, 18]


def test_fewer_epochs_than_were_trained_are_refused(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 10)
    with pytest.raises(CheckpointError, match="it was saved in epoch 2; fit has epochs=1"):
        script(tmp_path, epochs=1)


def test_two_backups_are_refused(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8)
    with pytest.raises(CheckpointError, match="two callbacks"):
        script(tmp_path, resume=tmp_path)
    with pytest.raises(CheckpointError, match="two callbacks"):  # before there is anything to go on from
        script(tmp_path / "new", resume=tmp_path / "other")


@pytest.mark.parametrize("freq", ["batch", 0, -1, 0.0, True, float("nan"), None])
def test_save_freq_is_checked(freq, tmp_path):
    with pytest.raises(ValueError, match="save_freq must be"):
        callbacks.BackupAndRestore(tmp_path, freq)


def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is no folder"):
        callbacks.BackupAndRestore(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        script(tmp_path / "file" / "inside")


def test_a_save_that_fails_is_an_error_of_the_training(tmp_path):
    class FullDisk(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                (tmp_path / "kept").rename(tmp_path / "gone")
                (tmp_path / "kept").touch()

    with pytest.raises(OSError, match="kept"):
        script(tmp_path / "kept", also=[FullDisk()])


def test_keeping_a_training_does_not_change_it(tmp_path):
    whole, curves, _ = script(None, validation_split=0.2)
    found, again, _ = script(tmp_path / "kept", validation_split=0.2, save_freq=1)
    assert again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_callbacks_that_are_not_here_any_more_are_told(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, also=[callbacks.EarlyStopping("loss", patience=5)])
    with pytest.warns(UserWarning, match="the state of a EarlyStopping, which is not here"):
        script(tmp_path)


def test_nothing_is_said_where_there_is_nothing_to_go_on_from(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        script(tmp_path / "new", verbose=2)
    assert "Going on" not in capsys.readouterr().out


@pytest.mark.parametrize("verbose", [0, 2])
def test_ctrl_c_says_where_it_goes_on(tmp_path, capsys, verbose):
    class CtrlC(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(signal.SIGINT)

    whole, _, _ = script(None)
    with pytest.raises(KeyboardInterrupt):
        script(tmp_path / "kept", also=[CtrlC()], save_freq="epoch", verbose=verbose)
    assert (
        f"Stopped; run the same script again to resume from {tmp_path / 'kept'}.\n" in capsys.readouterr().out
    ) == bool(verbose)
    found, _, _ = script(tmp_path / "kept", verbose=verbose)
    assert ("epoch 1, batch 4." in capsys.readouterr().out) == bool(verbose)
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


class Counts(callbacks.Callback):
    """A user's own, whose count steers."""

    state_attributes = ("batches",)

    def on_train_begin(self, logs=None):
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == 12:
            self.model.optimizer.param_groups[0]["lr"] /= 10


def test_what_a_callback_of_ones_own_keeps_goes_on(tmp_path):
    whole, curves, _ = script(None, also=[Counts()])
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, also=[Counts()])
    again = Counts()
    found, curves_again, _ = script(tmp_path, also=[again])
    assert again.batches == 18
    assert curves_again == curves
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


class Careless(callbacks.Callback):
    batches, seen = 0, None

    def __init__(self, label="given"):
        self.label = label

    def on_train_begin(self, logs=None):
        self.began = 1.5

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.seen = [*(self.seen or []), batch]


def test_a_callback_that_forgets_what_it_has_counted_is_told(tmp_path):
    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, also=[Careless()])
    with pytest.warns(
        UserWarning,
        match="Careless starts from its initial state: the checkpoint does not contain its batches, seen. Name",
    ):
        script(tmp_path, also=[Careless()])


def test_a_callback_that_says_that_it_keeps_nothing_is_left_alone(tmp_path):
    class Knowing(Careless):
        state_attributes = ()

    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, also=[Knowing()])
    script(tmp_path, also=[Knowing()])


class Warming(nn.Module):
    """Does another thing in its first calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.width = nn.Linear(6, 2), 0, 6

    def forward(self, x):
        self.calls += self.training
        return self.layer(x if self.calls > 8 else 0.5 * x)


def test_a_module_remembers_what_it_has_counted_in_an_attribute(tmp_path):
    check(tmp_path, make=lambda: kt.Sequential([nn.Identity(), Warming()]))


class Collecting(Warming):
    """Counts in an object that is no plain data."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, x):
        self.seen.add(len(self.seen))
        return self.layer(x)


def test_a_module_that_forgets_what_it_has_collected_is_told(tmp_path):
    def make():
        return kt.Sequential([nn.Identity(), Collecting()])

    with pytest.raises(BrokenOffError):
        script(tmp_path, 8, make=make)
    with pytest.warns(
        UserWarning,
        match="'1' starts from its initial state: the checkpoint does not contain its seen. Numbers, text, tensors",
    ):
        script(tmp_path, make=make)
