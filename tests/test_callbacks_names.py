"""Names of kerastorch.callbacks: what tab completion shows, reprs, and old names that still work."""

import functools
import warnings

import pytest
import torch
from support.problems import regression, through_a_file
from torch import nn

import kerastorch as kt
from kerastorch import callbacks
from kerastorch.callbacks import Callback, CallbackList, EarlyStopping, LRScheduler, ModelCheckpoint

OLD_AND_NEW = [
    ("kept", "state_attributes", ("best",)),
    ("adds", "logs_added", ("rate",)),
    ("steers", "modifies_training", True),
    ("keeps_states", "is_checkpointer", True),
]


def renamed(old, new):
    return pytest.warns(DeprecationWarning, match=rf"\.{old} is deprecated: it is called {new} now")


def fit(*told, epochs=1):
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(1e-3), "mse")
    x, y = regression(40)
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=told)


def test_tab_completion_shows_the_public_names_only():
    assert dir(callbacks) == sorted(callbacks.__all__)
    for name in dir(callbacks):
        assert isinstance(getattr(callbacks, name), type)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"kerastorch.callbacks has no 'EarlyStoping'. Did you mean 'EarlyStopping'"
    ):
        callbacks.EarlyStoping


# --- old names --------------------------------------------------------------------------------------------------


def test_schedule_is_the_lr_scheduler():
    with pytest.warns(DeprecationWarning, match="Schedule is deprecated: it is called LRScheduler now") as found:
        old = callbacks.Schedule
    assert old is LRScheduler
    assert found[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="LRScheduler"):
        from kerastorch.callbacks import Schedule
    assert Schedule is LRScheduler


@pytest.mark.parametrize(("old", "new", "value"), OLD_AND_NEW)
def test_a_subclass_may_declare_an_old_name(old, new, value):
    with renamed(old, new) as found:
        declared = type("Declared", (Callback,), {old: value})
    assert len(found) == 1
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(declared, new) == getattr(declared(), new) == value
        below = type("Below", (declared,), {})
        assert getattr(below(), new) == value
        assert getattr(type("Other", (declared,), {new: ()})(), new) == ()
    with renamed(old, new):
        assert getattr(below, old) == value


@pytest.mark.parametrize(("old", "new", "value"), OLD_AND_NEW)
def test_old_names_can_be_read_and_set(old, new, value):
    callback = Callback()
    with renamed(old, new) as found:
        assert getattr(callback, old) == getattr(Callback, new)
    assert found[0].filename == __file__
    with renamed(old, new) as found:
        setattr(callback, old, value)
    assert found[0].filename == __file__
    assert getattr(callback, new) == value
    assert getattr(Callback, new) != value
    with renamed(old, new):
        assert getattr(callback, old) == value
    with renamed(old, new):
        assert getattr(EarlyStopping, old) == getattr(EarlyStopping, new)


def test_an_old_name_of_a_mixin_or_set_on_the_class_takes_effect():
    class Mixin:
        kept = ("count",)

    with renamed("kept", "state_attributes"):

        class Mixed(Mixin, Callback):
            count = 3

    assert Mixed().state_dict() == {"count": 3}

    class Later(Callback):
        count = 4

    Later.kept = ("count",)
    with renamed("kept", "state_attributes"):
        CallbackList([Later()], None, {})
    assert Later().state_dict() == {"count": 4}


def test_needs_is_required_logs():
    with renamed("needs", "required_logs"):

        class Needs(ModelCheckpoint):
            def needs(self):
                return [*super().needs(), "los"]

    callback = Needs("a.kt", save_best_only=True)
    with renamed("needs", "required_logs"):
        assert callback.required_logs == ["val_loss", "los"]
    with renamed("needs", "required_logs"):
        assert callback.needs() == ["val_loss", "los"]
    with renamed("needs", "required_logs"):
        assert EarlyStopping().needs() == ["val_loss"]

    with renamed("needs", "required_logs"):

        class Wrong(Callback):
            def needs(self):
                return ["los"]

    with pytest.raises(ValueError, match=r"Wrong: Unknown metric 'los'. Did you mean 'loss'"):
        fit(Wrong())


def test_required_logs_may_be_a_class_attribute_or_be_set():
    class Wrong(Callback):
        required_logs = ("los",)

    with pytest.raises(ValueError, match="Wrong: Unknown metric 'los'"):
        fit(Wrong())
    callback = Callback()
    callback.required_logs = ["lose"]
    with pytest.raises(ValueError, match="Callback: Unknown metric 'lose'"):
        fit(callback)
    with renamed("needs", "required_logs"):
        callback.needs = lambda: ["loss"]
    fit(callback)


