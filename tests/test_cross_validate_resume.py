"""resume= of cross-validation: folds that have ended are restored, and the one that was interrupted continues."""

import numpy as np
import pytest

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate, learning_curve, validation_curve

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


def build(x, y, rate=0.3):
    model = kt.Sequential(
        [layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dropout(rate), layers.Dense(1, "sigmoid")]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


class Record(kt.callbacks.Callback):
    """Records the epochs that are trained, and interrupts one."""

    state_attributes = ()

    def __init__(self, fold, epochs, stop):
        self.fold, self.epochs, self.stop = fold, epochs, stop

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append((self.fold, epoch))
        if len(self.epochs) == self.stop:
            raise KeyboardInterrupt


def interrupted(function, folder, stop, **options):
    """Return the epochs that are trained after an interruption at the n-th epoch, and the result."""
    epochs = []

    def run(stop):
        def callbacks(fold):
            stopping = kt.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.01, restore_best_weights=True)
            return [Record(fold, epochs, stop), *([stopping] if fold == 1 else [])]

        return function(
            epochs=4, validation_split=0.2, resume=folder, callbacks=callbacks, verbose=0, seed=3, **options
        )

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    epochs.clear()
    return epochs, run(None)


def test_an_interrupted_cross_validation_gives_the_result_of_an_uninterrupted_one(tmp_path):
    options = {"cv": 3, "held_out_curves": True, "return_train_score": True, "metrics": ["roc_auc"]}

    def run(**more):
        return cross_validate(build, X, Y, **options, **more)

    whole_epochs, whole = interrupted(run, tmp_path / "whole", 1)  # interrupted before the first epoch
    last = whole_epochs.index((3, 2)) + 1
    epochs, resumed = interrupted(run, tmp_path / "state", last)
    assert epochs == [(3, 2), (3, 3)]
    assert whole_epochs[0] == (1, 0)
    np.testing.assert_array_equal(resumed.predictions, whole.predictions)
    for one, other in zip(resumed.folds, whole.folds, strict=True):
        assert one.history.history == other.history.history
        assert one.curves == other.curves
        assert len(one.curves["loss"]) == len(one.history.epoch)
        assert (one.scores, one.train_scores) == (other.scores, other.train_scores)
        assert one.alone_because == "the state of each fit is saved between batches"


def test_folds_that_resume_have_the_numbers_of_folds_without_resume(tmp_path):
    def run(resume=None, callbacks=None, **more):
        return cross_validate(build, X, Y, cv=2, resume=resume, callbacks=callbacks, **more)

    _, resumed = interrupted(run, tmp_path / "state", 6)
    stopping = kt.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.01, restore_best_weights=True)
    plain = run(
        epochs=4, validation_split=0.2, verbose=0, seed=3, callbacks=lambda fold: [stopping] if fold == 1 else []
    )
    np.testing.assert_array_equal(resumed.predictions, plain.predictions)


def test_the_states_are_deleted_when_all_folds_have_ended(tmp_path):
    state = tmp_path / "state"
    options = {"cv": 2, "epochs": 1, "verbose": 0, "resume": state}
    cross_validate(build, X, Y, **options)
    assert not state.exists()
    (state / "mine").mkdir(parents=True)
    cross_validate(build, X, Y, **options)
    assert [one.name for one in state.iterdir()] == ["mine"]
    learning_curve(build, X, Y, sizes=[10, 20], **options)
    validation_curve(build, X, Y, [0.1, 0.2], **options)
    assert [one.name for one in state.iterdir()] == ["mine"]


def test_states_of_other_data_are_an_error(tmp_path):
    def fails(y_true, y_pred):
        raise ValueError("on purpose")

    options = {"cv": 2, "epochs": 1, "verbose": 0, "resume": tmp_path / "state"}
    with pytest.raises(ValueError, match="on purpose"):
        cross_validate(build, X, Y, metrics=fails, **options)
    with pytest.raises(kt.errors.CheckpointError, match="the sums of the arrays"):
        cross_validate(build, X + 1, Y, **options)


def test_each_value_and_size_of_a_curve_has_its_own_state(tmp_path):
    def values(**more):
        return validation_curve(build, X, Y, [0.1, 0.5], cv=2, **more)

    epochs, resumed = interrupted(values, tmp_path / "values", 11)
    _, whole = interrupted(values, tmp_path / "whole", 1)
    assert epochs[0] != (1, 0)
    for name in whole.test_scores:
        np.testing.assert_array_equal(resumed.test_scores[name], whole.test_scores[name])

    def sizes(**more):
        return learning_curve(build, X, Y, sizes=[10, 20], cv=2, **more)

    epochs, resumed = interrupted(sizes, tmp_path / "sizes", 11)
    _, whole = interrupted(sizes, tmp_path / "whole", 1)
    assert epochs[0] != (1, 0)
    for name in whole.test_scores:
        np.testing.assert_array_equal(resumed.test_scores[name], whole.test_scores[name])
