"""ModelCheckpoint: what is saved when, under which name, and what is refused before training."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import as_anybody, needs_fork
from support.problems import Told, fit_told, regression, same_weights, through_a_file
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.callbacks import Callback, LambdaCallback, ModelCheckpoint


def saved(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))


class Ordered(Told):
    """Writes down where it is saved."""

    def __init__(self, values):
        super().__init__(values)
        self.paths = []

    def save(self, filepath, overwrite=True):
        super().save(filepath)
        self.paths.append(Path(filepath).name)


def test_each_epoch_is_saved_under_its_number_from_one_and_its_logs(tmp_path):
    model = Told([0.5, 0.25, 0.125])
    history = fit_told(model, 3, [ModelCheckpoint(tmp_path / "a" / "b" / "{epoch:02d}-{val_loss:.3f}-{loss:.2e}.kt")])
    losses = [f"{loss:.2e}" for loss in history.history["loss"]]
    assert saved(tmp_path / "a" / "b") == [
        f"01-0.500-{losses[0]}.kt", f"02-0.250-{losses[1]}.kt", f"03-0.125-{losses[2]}.kt",
    ]  # fmt: skip


def test_what_is_saved_is_the_model_at_that_moment(tmp_path):
    kept = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.layer.weight.detach().clone()))
    model = Told([3, 2, 1])
    fit_told(model, 3, [ModelCheckpoint(tmp_path / "{epoch}.kt"), look])
    for epoch in (1, 2, 3):
        assert torch.equal(torch.load(tmp_path / f"{epoch}.kt")["layer.weight"], kept[epoch - 1])


def test_without_braces_the_last_overwrites_and_with_save_best_only_the_best_stays(tmp_path):
    kept = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.layer.weight.detach().clone()))
    model = Told([3, 1, 2, 1])
    last, best = tmp_path / "last.kt", tmp_path / "best.kt"
    fit_told(model, 4, [ModelCheckpoint(last), ModelCheckpoint(best, save_best_only=True), look])
    assert torch.equal(torch.load(last)["layer.weight"], kept[3])
    assert torch.equal(torch.load(best)["layer.weight"], kept[1])  # the equal value of the fourth is no better


@pytest.mark.parametrize(
    ("values", "given", "epochs"),
    [
        ([3, 2, 2.5, 1], {}, [1, 2, 4]),
        ([3, 2, 2.5, 1], {"mode": "max"}, [1]),
        ([1, 2, 1.5, 3], {"mode": "max"}, [1, 2, 4]),
        ([3, 2, 2.5, 1], {"initial_value_threshold": 2.2}, [2, 4]),
        ([3, 2], {"initial_value_threshold": 1}, []),
    ],
)
def test_save_best_only_saves_what_keras_saves(tmp_path, values, given, epochs):
    fit_told(Told(values), len(values), [ModelCheckpoint(tmp_path / "{epoch}.kt", save_best_only=True, **given)])
    assert saved(tmp_path) == [f"{epoch}.kt" for epoch in epochs]


def test_nan_is_never_the_best(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}.kt", save_best_only=True)
    with pytest.warns(UserWarning, match="ModelCheckpoint: val_loss is NaN in epoch"):
        fit_told(Told([math.nan, 2, math.nan, 1]), 4, [callback])
    assert saved(tmp_path) == ["2.kt", "4.kt"]
    assert callback.best == 1


def test_the_best_value_is_kept_from_one_fit_to_the_next(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}.kt", save_best_only=True)
    model = Told([2, 3, 1.5])
    fit_told(model, 1, [callback])
    fit_told(model, 3, [callback], initial_epoch=1)
    assert saved(tmp_path) == ["1.kt", "3.kt"]


def test_every_so_many_batches_across_epochs_and_fits_as_keras_counts(tmp_path):
    model = Ordered([1] * 5)
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.kt", save_freq=3)
    fit_told(model, 2, [callback])
    assert model.paths == ["1-3.kt", "2-2.kt"]
    fit_told(model, 1, [callback])  # two batches of eight were left over
    assert model.paths[2:] == ["1-1.kt", "1-4.kt"]


def test_batches_that_are_executed_together_are_counted_each(tmp_path):
    model = Ordered([1] * 3)
    model.compile("sgd", "mse", steps_per_execution=2)
    fit_told(model, 2, [ModelCheckpoint(tmp_path / "{epoch}-{batch}.kt", save_freq=3)])
    assert model.paths == ["1-4.kt", "2-4.kt"]


def test_the_best_of_every_so_many_batches_is_by_the_running_loss(tmp_path):
    losses = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model = Ordered([1] * 3)
    fit_told(
        model, 3, [ModelCheckpoint(tmp_path / "{epoch}-{batch}.kt", "loss", save_best_only=True, save_freq=2), note]
    )
    best, expected = math.inf, []
    for at in range(1, 12, 2):
        if losses[at] < best:
            best = losses[at]
            expected.append(f"{at // 4 + 1}-{at % 4 + 1}.kt")
    assert model.paths == expected
    assert len(expected) > 1


def test_epochs_without_validation_have_no_best_and_no_name(tmp_path):
    fit_told(Told([3, 2]), 4, [ModelCheckpoint(tmp_path / "{epoch}.kt", save_best_only=True)], validation_freq=2)
    assert saved(tmp_path) == ["2.kt", "4.kt"]
    with pytest.warns(UserWarning, match="epoch 1 has no val_loss and is not saved"):
        fit_told(Told([3, 2]), 2, [ModelCheckpoint(tmp_path / "{val_loss:.0f}.kt")], validation_freq=2)
    assert "3.kt" in saved(tmp_path)


def test_a_best_that_never_came_is_told(tmp_path):
    with pytest.warns(UserWarning, match="ModelCheckpoint: val_loss was never logged; logged were loss"):
        fit_told(Told([]), 2, [ModelCheckpoint(tmp_path / "m.kt", save_best_only=True)], validation_freq=5)


def test_it_says_what_it_does(tmp_path, capsys):
    path = tmp_path / "m.kt"
    fit_told(Told([2, 3]), 2, [ModelCheckpoint(path, save_best_only=True, verbose=1)])
    assert capsys.readouterr().out == (
        f"Epoch 1: val_loss improved from None to 2.00000, saving model to {path}\n"
        "Epoch 2: val_loss did not improve from 2.00000\n"
    )
    fit_told(Told([2]), 1, [ModelCheckpoint(path, verbose=1)])
    assert capsys.readouterr().out == f"Epoch 1: saving model to {path}\n"


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("m.hdf5", {}, r"must end in '\.kt' or '\.keras' to save .* got 'm\.hdf5'\. Write 'm\.kt'"),
        ("m.pt", {}, r"Write 'm\.kt'"),
        ("m", {}, r"Write 'm\.kt'"),
        ("m.safetensors", {}, r"Write 'm\.kt', or pass save_weights_only=True"),
        (
            "m.h5",
            {"save_weights_only": True},
            r"must end in '\.safetensors' or '\.weights\.h5' to save .*Write 'm\.safe",
        ),
        ("m.kt", {"save_weights_only": True}, r"Write 'm\.safetensors'"),
        ("{epoch.kt", {}, "cannot be filled in"),
        ("{}.kt", {}, "cannot be filled in"),
        ("{0}.kt", {}, "cannot be filled in"),
        ("{epoch:.2q}.kt", {}, "cannot be filled in"),
        ("{loss:02d}.kt", {}, "cannot be filled in"),
        ("{batch}.kt", {}, r"\{batch\} is known only with save_freq"),
        ("{val_loss}.kt", {"save_freq": 5}, "batches have no 'val_loss'"),
        ("m.kt", {"save_freq": 5, "save_best_only": True}, "batches have no 'val_loss'"),
        ("m.kt", {"save_freq": 0}, "save_freq must be an integer >= 1, got 0"),
        ("m.kt", {"save_freq": "batch"}, "save_freq must be 'epoch' or a number of batches, got 'batch'"),
        ("m.kt", {"save_freq": 1.5}, "save_freq must be an integer"),
        ("m.kt", {"mode": "best"}, "mode must be"),
        ("m.kt", {"initial_value_threshold": math.nan}, "initial_value_threshold"),
    ],
)
def test_bad_arguments_are_refused_at_construction(path, given, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(path, **given)


@pytest.mark.parametrize("path", [None, 3, b"m.kt", ""])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="filepath must be a path"):
        ModelCheckpoint(path)


def test_weights_under_the_ending_of_keras_style_are_fine(tmp_path):
    fit_told(Told([1]), 1, [ModelCheckpoint(tmp_path / "m.weights.safetensors", save_weights_only=True)])
    assert saved(tmp_path) == ["m.weights.safetensors"]


def plain():
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{val_acc}.kt", "ModelCheckpoint: Unknown metric 'val_acc'.*Known: .*val_mae"),
        ("{maee:.2f}.kt", "Did you mean 'mae'"),
    ],
)
def test_a_name_that_no_epoch_will_log_is_refused_before_the_first(tmp_path, name, message):
    x, y = regression(40)
    model = plain()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[ModelCheckpoint(tmp_path / name)])
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert not saved(tmp_path)


def test_a_name_of_validation_without_validation_says_so(tmp_path):
    with pytest.raises(ValueError, match="ModelCheckpoint needs 'val_mae', but no validation data was given"):
        plain().fit(*regression(40), verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{val_mae}.kt")])
    with pytest.raises(ValueError, match="ModelCheckpoint monitors 'val_loss', but no validation data was given"):
        plain().fit(*regression(40), verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m.kt", save_best_only=True)])


def test_a_name_that_a_callback_before_it_adds_is_fine(tmp_path):
    rate = kt.callbacks.LearningRateScheduler(lambda epoch: 0.25)
    fit_told(Told([1]), 1, [rate, ModelCheckpoint(tmp_path / "{learning_rate}.kt")])
    assert saved(tmp_path) == ["0.25.kt"]


class Never(Callback):
    """Fails if a batch is trained."""

    def on_train_batch_begin(self, batch, logs=None):
        raise AssertionError


def test_a_folder_and_a_file_for_a_folder_are_refused_before_the_first_batch(tmp_path):
    (tmp_path / "folder.kt").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(IsADirectoryError, match=r"folder\.kt is a folder"):
        fit_told(Told([1]), 1, [ModelCheckpoint(tmp_path / "folder.kt"), Never()])
    with pytest.raises(NotADirectoryError, match="ModelCheckpoint cannot write"):
        fit_told(Told([1]), 1, [ModelCheckpoint(tmp_path / "file" / "{epoch}.kt"), Never()])


@needs_fork
def test_a_folder_that_may_not_be_written_is_refused_before_the_first_batch(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)

    def attempt():
        with pytest.raises(PermissionError, match="ModelCheckpoint cannot write"):
            fit_told(Told([1]), 1, [ModelCheckpoint(tmp_path / "closed" / "new" / "m.kt"), Never()])

    as_anybody(attempt)


def test_looking_whether_it_can_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(AssertionError):
        fit_told(Told([1]), 1, [ModelCheckpoint(tmp_path / "new" / "m.kt"), Never()])
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_saving_ends_training_and_the_best_value_is_that_of_the_file(tmp_path):
    class Full(Told):
        def save(self, filepath, overwrite=True):
            raise OSError(28, "No space left on device")

    callback = ModelCheckpoint(tmp_path / "m.kt", save_best_only=True)
    with pytest.raises(OSError, match="No space left"):
        fit_told(Full([1, 2]), 2, [callback])
    assert callback.best is None


# --- resuming, and the real files ---------------------------------------------------------------------------------


def test_its_state_goes_on_in_another_process(tmp_path):
    def make():
        return ModelCheckpoint(tmp_path / "{epoch}-{batch}.kt", "loss", save_best_only=True, save_freq=3, mode="max")

    def feed(callback, values):
        for batch, value in values:
            callback.on_train_batch_end(batch, {"loss": value})

    values = [(0, 5.0), (1, 5.0), (2, 5.0), (3, 6.0), (4, 7.0), (5, 4.0), (6, 1.0), (7, 1.0), (8, 9.0)]
    for cut in range(len(values)):
        models = Ordered([]), Ordered([])
        for model in models:
            callback = make()
            callback.set_model(model)
            callback.on_train_begin()
            callback.on_epoch_begin(0)
            feed(callback, values[:cut])
            if model is models[1]:
                state = through_a_file(callback.state_dict(), tmp_path / "state.kt")
                callback = make()
                callback.set_model(model)
                callback.on_train_begin()
                callback.on_epoch_begin(0)
                callback.load_state_dict(state)
            feed(callback, values[cut:])
        assert models[0].paths == models[1].paths == ["1-3.kt", "1-9.kt"]


def test_the_model_it_saves_predicts_the_same(tmp_path):
    x, y = regression(40)
    model = kt.Sequential([kt.layers.Dense(4, "relu"), kt.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{epoch}.kt")])
    loaded = kt.saving.load_model(tmp_path / "2.kt")
    assert (loaded.predict(x, verbose=0) == model.predict(x, verbose=0)).all()


def test_the_weights_it_saves_are_the_weights(tmp_path):
    x, y = regression(40)
    model, other = plain(), plain()
    callback = ModelCheckpoint(tmp_path / "m.safetensors", save_weights_only=True)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
    other.load_weights(tmp_path / "m.safetensors")
    assert same_weights(model, other)


ENDS = {
    "dense": lambda: [layers.Dense(3, "softmax")],
    "layer": lambda: [layers.Dense(3), layers.Softmax()],
    "activation": lambda: [layers.Dense(3), layers.Activation("softmax")],
    "torch": lambda: [layers.Dense(3), nn.Softmax(-1)],
    "torch inside": lambda: [layers.Dense(3, activation=nn.Softmax(-1))],
}


@pytest.mark.parametrize("save_freq", ["epoch", 1])
@pytest.mark.parametrize("end", ENDS)
def test_a_model_whose_loss_is_fused_with_its_end_is_saved_whole_while_it_is_trained(end, save_freq, tmp_path):
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(12) % 3
    model = kt.Sequential([layers.Dense(4, "relu", activity_regularizer="l2"), *ENDS[end]()])
    model.compile("adam", "sparse_categorical_crossentropy")
    shown = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: shown.append(repr(model)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep = ModelCheckpoint(tmp_path / "model.kt", save_freq=save_freq)
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[look, keep])
    again = kt.load_model(tmp_path / "model.kt")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert shown == [repr(model)]
    assert repr(again) == repr(model)
    if save_freq == "epoch":  # else the file is of an epoch that had not ended
        assert again.fit(x, y, batch_size=4, verbose=0).history == model.fit(x, y, batch_size=4, verbose=0).history


# --- save_top_k -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "given", "epochs"),
    [
        ([3, 2, 5, 1, 4], {"save_top_k": 2}, [2, 4]),
        ([3, 2, 5, 1, 4], {"save_top_k": 1}, [4]),
        ([3, 2, 5, 1, 4], {"save_top_k": 9}, [1, 2, 3, 4, 5]),
        ([3, 2, 5, 1, 4], {"save_top_k": 2, "mode": "max"}, [3, 5]),
        ([2, 2, 2, 2], {"save_top_k": 2}, [1, 2]),  # an equal value is no better
        ([5, 3, 4, 2, 1], {"save_top_k": 2, "save_best_only": True}, [4, 5]),
        ([5, 3, 4, 3.5, 6], {"save_top_k": 3, "save_best_only": True}, [1, 2]),
        ([5, 3, 4, 2, 1], {"save_top_k": 3, "initial_value_threshold": 3.5}, [2, 4, 5]),
    ],
)
def test_save_top_k_keeps_the_files_of_the_best_models(tmp_path, values, given, epochs):
    callback = ModelCheckpoint(tmp_path / "{epoch}.kt", **given)
    fit_told(Told(values), len(values), [callback])
    assert saved(tmp_path) == [f"{epoch}.kt" for epoch in epochs]
    sign = -1 if given.get("mode") == "max" else 1
    ranked = sorted(epochs, key=lambda epoch: sign * values[epoch - 1])
    assert callback.best_files == [str(tmp_path / f"{epoch}.kt") for epoch in ranked]
    assert callback.best == min(values[epoch - 1] * sign for epoch in epochs) * sign


def test_a_file_is_deleted_only_after_the_better_one_was_written(tmp_path):
    seen = []

    class Watching(Told):
        def save(self, filepath, overwrite=True):
            super().save(filepath)
            seen.append(saved(tmp_path))

    fit_told(Watching([3, 2, 1]), 3, [ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=1)])
    assert seen == [["1.kt"], ["1.kt", "2.kt"], ["2.kt", "3.kt"]]


def test_files_that_the_callback_has_not_written_stay(tmp_path):
    other = tmp_path / "0.kt"
    other.write_text("of somebody else")

    class Replacing(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                (tmp_path / "1.kt").write_text("another file under this name")

    callbacks = [ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=1), Replacing()]
    fit_told(Told([3, 2, 1]), 3, callbacks)
    assert saved(tmp_path) == ["0.kt", "1.kt", "3.kt"]
    assert (tmp_path / "1.kt").read_text() == "another file under this name"


def test_a_file_that_somebody_has_deleted_does_no_harm(tmp_path):
    remove = LambdaCallback(on_epoch_end=lambda epoch, logs: epoch or (tmp_path / "1.kt").unlink())
    fit_told(Told([3, 2, 1]), 3, [ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=1), remove])
    assert saved(tmp_path) == ["3.kt"]


def test_nan_is_not_among_the_best(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=2)
    with pytest.warns(UserWarning, match="val_loss is NaN in epoch"):
        fit_told(Told([math.nan, 2, math.nan, 1]), 4, [callback])
    assert saved(tmp_path) == ["2.kt", "4.kt"]


def test_the_best_files_last_from_one_fit_to_the_next(tmp_path):
    callback, model = ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=2), Told([3, 1, 2, 4])
    fit_told(model, 2, [callback])
    fit_told(model, 4, [callback], initial_epoch=2)
    assert saved(tmp_path) == ["2.kt", "3.kt"]


def test_batches_are_compared_by_their_means_so_far(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.kt", monitor="loss", save_freq=1, save_top_k=2)
    values = {}
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: values.update({batch + 1: logs["loss"]}))
    fit_told(Told([1]), 1, [callback, note])
    best = sorted(values, key=values.get)[:2]
    assert saved(tmp_path) == sorted(f"1-{batch}.kt" for batch in best)


def test_a_resumed_training_keeps_the_files_of_an_uninterrupted_one(tmp_path):
    losses = [5, 2, 4, 1, 3]

    def run(folder, stop=None):
        def fail(epoch, logs):
            if epoch == stop:
                raise RuntimeError("gone")

        model = Told(losses)
        if (folder / "state").exists():  # the model of the new process evaluates the epochs that are left
            model.values = iter(losses[stop_at:])
        callbacks = [
            ModelCheckpoint(folder / "{epoch}.kt", save_top_k=2),
            kt.callbacks.BackupAndRestore(folder / "state"),
            LambdaCallback(on_epoch_begin=fail),
        ]
        fit_told(model, 5, callbacks)

    run(tmp_path / "whole")
    for stop_at in (1, 2, 3, 4):
        folder = tmp_path / str(stop_at)
        with pytest.raises(RuntimeError, match="gone"):
            run(folder, stop_at)
        run(folder)
        assert saved(folder) == saved(tmp_path / "whole") == ["2.kt", "4.kt"]


def test_verbose_says_which_models_are_among_the_best(tmp_path, capsys):
    fit_told(Told([3, 1, 2, 4]), 4, [ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=2, verbose=1)])
    said = capsys.readouterr().out.replace(str(tmp_path), "")
    assert said.splitlines() == [
        "Epoch 1: val_loss improved from None to 3.00000, saving model to /1.kt",
        "Epoch 2: val_loss improved from 3.00000 to 1.00000, saving model to /2.kt",
        "Epoch 3: val_loss=2.00000 is among the best 2, saving model to /3.kt",
        "Epoch 4: val_loss=4.00000 is not among the best 2",
    ]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"filepath": "best.kt"}, r"save_top_k=2 keeps several files.*Write \{epoch\} into it: 'best-\{epoch\}\.kt'"),
        ({"filepath": "{val_loss}.kt"}, r"Write \{epoch\} into it"),
        ({"filepath": "{epoch}.kt", "save_freq": 5, "monitor": "loss"}, r"Write \{batch\} into it"),
        ({"filepath": "{epoch}-{batch}.kt", "save_freq": 5}, "batches have no 'val_loss'"),
        ({"filepath": "{epoch}.kt", "save_top_k": 0}, "save_top_k must be an integer >= 1, got 0"),
        ({"filepath": "{epoch}.kt", "save_top_k": -1}, "save_top_k must be an integer >= 1, got -1"),
    ],
)
def test_settings_of_save_top_k_that_cannot_work_are_refused(given, match):
    with pytest.raises(ValueError, match=match):
        ModelCheckpoint(**{"save_top_k": 2, **given})


def test_save_top_k_needs_its_log_before_training(tmp_path):
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="monitors 'val_loss', but no validation data was given"):
        model.fit(*regression(32), verbose=0, callbacks=ModelCheckpoint(tmp_path / "{epoch}.kt", save_top_k=2))


@pytest.mark.parametrize(("name", "weights_only"), [("best.kt", False), ("best.safetensors", True)])
def test_a_loop_by_hand_saves_the_best_of_a_model_that_is_not_compiled(tmp_path, name, weights_only):
    model = kt.Sequential([layers.Dense(1)])
    model(torch.zeros(1, 3))
    checkpoint = ModelCheckpoint(tmp_path / name, "val_loss", save_best_only=True, save_weights_only=weights_only)
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    values = {}
    for epoch, loss in enumerate([3.0, 1.0, 2.0]):
        checkpoint.on_epoch_begin(epoch)
        with torch.no_grad():
            model.layers[0].weight.fill_(epoch)
        values[loss] = model.layers[0].weight.clone()
        checkpoint.on_epoch_end(epoch, {"val_loss": loss})
    checkpoint.on_train_end({"val_loss": 2.0})
    if weights_only:
        model.load_weights(tmp_path / name)
    else:
        model = kt.load_model(tmp_path / name)
    assert torch.equal(model.layers[0].weight, values[1.0])


@pytest.mark.parametrize(("name", "options"), [("m.keras", {}), ("m.weights.h5", {"save_weights_only": True})])
def test_files_of_keras(name, options, tmp_path):
    pytest.importorskip("h5py")
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(torch.zeros(4, 3), torch.ones(4, 1), verbose=0, callbacks=[ModelCheckpoint(tmp_path / name, **options)])
    again = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    if options:
        again.load_weights(tmp_path / name)
    else:
        again = kt.load_model(tmp_path / name)
    torch.testing.assert_close(again(torch.ones(1, 3)), model(torch.ones(1, 3)))
