"""Training of the estimators: labels, weights, validation, further training, copies and pickles."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted
from torch import nn

import kerastorch as kt
from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


class MLP(nn.Module):
    def __init__(self, n_features, n_outputs, hidden=8):
        super().__init__()
        self.first, self.last = nn.Linear(n_features, hidden), nn.Linear(hidden, n_outputs)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


def weights_of(estimator):
    return [weight.detach().clone() for weight in estimator.model_.parameters()]


def equal(first, second):
    return all(torch.equal(one, other) for one, other in zip(weights_of(first), weights_of(second), strict=True))


# --- labels --------------------


@pytest.mark.parametrize(
    "labels",
    [NAMES[Y_IRIS], NAMES[Y_IRIS].astype(object), pd.Series(NAMES[Y_IRIS]), pd.Series(pd.Categorical(NAMES[Y_IRIS])),
     Y_IRIS * 10 - 5, list(NAMES[Y_IRIS])],
    ids=["text", "objects", "series", "categories", "numbers", "list"],
)  # fmt: skip
def test_labels_of_any_kind_come_back(labels):
    estimator = SKLearnClassifier(random_state=0).fit(X_IRIS, labels)
    assert accuracy_score(np.asarray(labels), estimator.predict(X_IRIS)) == estimator.score(X_IRIS, labels) > 0.9
    np.testing.assert_array_equal(estimator.classes_, np.unique(np.asarray(labels)))
    probabilities = estimator.predict_proba(X_IRIS)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(estimator.classes_[probabilities.argmax(1)], estimator.predict(X_IRIS))
    logits = estimator.decision_function(X_IRIS)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), probabilities)


def test_bools_are_two_classes():
    y = Y_IRIS == 2
    estimator = SKLearnClassifier(random_state=0).fit(X_IRIS, y)
    assert estimator.predict(X_IRIS).dtype == bool
    logit = estimator.decision_function(X_IRIS)
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), estimator.predict_proba(X_IRIS)[:, 1])
    np.testing.assert_array_equal(logit > 0, estimator.predict(X_IRIS))


def test_yes_or_no_questions_have_a_probability_each():
    X, Y = make_multilabel_classification(100, 5, n_classes=3, random_state=0)
    estimator = SKLearnClassifier(epochs=20, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(estimator.predict(X), estimator.predict_proba(X) > 0.5)
    sparse = SKLearnClassifier(epochs=20, random_state=0).fit(X, scipy.sparse.csr_array(Y))
    np.testing.assert_array_equal(sparse.predict(X), estimator.predict(X))


def test_several_columns_of_classes_have_classes_and_probabilities_each():
    Y = np.c_[NAMES[Y_IRIS], np.where(X_IRIS[:, 0] > 5.8, "long", "short")].astype(object)
    estimator = SKLearnClassifier(random_state=0).fit(X_IRIS, Y)
    assert [list(one) for one in estimator.classes_] == [list(NAMES), ["long", "short"]]
    first, second = estimator.predict_proba(X_IRIS)
    assert first.shape == (150, 3)
    assert second.shape == (150, 2)
    predicted = estimator.predict(X_IRIS)
    assert (predicted == Y).mean() > 0.9
    np.testing.assert_array_equal(predicted[:, 1], np.array(["long", "short"])[second.argmax(1)])


def test_a_column_of_labels_warns_as_in_scikit_learn():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        estimator = SKLearnClassifier(epochs=1).fit(X_IRIS, Y_IRIS[:, None])
    assert estimator.predict(X_IRIS).shape == (150,)


def test_a_regressor_predicts_in_the_shape_and_units_of_its_targets():
    X, Y = make_regression(120, 4, n_targets=2, random_state=0)
    Y = Y * [1.0, 1e-4] + [1e6, 0.0]
    estimator = SKLearnRegressor(epochs=60, random_state=0).fit(X, Y)
    assert estimator.predict(X).shape == (120, 2)
    assert (r2_score(Y, estimator.predict(X), multioutput="raw_values") > 0.9).all()
    assert SKLearnRegressor(epochs=1).fit(X, Y[:, 0]).predict(X).shape == (120,)
    assert SKLearnRegressor(epochs=1).fit(X, Y[:, :1]).predict(X).shape == (120, 1)


def test_the_loss_of_the_default_regressor_is_one_minus_r2():
    X, y = make_regression(100, 3, noise=10, random_state=0)
    estimator = SKLearnRegressor(epochs=30, random_state=0).fit(X, y)
    loss = estimator.model_.evaluate(X, y, verbose=0)
    assert loss == pytest.approx(1 - r2_score(y, estimator.predict(X)))


def test_units_of_features_and_targets_do_not_matter():
    X, y = make_regression(100, 3, noise=10, random_state=0)
    plain = SKLearnRegressor(epochs=20, random_state=0).fit(X, y).predict(X)
    scaled = SKLearnRegressor(epochs=20, random_state=0).fit(X * [1e5, 1e-5, 3] + 7, y * 1e-6 + 2)
    np.testing.assert_allclose(scaled.predict(X * [1e5, 1e-5, 3] + 7), plain * 1e-6 + 2, rtol=1e-4)


def test_a_column_of_one_value_is_no_infinity():
    X = np.c_[X_IRIS, np.full(150, 0.1)]
    estimator = SKLearnClassifier(epochs=20, random_state=0).fit(X, Y_IRIS)
    moved = X.copy()
    moved[:, -1] = 0.2
    assert (estimator.predict(moved) == estimator.predict(X)).mean() > 0.8


# --- weights --------------------


@pytest.mark.parametrize("kind", [SKLearnClassifier, SKLearnRegressor])
def test_a_weight_is_a_number_of_copies(kind):
    weights = np.arange(150) % 4
    estimator = kind(epochs=25, random_state=0).fit(X_IRIS, Y_IRIS, sample_weight=weights)
    copies = kind(epochs=25, random_state=0).fit(X_IRIS.repeat(weights, 0), Y_IRIS.repeat(weights), batch_size=999)
    np.testing.assert_allclose(estimator.predict(X_IRIS), copies.predict(X_IRIS), rtol=1e-7)


@pytest.mark.parametrize("given", ["balanced", {0: 1, 1: 5, 2: 0.5}, {0: 0, 1: 1, 2: 1}])
def test_class_weights_are_weights_of_rows(given):
    rows = np.r_[0:50, 50:70, 100:150]
    X, y = X_IRIS[rows], Y_IRIS[rows]
    by_class = SKLearnClassifier(class_weight=given, epochs=15, random_state=0).fit(X, y)
    by_row = SKLearnClassifier(epochs=15, random_state=0).fit(X, y, sample_weight=compute_sample_weight(given, y))
    np.testing.assert_allclose(by_class.predict_proba(X), by_row.predict_proba(X), rtol=1e-6)
    in_fit = SKLearnClassifier(epochs=15, random_state=0).fit(X, y, class_weight=given)
    np.testing.assert_array_equal(in_fit.predict_proba(X), by_class.predict_proba(X))


def test_class_weights_have_the_labels_of_the_user():
    y = np.where(Y_IRIS == 2, "rare", "common")
    estimator = SKLearnClassifier(class_weight={"rare": 1e4, "common": 1e-4}, random_state=0).fit(X_IRIS, y)
    assert (estimator.predict(X_IRIS) == "rare").mean() > 0.9
    with pytest.raises(ValueError, match="class_weight has the label 'rar', but the classes are 'common', 'rare'"):
        SKLearnClassifier(class_weight={"rar": 2}).fit(X_IRIS, y)


# --- validation --------------------


def test_a_fraction_is_held_out_with_the_shares_of_the_classes():
    estimator = SKLearnClassifier(validation_fraction=0.2, random_state=0, metrics=["accuracy"]).fit(
        X_IRIS, NAMES[Y_IRIS]
    )
    curves = estimator.history_.history
    assert {"val_loss", "val_accuracy"} <= set(curves)
    assert estimator.history_.params["steps"] == 1
    best = int(np.argmin(curves["val_loss"]))
    assert estimator.n_iter_ == min(best + 11, 500)  # 10 epochs without a lower loss


def test_validation_data_have_the_labels_of_the_user():
    labels = NAMES[Y_IRIS]
    estimator = SKLearnClassifier(epochs=2, random_state=0)
    estimator.fit(X_IRIS, labels, validation_data=(X_IRIS, labels))
    log = estimator.history_.history["val_loss"][-1]
    p = estimator.predict_proba(X_IRIS)[np.arange(150), Y_IRIS]
    assert log == pytest.approx(-np.log(p).mean())
    with pytest.raises(ValueError, match="y of validation_data has the label 'x'"):
        estimator.fit(X_IRIS, labels, validation_data=(X_IRIS[:1], ["x"]))


def test_early_stopping_of_the_user_counts_and_is_copied():
    stopping = kt.callbacks.EarlyStopping("val_loss", patience=2)
    estimator = SKLearnClassifier(
        epochs=200, callbacks=[stopping], validation_fraction=0.3, random_state=0, learning_rate=0.1
    )
    first = estimator.fit(X_IRIS, Y_IRIS).n_iter_
    assert first < 200
    assert estimator.fit(X_IRIS, Y_IRIS).n_iter_ == first
    assert not vars(stopping).get("wait")  # that of the user has not run


def test_training_ends_when_the_loss_no_longer_falls():
    estimator = SKLearnClassifier(random_state=0).fit(X_IRIS, Y_IRIS)
    curve = np.array(estimator.loss_curve_)
    assert 10 < estimator.n_iter_ == len(curve) < 500
    assert curve[-6] - curve[-5:].min() < 0.01 * curve[0]
    assert estimator.score(X_IRIS, Y_IRIS) > 0.95


# --- further training --------------------


def by_hand(X, y, epochs, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, eps=1e-7)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.tensor(X)), torch.tensor(y)).backward()
        optimizer.step()
    return net


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


def seed_of(random_state):
    return int(np.random.RandomState(random_state).randint(2**31 - 1))


def test_a_fit_is_a_loop_by_hand_over_all_rows():
    estimator = SKLearnClassifier(module=Chain, learning_rate=1e-2, epochs=20, random_state=3).fit(X_IRIS, Y_IRIS)
    net = by_hand(X_IRIS, Y_IRIS, 20, seed_of(3))
    np.testing.assert_allclose(estimator.decision_function(X_IRIS), net(torch.tensor(X_IRIS)).detach(), rtol=1e-6)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_warm_start_continues_weights_and_optimizer_after_a_pickle_too(pickled):
    estimator = SKLearnClassifier(module=Chain, learning_rate=1e-2, epochs=7, random_state=3, warm_start=True)
    estimator.fit(X_IRIS, Y_IRIS)
    if pickled:
        estimator = pickle.loads(pickle.dumps(estimator))
    estimator.set_params(epochs=13).fit(X_IRIS, Y_IRIS)
    net = by_hand(X_IRIS, Y_IRIS, 20, seed_of(3))
    np.testing.assert_allclose(estimator.decision_function(X_IRIS), net(torch.tensor(X_IRIS)).detach(), rtol=1e-6)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 20


def test_partial_fit_makes_an_epoch_and_continues_after_a_pickle():
    estimator = SKLearnClassifier(module=Chain, learning_rate=1e-2, random_state=3)
    estimator.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    for _ in range(4):
        estimator = pickle.loads(pickle.dumps(estimator)).partial_fit(X_IRIS, Y_IRIS)
    net = by_hand(X_IRIS, Y_IRIS, 5, seed_of(3))
    np.testing.assert_allclose(estimator.decision_function(X_IRIS), net(torch.tensor(X_IRIS)).detach(), rtol=1e-6)


def test_partial_fit_needs_all_classes_at_first_and_the_same_later():
    estimator = SKLearnClassifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        estimator.partial_fit(X_IRIS, Y_IRIS)
    estimator.partial_fit(X_IRIS[:50], NAMES[Y_IRIS[:50]], classes=NAMES)  # one class alone
    assert list(estimator.classes_) == list(NAMES)
    estimator.partial_fit(X_IRIS[50:], NAMES[Y_IRIS[50:]])
    with pytest.raises(ValueError, match="differs from the classes of the first call"):
        estimator.partial_fit(X_IRIS[50:], NAMES[Y_IRIS[50:]], classes=["versicolor", "virginica"])
    with pytest.raises(ValueError, match="y has the label 'rose'"):
        estimator.partial_fit(X_IRIS[:2], ["rose", "setosa"])


def test_partial_fit_to_several_columns_needs_the_classes_of_each():
    labels = np.stack([NAMES[Y_IRIS], np.where(X_IRIS[:, 0] > 5.8, "big", "small")], axis=1)
    for classes in (["big", "setosa", "small", "versicolor", "virginica"], ["setosa", "big"]):
        with pytest.raises(ValueError, match="y has 2 columns, so classes must be a list of 2 lists"):
            SKLearnClassifier().partial_fit(X_IRIS, labels, classes=classes)


def test_partial_fit_counts_classes_that_the_first_rows_lack():
    labels = np.stack([Y_IRIS, (X_IRIS[:, 0] > 5.8).astype(int)], axis=1)
    estimator = SKLearnClassifier(random_state=0)
    for rows in (slice(0, 100), slice(100, 150)):  # the class 2 is in the second part alone
        estimator.partial_fit(X_IRIS[rows], labels[rows], classes=[[0, 1, 2], [0, 1]])
    assert [each.shape for each in estimator.predict_proba(X_IRIS)] == [(150, 3), (150, 2)]
    answers = SKLearnClassifier().partial_fit(X_IRIS[:100], labels[:100], classes=[0, 1])
    with pytest.raises(ValueError, match="y has the label 2, but the classes are 0 and 1 in each column"):
        answers.partial_fit(X_IRIS, labels)


def test_a_second_fit_begins_anew_without_warm_start():
    estimator = SKLearnRegressor(epochs=5, random_state=1).fit(X_IRIS, Y_IRIS)
    before = weights_of(estimator)
    estimator.fit(X_IRIS, Y_IRIS)
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(estimator), strict=True))
    assert estimator.n_iter_ == 5


def test_a_seed_gives_the_same_network_and_leaves_the_global_generators():
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = SKLearnClassifier(epochs=3, random_state=5).fit(X_IRIS, Y_IRIS)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert equal(first, SKLearnClassifier(epochs=3, random_state=5).fit(X_IRIS, Y_IRIS))
    assert not equal(first, SKLearnClassifier(epochs=3, random_state=6).fit(X_IRIS, Y_IRIS))


# --- copies --------------------


def compiled_model():
    model = kt.Sequential([kt.Input((4,)), kt.layers.Dense(8, activation="relu"), kt.layers.Dense(3)])
    model.compile(kt.optimizers.Adam(0.01), "cross_entropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_an_estimator_keeps_what_its_model_was_compiled_with(way):
    model = compiled_model()
    before = [weight.clone() for weight in model.parameters()]
    estimator = way(SKLearnClassifier(model, fit_kwargs={"epochs": 3}, random_state=0))
    assert not hasattr(estimator, "model_")
    estimator.fit(X_IRIS, Y_IRIS)
    assert estimator.model_ is not model
    assert "accuracy" in estimator.history_.history
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert model.history is None


@pytest.mark.parametrize(
    "estimator",
    [SKLearnClassifier(random_state=0, epochs=2), SKLearnClassifier(compiled_model(), random_state=0),
     SKLearnClassifier(module=MLP, random_state=0, epochs=2), SKLearnRegressor(random_state=0, epochs=2),
     SKLearnTransformer(random_state=0, epochs=2)],
    ids=["default", "model", "module", "regressor", "transformer"],
)  # fmt: skip
def test_a_fitted_estimator_is_pickled_with_weights_history_and_predictions(estimator):
    fitted = clone(estimator).fit(X_IRIS, Y_IRIS)
    loaded = pickle.loads(pickle.dumps(fitted))
    method = "transform" if hasattr(fitted, "transform") else "predict"
    np.testing.assert_array_equal(getattr(loaded, method)(X_IRIS), getattr(fitted, method)(X_IRIS))
    assert loaded.history_.history == fitted.history_.history
    assert loaded.loss_curve_ == fitted.loss_curve_
    assert equal(loaded, fitted)
    check_is_fitted(loaded)
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(loaded))


def test_a_model_over_an_optimizer_of_torch_is_copied_with_its_optimizer():
    net = nn.Sequential(nn.Linear(4, 3))
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), lr=0.1), "cross_entropy")
    estimator = clone(SKLearnClassifier(model, fit_kwargs={"epochs": 5})).fit(X_IRIS, Y_IRIS)
    assert estimator.model_.history.history["loss"][0] > estimator.loss_curve_[-1]
    held = estimator.model_.optimizer.param_groups[0]["params"]
    assert {id(one) for one in held} == {id(one) for one in estimator.model_.parameters()}
    assert {id(one) for one in held}.isdisjoint(map(id, net.parameters()))


# --- data --------------------


def test_names_of_features_are_checked():
    frame = pd.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    estimator = SKLearnClassifier(epochs=1).fit(frame, Y_IRIS)
    assert list(estimator.feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="X has 3 features, but SKLearnClassifier is expecting 4"):
        SKLearnClassifier(epochs=1).fit(X_IRIS, Y_IRIS).predict(X_IRIS[:, :3])


@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_rows_give_what_dense_rows_give(form):
    X = np.where(X_IRIS > 3, X_IRIS, 0)
    dense = SKLearnClassifier(epochs=10, random_state=0).fit(X, Y_IRIS)
    sparse = SKLearnClassifier(epochs=10, random_state=0).fit(form(X), Y_IRIS)
    np.testing.assert_allclose(sparse.predict_proba(form(X)), dense.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"])
def test_numbers_of_any_dtype_train(dtype):
    X = (X_IRIS * 3).astype(dtype)
    estimator = SKLearnClassifier(epochs=2, random_state=0).fit(X, Y_IRIS)
    expected = torch.float64 if dtype in ("float64", "int32", "int64") else torch.float32
    assert next(estimator.model_.parameters()).dtype == expected
    assert np.isfinite(estimator.predict_proba(X)).all()


def test_a_module_that_computes_in_float32_alone_is_trained_in_float32():
    class Recurrent(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.cell, self.last = nn.GRU(1, 6, batch_first=True), nn.Linear(6, n_classes)

        def forward(self, x):
            start = torch.zeros(1, len(x), 6)
            return self.last(self.cell(x[..., None], start)[0][:, -1])

    estimator = SKLearnClassifier(module=Recurrent, epochs=2).fit(X_IRIS, Y_IRIS)
    assert next(estimator.model_.parameters()).dtype == torch.float32


def test_tensors_and_images_are_inputs():
    images = torch.rand(40, 1, 6, 6)
    y = (images.mean((1, 2, 3)) > 0.5).numpy()
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    estimator = SKLearnClassifier(module=net, epochs=3).fit(images, torch.from_numpy(y))
    assert estimator.predict_proba(images).shape == (40, 2)
    assert nn.parameter.is_lazy(net[3].weight)  # the module of the user is not changed
    with pytest.raises(ValueError, match="the default network takes rows of features"):
        SKLearnClassifier().fit(images, y)


def test_kinds_and_tags():
    assert is_classifier(SKLearnClassifier())
    assert is_regressor(SKLearnRegressor())
    assert SKLearnClassifier().__sklearn_tags__().classifier_tags.multi_label
    assert SKLearnTransformer().__sklearn_tags__().transformer_tags.preserves_dtype == ["float64", "float32"]
    html = SKLearnClassifier(module=MLP, module__hidden=3)._repr_html_()
    assert "SKLearnClassifier" in html
    assert repr(SKLearnClassifier(module=MLP, module__hidden=3)).startswith("SKLearnClassifier(module=<class")
