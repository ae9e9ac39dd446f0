"""learning_curve and validation_curve: equal to loops by hand, with the rows that scikit-learn takes."""

import pickle

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.model_selection import learning_curve as sklearn_learning_curve

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import learning_curve, validation_curve

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
Y = (X @ [1.0, -2.0, 0.5] + 0.3 * RANDOM.normal(size=40)).astype("float32")
FOLDS = list(KFold(4, shuffle=True, random_state=0).split(X))


def build(x, y, units=4):
    model = kt.Sequential([layers.Dense(units, "tanh"), layers.Dense(1)])
    model.compile(kt.optimizers.Adam(0.02), "mse", metrics=["mae"])
    return model


def scores_by_hand(folds, units=4, **arguments):
    """Return the mean absolute errors of training rows and held-out rows of a loop over folds."""
    train_scores, test_scores = [], []
    for number, (train, test) in enumerate(folds):
        kt.utils.set_random_seed(number)
        model = build(None, None, units)
        model.fit(X[train], Y[train], verbose=0, **arguments)
        for scores, rows in ((train_scores, train), (test_scores, test)):
            scores.append(model.evaluate(X[rows], Y[rows], verbose=0, return_dict=True)["mae"])
    return train_scores, test_scores


def test_a_learning_curve_equals_loops_by_hand():
    curve = learning_curve(build, X, Y, [0.2, 1.0, 15], cv=4, epochs=2, verbose=0)
    assert curve.train_sizes.tolist() == [6, 15, 30]
    random = np.random.RandomState(0)
    orders = [random.permutation(train) for train, _ in FOLDS]
    for at, size in enumerate(curve.train_sizes):
        folds = [(order[:size], test) for order, (_, test) in zip(orders, FOLDS, strict=True)]
        train, test = scores_by_hand(folds, epochs=2)
        np.testing.assert_array_equal(curve.train_scores["mae"][at], train)
        np.testing.assert_array_equal(curve.test_scores["mae"][at], test)


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_rows_are_those_that_scikit_learn_takes(shuffle):
    """A model of scikit-learn, and one of ours that predicts the mean of its rows, have the same scores."""

    def mean(x, y):
        model = kt.Sequential(
            [kt.layers.Lambda(lambda rows: rows[:, :1] * 0 + float(y.mean())), layers.Dense(1, use_bias=False)]
        )
        model.compile(kt.optimizers.SGD(1e-12), "mse")
        model.build((None, 3))
        model.set_weights([np.ones((1, 1))])
        return model

    splitter = KFold(5, shuffle=True, random_state=3)
    sizes, train, test = sklearn_learning_curve(
        DummyRegressor(), X, Y, train_sizes=np.linspace(0.1, 1, 5), cv=splitter, shuffle=shuffle, random_state=7,
        scoring="neg_mean_squared_error",
    )  # fmt: skip
    curve = learning_curve(mean, X, Y, cv=splitter, shuffle_rows=shuffle, seed=7, verbose=0)
    assert curve.train_sizes.tolist() == sizes.tolist()
    np.testing.assert_allclose(curve.train_scores["loss"], -train, rtol=1e-5)
    np.testing.assert_allclose(curve.test_scores["loss"], -test, rtol=1e-5)


def test_rows_in_the_order_of_time_stay_in_it():
    seen = []

    def record(x, y):
        seen.append(x[:, 0].tolist())
        return build(x, y)

    rows = np.arange(40.0)[:, None]
    learning_curve(record, rows, Y, [4, 8], cv=TimeSeriesSplit(3), shuffle_rows=False, verbose=0)
    assert seen == [list(range(4))] * 3 + [list(range(8))] * 3


def test_a_validation_curve_equals_loops_by_hand():
    curve = validation_curve(build, X, Y, [1, 8], cv=4, name="units", epochs=2, verbose=0)
    assert curve.values == (1, 8)
    for at, units in enumerate(curve.values):
        train, test = scores_by_hand(FOLDS, units, epochs=2)
        np.testing.assert_array_equal(curve.train_scores["mae"][at], train)
        np.testing.assert_array_equal(curve.test_scores["mae"][at], test)


