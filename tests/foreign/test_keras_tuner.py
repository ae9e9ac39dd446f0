"""The class of the guide that lets KerasTuner train models of kerastorch, with the tuners of KerasTuner."""

import os
import pathlib
import re

import numpy as np
import pytest

import kerastorch as kt

os.environ.setdefault("KERAS_BACKEND", "torch")
keras_tuner = pytest.importorskip("keras_tuner", exc_type=ImportError)

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "guides" / "search.md"
X = np.random.default_rng(0).normal(size=(80, 4)).astype("float32")
Y = (X[:, :3] + 0.5 * X[:, 1:]).argmax(1)


@pytest.fixture(scope="module")
def page():
    """Return the names that the first block of the section defines."""
    section = PAGE.read_text(encoding="utf-8").split("## KerasTuner")[1]
    namespace = {"__name__": "page"}
    exec(re.search(r"^```python\n(.*?)^```\n", section, re.M | re.S)[1], namespace)
    return namespace


def build(hp):
    model = kt.Sequential(
        [
            kt.Input(shape=(4,)),
            kt.layers.Dense(hp.Int("units", 2, 8), "tanh"),
            kt.layers.Dropout(0.2),
            kt.layers.Dense(3, "softmax"),
        ]
    )
    model.compile(kt.optimizers.Adam(hp.Float("rate", 1e-2, 1.0, sampling="log")), "ce", metrics=["accuracy"])
    return model


def searched(tuner, **options):
    options = {"epochs": 4, "validation_data": (X[50:], Y[50:]), "verbose": 0} | options
    tuner.search(X[:50], Y[:50], **options)
    return tuner


def test_keras_tuner_refuses_models_of_kerastorch_by_itself(tmp_path):
    tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=1, directory=tmp_path)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="valid Keras Model"):
        searched(tuner)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("RandomSearch", {"max_trials": 3}),
        ("BayesianOptimization", {"max_trials": 4, "num_initial_points": 2}),
        ("Hyperband", {"max_epochs": 4, "factor": 2}),
    ],
)
@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of the Gaussian process, for few trials
def test_the_best_model_has_the_value_of_the_best_trial(page, tmp_path, name, options, objective):
    tuner = searched(page[name](build, objective=objective, seed=1, directory=tmp_path, **options))
    trials = tuner.oracle.get_best_trials(100)
    scores = [trial.score for trial in trials]
    assert all(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())
    assert scores == sorted(scores, reverse=objective == "val_accuracy")
    logs = tuner.get_best_models()[0].evaluate(X[50:], Y[50:], verbose=0, return_dict=True)
    assert logs[objective.removeprefix("val_")] == pytest.approx(scores[0], rel=1e-5)


def test_the_value_of_a_trial_is_that_of_its_best_epoch_with_early_stopping(page, tmp_path):
    stopping = kt.callbacks.EarlyStopping("val_loss", patience=1)
    tuner = page["RandomSearch"](build, objective="val_loss", max_trials=3, seed=3, directory=tmp_path)
    searched(tuner, epochs=20, callbacks=[stopping])
    for trial in tuner.oracle.trials.values():
        kt.utils.set_random_seed(int(trial.trial_id))
        model = build(trial.hyperparameters)
        history = model.fit(
            X[:50], Y[:50], epochs=20, validation_data=(X[50:], Y[50:]), verbose=0,
            callbacks=kt.callbacks.EarlyStopping("val_loss", patience=1),
        )  # fmt: skip
        assert trial.score == min(history["val_loss"])
        assert len(history.epoch) < 20 or trial.score == history["val_loss"][-1]


def test_a_search_of_one_seed_is_the_same_each_time(page, tmp_path):
    found = []
    for number in range(2):
        options = {"max_trials": 3, "seed": 5, "directory": tmp_path / str(number)}
        tuner = searched(page["RandomSearch"](build, objective="val_loss", **options))
        found.append([(trial.hyperparameters.values, trial.score) for trial in tuner.oracle.trials.values()])
    assert found[0] == found[1]


def test_hyperband_continues_a_trial_with_its_weights(page, tmp_path):
    starts = []

    class Records(keras_tuner.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *args, **kwargs):
            starts.append((dict(hp.values), kwargs["initial_epoch"], kwargs["epochs"], model.get_weights()))
            return model.fit(*args, **kwargs)

    options = {"objective": "val_loss", "max_epochs": 4, "factor": 2, "seed": 1, "directory": tmp_path}
    tuner = searched(page["Hyperband"](Records(), **options))
    assert any(values.get("tuner/trial_id") for values, *_ in starts)
    for values, initial_epoch, epochs, weights in starts:
        assert (initial_epoch, epochs) == (values["tuner/initial_epoch"], values["tuner/epochs"])
        if values.get("tuner/trial_id"):
            model = tuner.load_model(tuner.oracle.get_trial(values["tuner/trial_id"]))
            for weight, expected in zip(weights, model.get_weights(), strict=True):
                np.testing.assert_array_equal(weight, expected)