def test_a_fit_with_new_names_does_not_warn():
    class New(Callback):
        state_attributes = ("count",)
        logs_added = ("rate",)
        count = 0

    fit(New(), EarlyStopping("loss"), LRScheduler(functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1)))


def test_the_state_of_a_schedule_that_an_earlier_release_saved_is_restored(tmp_path):
    def scheduler():
        return LRScheduler(functools.partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5))

    first, again = scheduler(), scheduler()
    fit(first, epochs=3)
    (saved,) = CallbackList([first], first.model, {}).state_dict()
    assert saved["class"] == "LRScheduler"
    saved = through_a_file({**saved, "class": "Schedule"}, tmp_path / "state.kt")
    fit(again)
    CallbackList([again], again.model, {}).load_state_dict([saved])
    assert again.scheduler.last_epoch == 3


def test_a_class_of_the_users_own_may_be_called_schedule():
    class Schedule(Callback):
        state_attributes = ("count",)
        count = 0

    own = Schedule()
    own.count = 2
    states = CallbackList([own], None, {}).state_dict()
    again = Schedule()
    CallbackList([again], None, {}).load_state_dict(states)
    assert again.count == 2


# --- reprs ------------------------------------------------------------------------------------------------------


def halve(epoch, lr):
    return lr / 2


@pytest.mark.parametrize(
    ("callback", "text"),
    [
        (EarlyStopping(), "EarlyStopping()"),
        (EarlyStopping("loss", patience=3), "EarlyStopping(monitor='loss', patience=3)"),
        (callbacks.ReduceLROnPlateau(min_delta=1e-4, min_lr=0.5), "ReduceLROnPlateau(min_lr=0.5)"),
        (
            ModelCheckpoint("a-{epoch}.kt", save_freq=5, initial_value_threshold=0.5),
            "ModelCheckpoint(filepath='a-{epoch}.kt', save_freq=5, initial_value_threshold=0.5)",
        ),
        (callbacks.CSVLogger("a.csv", separator=";"), "CSVLogger(filename='a.csv', separator=';')"),
        (callbacks.BackupAndRestore("runs", 10), "BackupAndRestore(backup_dir='runs', save_freq=10)"),
        (callbacks.GradientNorm(norm_type=1), "GradientNorm(norm_type=1.0)"),
        (callbacks.LearningRateScheduler(halve), "LearningRateScheduler(schedule=halve)"),
        (callbacks.LambdaCallback(on_epoch_end=halve), "LambdaCallback(on_epoch_end=halve)"),
        (callbacks.ProgressBar(2), "ProgressBar(verbose=2)"),
        (callbacks.RemoteMonitor(send_as_json=True), "RemoteMonitor(send_as_json=True)"),
        (callbacks.SwapEMAWeights(True), "SwapEMAWeights(swap_on_epoch=True)"),
        (callbacks.TerminateOnNaN(), "TerminateOnNaN()"),
        (callbacks.Timer(), "Timer()"),
        (Callback(), "Callback()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_repr_shows_the_class_and_what_differs_from_the_default(callback, text):
    assert repr(callback) == text


def test_the_repr_of_a_tensorboard_shows_its_arguments(tmp_path):
    pytest.importorskip("tensorboard")
    assert repr(callbacks.TensorBoard("a", profile_batch=(2, 3))) == "TensorBoard(log_dir='a', profile_batch=(2, 3))"


def test_the_repr_of_a_scheduler_shows_how_it_is_made():
    callback = LRScheduler(functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1), interval="batch")
    text = "LRScheduler(scheduler=partial(StepLR, step_size=1), interval='batch')"
    assert repr(callback) == text
    fit(callback)
    assert repr(callback) == text
    optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
    assert repr(LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1))) == "LRScheduler(scheduler=<StepLR>)"


def test_the_repr_of_a_users_callback_shows_the_arguments_it_has_stored():
    class Own(EarlyStopping):
        def __init__(self, values, *more, scale=1.0, hidden=0, **options):
            super().__init__(**options)
            self.values, self.scale = values, scale

    values = torch.tensor([1.0, 2.0])
    assert repr(Own(values, 1, hidden=3, patience=2)) == "Own(values=tensor([1., 2.]))"
    assert repr(Own(None, scale=2)) == "Own(values=None, scale=2)"