def test_values_may_be_anything():
    curve = validation_curve(
        lambda x, y, optimizer: _compiled(optimizer), X, Y, ["sgd", "adam"], cv=2, name="optimizer", verbose=0
    )
    assert curve.best("mae") in ("sgd", "adam")
    assert "adam" in str(curve)
    assert curve.frame()["optimizer"].tolist() == ["sgd", "sgd", "adam", "adam"]
    with pytest.raises(AttributeError, match="learning_curve"):
        _ = curve.train_sizes


def test_values_may_come_from_a_generator():
    curve = validation_curve(build, X, Y, (2**power for power in range(2)), cv=2, name="units", verbose=0)
    expected = validation_curve(build, X, Y, [1, 2], cv=2, name="units", verbose=0)
    assert curve.values == (1, 2)
    np.testing.assert_array_equal(curve.test_scores["mae"], expected.test_scores["mae"])


def _compiled(optimizer):
    model = kt.Sequential([layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def test_the_best_value_has_the_best_mean_on_the_held_out_rows():
    curve = validation_curve(
        build, X, Y, [1, 2, 16], cv=4, epochs=4, metrics=["r2", "neg_mean_squared_error"], verbose=0
    )
    mean = curve.test_scores["neg_mean_squared_error"].mean(1)
    assert curve.best("neg_mean_squared_error") == curve.values[int(mean.argmax())]
    assert curve.best() == curve.values[int(curve.test_scores["loss"].mean(1).argmin())]
    assert curve.best("r2") == curve.values[int(curve.test_scores["r2"].mean(1).argmax())]
    assert curve.best("mae", "max") == curve.values[int(curve.test_scores["mae"].mean(1).argmax())]
    with pytest.raises(ValueError, match=r"Unknown score 'mea'\. Did you mean 'mae'\?"):
        curve.best("mea")


def test_frame_and_plot_show_mean_and_spread(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    rates = [0.0, 0.001, 1.0]
    curve = validation_curve(lambda x, y, rate: build(x, y), X, Y, rates, cv=4, name="rate", verbose=0)
    frame = curve.frame()
    assert frame.columns.tolist() == ["rate", "fold", "loss", "mae", "train_loss", "train_mae"]
    np.testing.assert_allclose(frame.groupby("rate")["mae"].mean(), curve.test_scores["mae"].mean(1))
    figure = curve.plot(tmp_path / "curve.png", scores="mae")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("rate", "mae", "symlog")
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["held-out rows"], curve.test_scores["mae"].mean(1))
    np.testing.assert_allclose(lines["training rows"], curve.train_scores["mae"].mean(1))
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    mean, spread = curve.test_scores["mae"].mean(1), curve.test_scores["mae"].std(1, ddof=1)
    assert band.max() == pytest.approx((mean + spread).max())
    assert band.min() == pytest.approx((mean - spread).min())
    plt.close("all")


def test_curves_are_picklable_and_shown_as_a_table(capsys):
    curve = learning_curve(build, X, Y, [10, 20], cv=2)
    assert capsys.readouterr().out.splitlines()[2].startswith("20 rows, fold 1/2: loss")
    copy = pickle.loads(pickle.dumps(curve))
    assert str(copy) == str(curve)
    assert f"{curve.test_scores['mae'][1].mean():.4g}" in str(curve)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([0.5, 1.5], r"a fraction in sizes must be in \(0, 1\], got 1.5"),
        ([0], "a number of rows in sizes must be from 1 to 30"),
        ([31], "from 1 to 30, the training rows of the smallest fold, got 31"),
        ([], "sizes must not be empty"),
        (["all"], "sizes must be fractions"),
    ],
)
def test_impossible_sizes_are_errors(sizes, message):
    with pytest.raises(ValueError, match=message):
        learning_curve(build, X, Y, sizes, cv=4, verbose=0)


def test_a_curve_needs_values_and_a_function_that_takes_them():
    for values in ([], 3, np.array(3), "relu", None):
        with pytest.raises(ValueError, match="values must be a list"):
            validation_curve(build, X, Y, values, cv=4)
    with pytest.raises(TypeError, match=r"build_fn is called as build_fn\(x, y, value\)"):
        validation_curve(lambda x, y: build(x, y), X, Y, [1], cv=4)
    with pytest.raises(TypeError, match="Its name is sizes"):
        learning_curve(build, X, Y, cv=4, train_sizes=[1])
