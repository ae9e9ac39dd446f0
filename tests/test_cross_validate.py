"""cross_validate: equal to a loop by hand over the folds, without leaks, for all kinds of data."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from sklearn.model_selection import KFold, RepeatedKFold, TimeSeriesSplit
from sklearn.preprocessing import StandardScaler
from torch.utils.data import Dataset, Subset, TensorDataset

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5] + 0.3 * RANDOM.normal(size=40)).astype("float32")
LABELS = (Y > 0).astype(int)
FOLDS = list(KFold(4, shuffle=True, random_state=0).split(X))


def regressor(x, y):
    model = kt.Sequential([layers.Dense(4, "tanh"), layers.Dropout(0.2), layers.Dense(1)])
    model.compile(kt.optimizers.Adam(0.02), "mse", metrics=["mae"])
    return model


def classifier(x, y):
    model = kt.Sequential([layers.Dense(4, "tanh"), layers.Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model


def by_hand(build, x, y, folds, **arguments):
    """Return logs, scores and predictions of a loop over folds."""
    for number, (train, test) in enumerate(folds):
        kt.utils.set_random_seed(number)
        model = build(x[train], y[train])
        history = model.fit(x[train], y[train], verbose=0, **arguments)
        scores = model.evaluate(x[test], y[test], verbose=0, return_dict=True)
        yield history.history, scores, model.predict(x[test], verbose=0)


def check_equal(result, expected, folds):
    expected = list(expected)
    assert len(result.folds) == len(expected)
    for fold, (logs, scores, predictions), (train, test) in zip(result.folds, expected, folds, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
        assert fold.history.history == logs
        assert fold.scores == scores
        np.testing.assert_array_equal(fold.predictions, predictions)


def test_folds_equal_a_loop_by_hand_to_the_bit():
    arguments = {"epochs": 2, "batch_size": 8, "validation_split": 0.2}
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, **arguments)
    check_equal(result, by_hand(regressor, X, Y, FOLDS, **arguments), FOLDS)
    joined = np.empty((40, 1), np.float32)
    for (_, _, predictions), (_, test) in zip(by_hand(regressor, X, Y, FOLDS, **arguments), FOLDS, strict=True):
        joined[test] = predictions
    np.testing.assert_array_equal(result.predictions, joined)
    np.testing.assert_array_equal(result.times_held_out, np.ones(40))


def test_early_stopping_within_the_training_rows_equals_a_loop_by_hand():
    def stopping():
        return [kt.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)]

    arguments = {"epochs": 12, "validation_split": 0.3}
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, callbacks=stopping(), **arguments)
    logs = []
    for number, (train, test) in enumerate(FOLDS):
        kt.utils.set_random_seed(number)
        model = regressor(None, None)
        logs.append(model.fit(X[train], Y[train], verbose=0, callbacks=stopping(), **arguments).history)
        np.testing.assert_array_equal(result.predictions[test], model.predict(X[test], verbose=0))
    assert [fold.history.history for fold in result.folds] == logs


def test_mean_spread_and_interval_by_their_formulas():
    result = cross_validate(regressor, X, Y, cv=4, verbose=0)
    scores = [scores["mae"] for _, scores, _ in by_hand(regressor, X, Y, FOLDS)]
    assert result.mean["mae"] == pytest.approx(np.mean(scores))
    assert result.spread["mae"] == pytest.approx(np.std(scores, ddof=1))
    error = np.sqrt((1 / 4 + 10 / 30) * np.var(scores, ddof=1))  # Nadeau and Bengio 2003, equation 9
    expected = scipy.stats.t.interval(0.9, df=3, loc=np.mean(scores), scale=error)
    assert result.interval(0.9)["mae"] == pytest.approx(expected)
    np.testing.assert_array_equal(result["mae"], scores)


def test_the_frame_and_the_text_show_every_fold():
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, return_train_score=True, seed=5)
    frame = result.frame()
    assert frame.index.tolist() == [1, 2, 3, 4]
    assert frame["seed"].tolist() == [5, 6, 7, 8]
    assert frame[["train_rows", "test_rows"]].to_numpy().tolist() == [[30, 10]] * 4
    np.testing.assert_array_equal(frame["train_mae"], result.train_scores["mae"])
    text = str(result)
    assert "4 folds of 40 rows, KFold" in text
    assert f"{result.mean['mae']:.4g}" in text
    assert "never held out" not in text
    assert "4 folds" in repr(result)
    assert "30 training and 10 held-out rows" in repr(result.folds[0])


def test_training_scores_are_those_of_the_training_rows():
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, return_train_score=True, return_models=True)
    for fold, model, (train, _) in zip(result.folds, result.models, FOLDS, strict=True):
        assert fold.train_scores == model.evaluate(X[train], Y[train], verbose=0, return_dict=True)


def test_a_scaler_in_build_fn_sees_the_training_rows_alone():
    seen = []

    def build(x, y):
        scale = layers.Normalization()
        scale.adapt(x)
        seen.append((x, y, scale.mean.numpy()))
        model = kt.Sequential([scale, layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    cross_validate(build, X, Y, cv=4, verbose=0)
    for (x, y, mean), (train, _) in zip(seen, FOLDS, strict=True):
        np.testing.assert_array_equal(x, X[train])
        np.testing.assert_array_equal(y, Y[train])
        np.testing.assert_allclose(mean.ravel(), X[train].mean(0), rtol=1e-5, atol=1e-6)


def test_targets_that_cannot_be_predicted_are_not_predicted():
    """A code of the target is known for the rows that `build_fn` sees, and for no others."""
    random = np.random.default_rng(1)
    keys, labels = np.arange(60.0)[:, None], random.permutation(np.repeat([0, 1], 30))

    def build(x, y):
        known = dict(zip(x.ravel().tolist(), np.asarray(y).tolist(), strict=True))

        def code(rows):
            return np.array([[known.get(key, 0.5)] for key in rows.ravel().tolist()])

        model = kt.Sequential([layers.Dense(1, "sigmoid", kernel_initializer="ones", use_bias=False)])
        model.compile(kt.optimizers.SGD(1.0), "binary_crossentropy", metrics=["accuracy"])
        return model, lambda rows: 20 * (code(rows) - 0.5)

    result = cross_validate(build, keys, labels, cv=5, verbose=0, return_train_score=True)
    assert result.train_scores["accuracy"].min() == 1.0  # with held-out rows this would be the held-out accuracy, too
    np.testing.assert_array_equal(result.predictions.ravel(), np.full(60, 0.5))


def test_a_scaler_of_scikit_learn_transforms_training_and_held_out_rows():
    def build(x, y):
        return regressor(x, y), StandardScaler().fit(x)

    result = cross_validate(build, X * 100 + 50, Y, cv=4, verbose=0, epochs=2)
    for number, (train, test) in enumerate(FOLDS):
        scaler = StandardScaler().fit(X[train] * 100 + 50)
        kt.utils.set_random_seed(number)
        model = regressor(None, None)
        model.fit(scaler.transform(X[train] * 100 + 50), Y[train], epochs=2, verbose=0)
        expected = model.predict(scaler.transform(X[test] * 100 + 50), verbose=0)
        np.testing.assert_array_equal(result.predictions[test], expected)


def test_what_build_fn_changes_in_its_rows_is_not_trained_on():
    def build(x, y):
        x *= 0
        return regressor(x, y)

    result = cross_validate(build, X, Y, cv=4, verbose=0)
    check_equal(result, by_hand(regressor, X, Y, FOLDS), FOLDS)


def test_callbacks_never_see_the_held_out_rows():
    seen = []

    class Spy(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))

    result = cross_validate(regressor, X, Y, cv=4, verbose=0, epochs=2, callbacks=[Spy()], held_out_curves=True)
    assert seen == [["learning_rate", "loss", "mae"]] * 8
    assert all(sorted(fold.history.history) == ["learning_rate", "loss", "mae"] for fold in result.folds)
    stop = kt.callbacks.EarlyStopping("val_loss")
    with pytest.raises(ValueError, match="val_loss"):
        cross_validate(regressor, X, Y, cv=4, verbose=0, held_out_curves=True, callbacks=stop)


def test_held_out_curves_are_evaluations_after_each_epoch():
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, epochs=3, held_out_curves=True)
    plain = cross_validate(regressor, X, Y, cv=4, verbose=0, epochs=3)
    np.testing.assert_array_equal(result.predictions, plain.predictions)
    for number, (train, test) in enumerate(FOLDS):
        kt.utils.set_random_seed(number)
        model = regressor(None, None)
        history = model.fit(X[train], Y[train], epochs=3, verbose=0, validation_data=(X[test], Y[test]))
        assert result.folds[number].curves["mae"] == pytest.approx(history.history["val_mae"], rel=1e-6)


def test_callbacks_are_copied_for_each_fold():
    class Counter(kt.callbacks.Callback):
        def __init__(self):
            self.epochs = []

        def on_epoch_end(self, epoch, logs=None):
            self.epochs.append(epoch)
            assert self.epochs == list(range(epoch + 1))

    counter = Counter()
    cross_validate(regressor, X, Y, cv=4, verbose=0, epochs=2, callbacks=counter)
    assert counter.epochs == []


def test_a_function_makes_callbacks_of_each_fold(tmp_path):
    def callbacks(fold):
        return kt.callbacks.CSVLogger(tmp_path / f"fold-{fold}.csv")

    result = cross_validate(regressor, X, Y, cv=4, verbose=0, epochs=2, callbacks=callbacks)
    for number, fold in enumerate(result.folds, 1):
        assert pd.read_csv(tmp_path / f"fold-{number}.csv")["mae"].tolist() == pytest.approx(fold.history["mae"])


def test_weights_of_rows_are_cut_for_each_fold():
    weights = RANDOM.uniform(0.1, 2, 40)
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, sample_weight=weights)
    for number, (train, test) in enumerate(FOLDS):
        kt.utils.set_random_seed(number)
        model = regressor(None, None)
        model.fit(X[train], Y[train], sample_weight=weights[train], verbose=0)
        expected = model.evaluate(X[test], Y[test], sample_weight=weights[test], verbose=0, return_dict=True)
        assert result.folds[number].scores == expected


def test_balanced_class_weights_are_those_of_the_training_rows():
    y = (np.arange(40) % 7 < 2).astype(int)
    result = cross_validate(classifier, X, y, cv=KFold(4), verbose=0, class_weight="balanced")
    for number, (train, test) in enumerate(KFold(4).split(X)):
        kt.utils.set_random_seed(number)
        model = classifier(None, None)
        weight = {label: len(train) / (2 * count) for label, count in enumerate(np.bincount(y[train]))}
        model.fit(X[train], y[train], class_weight=weight, verbose=0)
        np.testing.assert_allclose(result.predictions[test], model.predict(X[test], verbose=0), rtol=1e-5)


def test_repeats_give_the_mean_prediction_of_each_row():
    result = cross_validate(regressor, X, Y, cv=4, repeats=2, verbose=0)
    folds = list(RepeatedKFold(n_splits=4, n_repeats=2, random_state=0).split(X))
    sums = np.zeros((40, 1))
    for (_, _, predictions), (_, test) in zip(by_hand(regressor, X, Y, folds), folds, strict=True):
        sums[test] += predictions
    np.testing.assert_allclose(result.predictions, sums / 2, rtol=1e-6)
    assert set(result.times_held_out) == {2}


def test_rows_that_are_never_held_out_have_no_prediction():
    result = cross_validate(regressor, X, Y, cv=TimeSeriesSplit(3), verbose=0)
    np.testing.assert_array_equal(np.isnan(result.predictions[:, 0]), np.arange(40) < 10)
    assert "10 rows were never held out; the predictions for them are NaN." in str(result)


def test_tables_tensors_lists_and_datasets_give_the_same_numbers():
    expected = cross_validate(regressor, X, Y, cv=4, verbose=0)
    tensors = torch.tensor(X), torch.tensor(Y)

    class Pairs(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, row):
            return tensors[0][row], tensors[1][row]

    for x, y in [
        (pd.DataFrame(X), pd.Series(Y)),
        tensors,
        (X.tolist(), Y.tolist()),
        (TensorDataset(*tensors), None),
        (Pairs(), None),
        (Subset(Pairs(), range(40)), None),
    ]:
        found = cross_validate(regressor, x, y, cv=4, verbose=0)
        np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5, atol=1e-6)
        assert found.scores["mae"] == pytest.approx(expected.scores["mae"], rel=1e-5)


@pytest.mark.parametrize("kind", [dict, tuple])
def test_several_inputs_and_outputs(kind):
    def build(x, y):
        one, two = kt.Input((3,), name="one"), kt.Input((3,), name="two")
        joined = layers.Concatenate()([one, two])
        outputs = {
            "value": layers.Dense(1, name="value")(joined),
            "label": layers.Dense(1, "sigmoid", name="label")(joined),
        }
        if kind is dict:
            model = kt.Model({"one": one, "two": two}, outputs)
        else:
            model = kt.Model([one, two], list(outputs.values()))
        model.compile(
            "sgd", ["mse", "binary_crossentropy"] if kind is tuple else {"value": "mse", "label": "binary_crossentropy"}
        )
        return model

    x, y = {"one": X, "two": -X}, {"value": Y, "label": LABELS}
    if kind is tuple:
        x, y = tuple(x.values()), tuple(y.values())
    result = cross_validate(build, x, y, cv=4, verbose=0, return_models=True)
    found = result.predictions
    value, label = (found["value"], found["label"]) if kind is dict else found
    assert value.shape == label.shape == (40, 1)
    for model, (_, test) in zip(result.models, FOLDS, strict=True):
        part = {"one": X[test], "two": -X[test]} if kind is dict else (X[test], -X[test])
        expected = model.predict(part, verbose=0)
        np.testing.assert_array_equal(value[test], expected["value"] if kind is dict else expected[0])


def test_texts_are_rows():
    texts = [f"{'good' if label else 'bad'} text number{row}" for row, label in enumerate(LABELS)]

    def build(x, y):
        words = layers.TextVectorization(output_mode="multi_hot")
        words.adapt(x)
        model = kt.Sequential([layers.Dense(1, "sigmoid")])
        model.compile(kt.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
        return model, words

    result = cross_validate(build, texts, LABELS, cv=4, epochs=20, verbose=0)
    assert result.mean["accuracy"] > 0.9


def test_everything_is_picklable_and_small():
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, return_models=True, held_out_curves=True)
    copy = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copy.predictions, result.predictions)
    assert str(copy) == str(result)
    test = result.folds[1].test
    np.testing.assert_array_equal(copy.models[1].predict(X[test], verbose=0), result.predictions[test])
    small = cross_validate(regressor, X, Y, cv=4, verbose=0)
    assert all(fold.model is None for fold in small.folds)
    assert all(fold.history.model is None for fold in small.folds)
    with pytest.raises(ValueError, match="return_models=True"):
        _ = small.models


@pytest.mark.slow  # two processes import torch
def test_joblib_runs_two_processes():
    joblib = pytest.importorskip("joblib")
    jobs = (joblib.delayed(cross_validate)(regressor, X, Y, cv=2, seed=seed, verbose=0) for seed in (0, 1))
    found = joblib.Parallel(n_jobs=2)(jobs)
    for seed, result in enumerate(found):
        np.testing.assert_array_equal(
            result.predictions, cross_validate(regressor, X, Y, cv=2, seed=seed, verbose=0).predictions
        )


def test_random_states_stay_as_they_were():
    kt.utils.set_random_seed(3)
    expected = torch.rand(2), np.random.rand(2)
    kt.utils.set_random_seed(3)
    cross_validate(regressor, X, Y, cv=2, verbose=0)
    assert torch.equal(torch.rand(2), expected[0])
    np.testing.assert_array_equal(np.random.rand(2), expected[1])


def test_a_line_for_each_fold_is_printed(capsys):
    result = cross_validate(regressor, X, Y, cv=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"fold 2/2: loss {result.folds[1].scores['loss']:.4g}, mae ")
    cross_validate(regressor, X, Y, cv=2, verbose=0)
    assert capsys.readouterr().out == ""
    cross_validate(regressor, X, Y, cv=2, verbose=2, epochs=2)
    assert capsys.readouterr().out.count("Epoch 2/2") == 2


def test_ctrl_c_ends_it_at_once():
    built = []

    class Interrupt(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    def build(x, y):
        built.append(1)
        return regressor(x, y)

    with pytest.raises(KeyboardInterrupt):
        cross_validate(build, X, Y, cv=4, verbose=0, callbacks=Interrupt(), together=False)
    assert len(built) == 1


def test_plots_show_each_score_and_each_log(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    options = {"epochs": 2, "held_out_curves": True, "return_train_score": True, "validation_split": 0.2}
    result = cross_validate(regressor, X, Y, cv=4, verbose=0, **options)
    figure = result.plot(tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 5000
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mae"]
    points = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    np.testing.assert_array_equal(points["held-out rows"], result.scores["mae"])
    np.testing.assert_array_equal(points["training rows"], result.train_scores["mae"])
    figure = result.plot_curves()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mae"]
    means = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    logged = [fold.history["mae"] for fold in result.folds]
    np.testing.assert_allclose(means["training, mean of the folds"], np.mean(logged, 0))
    np.testing.assert_allclose(
        means["held out, mean of the folds"], np.mean([one.curves["mae"] for one in result.folds], 0)
    )
    plt.close("all")


@pytest.mark.parametrize("arguments", [{}, {"validation_split": 0.3, "held_out_curves": True}], ids=["plain", "curves"])
def test_folds_trained_together_equal_folds_trained_alone(arguments):
    stop = [kt.callbacks.EarlyStopping("loss", patience=1)]
    common = {"cv": 4, "epochs": 6, "batch_size": 4, "callbacks": stop, "verbose": 0, **arguments}
    together = cross_validate(regressor, X, Y, **common)
    alone = cross_validate(regressor, X, Y, together=False, **common)
    assert {fold.alone_because for fold in together.folds} == {None}
    assert alone.folds[0].alone_because == "together=False was given"
    np.testing.assert_allclose(together.predictions, alone.predictions, rtol=1e-6)
    for one, other in zip(together.folds, alone.folds, strict=True):
        for logs, expected in ((one.history.history, other.history.history), (one.curves or {}, other.curves or {})):
            assert sorted(logs) == sorted(expected)
            for name, values in logs.items():
                np.testing.assert_allclose(values, expected[name], rtol=1e-6)


def test_folds_that_cannot_be_trained_together_are_trained_alone():
    def with_lamb(x, y):
        model = regressor(x, y)
        model.compile(kt.optimizers.Lamb(0.01), "mse")
        return model

    result = cross_validate(with_lamb, X, Y, cv=4, verbose=0)
    assert "does not update each element alone" in result.folds[0].alone_because
    check_equal(result, by_hand(with_lamb, X, Y, FOLDS), FOLDS)
    table = TensorDataset(torch.tensor(X), torch.tensor(Y))
    assert "dataset" in cross_validate(regressor, table, cv=2, verbose=0).folds[0].alone_because
