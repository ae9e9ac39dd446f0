"""The estimators work within the pipelines, searches and meta-estimators of scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, make_classification, make_regression
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

import kerastorch as kt
from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer


class MLP(nn.Module):
    def __init__(self, n_features, n_classes, hidden=8, dropout=0.0):
        super().__init__()
        self.hidden = hidden
        self.net = nn.Sequential(
            nn.Linear(n_features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_classes)
        )

    def forward(self, x):
        return self.net(x)


@pytest.fixture(scope="module")
def classes():
    return make_classification(160, 6, n_informative=4, random_state=0)


@pytest.fixture(scope="module")
def values():
    return make_regression(160, 5, noise=5.0, random_state=0)


def classifier(**parameters):
    return SKLearnClassifier(**{"epochs": 12, "random_state": 0, **parameters})


def test_a_pipeline_scores_as_its_steps_by_hand(classes):
    X, y = classes
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    scaled = StandardScaler().fit(X[:, :]).transform(X)
    assert pipeline.score(X, y) == classifier().fit(scaled, y).score(scaled, y) > 0.7


def test_a_column_transformer_feeds_a_frame_with_text_to_a_network():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 120), "job": rng.choice(["cook", "smith", "nurse"], 120)})
    y = np.where(frame["job"] == "cook", "yes", "no")
    columns = ColumnTransformer([("text", OneHotEncoder(), ["job"]), ("numbers", StandardScaler(), ["age"])])
    pipeline = Pipeline([("columns", columns), ("network", classifier(epochs=40))]).fit(frame, y)
    assert pipeline.score(frame, y) == 1.0
    assert list(pipeline.classes_) == ["no", "yes"]


def test_a_transformer_is_one_part_of_a_column_transformer_with_names(values):
    X, _ = values
    frame = pd.DataFrame(X, columns=list("abcde"))
    columns = ColumnTransformer([("code", SKLearnTransformer(epochs=3), list("abc")), ("rest", "passthrough", ["d"])])
    found = columns.set_output(transform="pandas").fit_transform(frame)
    assert list(found) == ["code__sklearntransformer0", "code__sklearntransformer1", "rest__d"]
    np.testing.assert_array_equal(found["rest__d"], frame["d"])


def test_a_grid_search_reaches_the_arguments_of_the_module(classes):
    X, y = classes
    search = GridSearchCV(
        classifier(module=MLP), {"module__hidden": [2, 16], "learning_rate": [1e-4, 2e-2]}, cv=2, error_score="raise"
    ).fit(X, y)
    assert search.best_params_["learning_rate"] == 2e-2
    assert search.best_estimator_.model_.module_viewed.hidden == search.best_params_["module__hidden"]
    means = search.cv_results_["mean_test_score"]
    by_hand = [cross_val_score(clone(search.estimator).set_params(**one), X, y, cv=2).mean() for one in
               search.cv_results_["params"]]  # fmt: skip
    np.testing.assert_array_equal(means, by_hand)


def test_a_grid_search_in_two_processes_gives_the_same_scores(classes):
    X, y = classes
    grid = {"module__hidden": [2, 8]}
    one = GridSearchCV(classifier(module=MLP), grid, cv=2).fit(X, y)
    two = GridSearchCV(classifier(module=MLP), grid, cv=2, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def build_fn(X, y, units=4):
    model = kt.Sequential(
        [kt.layers.Dense(units, activation="relu"), kt.layers.Dense(y.shape[1], activation="softmax")]
    )
    model.compile(kt.optimizers.Adam(0.02), "categorical_crossentropy")
    return model


def test_a_grid_search_reaches_the_arguments_of_the_function_that_builds_the_model(classes):
    X, y = classes
    grid = {"model_kwargs__units": [2, 16], "fit_kwargs__epochs": [1, 15]}
    search = GridSearchCV(SKLearnClassifier(build_fn, random_state=0), grid, cv=2).fit(X, y)
    assert search.best_params_["fit_kwargs__epochs"] == 15
    assert search.best_estimator_.model_.layers[0].units == search.best_params_["model_kwargs__units"]
    assert search.best_estimator_.n_iter_ == 15
    assert search.estimator.model_kwargs is None


def test_halving_gives_the_good_candidates_more_epochs(classes):
    X, y = classes
    search = HalvingRandomSearchCV(
        classifier(), {"learning_rate": [1e-5, 1e-4, 1e-2, 2e-2]}, resource="epochs", max_resources=16, min_resources=4,
        n_candidates=4, cv=2, factor=2, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert search.best_params_["learning_rate"] >= 1e-2
    assert search.best_params_["epochs"] == 16 == search.best_estimator_.n_iter_


def test_cross_validation_trains_a_new_network_for_each_fold(classes):
    X, y = classes
    estimator = classifier()
    found = cross_validate(estimator, X, y, cv=3, return_estimator=True, return_train_score=True)
    assert len({id(one.model_) for one in found["estimator"]}) == 3
    assert not hasattr(estimator, "model_")
    np.testing.assert_array_equal(found["test_score"], cross_val_score(estimator, X, y, cv=3))
    assert cross_val_predict(estimator, X, y, cv=3, method="predict_proba").shape == (160, 2)


def test_cross_validation_in_two_processes_equals_that_in_one(values):
    X, y = values
    estimator = SKLearnRegressor(epochs=5, random_state=0)
    np.testing.assert_array_equal(
        cross_val_score(estimator, X, y, cv=2), cross_val_score(estimator, X, y, cv=2, n_jobs=2)
    )


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated(classes, method):
    X, y = classes
    calibrated = CalibratedClassifierCV(classifier(), method=method, cv=2).fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(1), 1)
    assert calibrated.score(X, y) > 0.7


def test_networks_are_stacked_with_other_classifiers(classes):
    X, y = classes
    names = np.array(["ham", "spam"])[y]
    stack = StackingClassifier(
        [("network", classifier()), ("line", LogisticRegression())], final_estimator=LogisticRegression(), cv=2
    ).fit(X, names)
    assert stack.score(X, names) > 0.7
    assert set(stack.predict(X)) <= {"ham", "spam"}


def test_networks_vote_and_are_bagged(classes):
    X, y = classes
    members = [("wide", classifier(hidden=(32,))), ("line", LogisticRegression())]
    voting = VotingClassifier(members, voting="soft").fit(X, y)
    mean = (voting.estimators_[0].predict_proba(X) + voting.estimators_[1].predict_proba(X)) / 2
    np.testing.assert_allclose(voting.predict_proba(X), mean)
    bag = BaggingClassifier(classifier(random_state=None), n_estimators=3, random_state=0).fit(X, y)
    assert bag.score(X, y) > 0.7
    assert not np.array_equal(bag.estimators_[0].predict_proba(X), bag.estimators_[1].predict_proba(X))


def test_permutation_importance_finds_the_feature_that_decides():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X[:, 1] > 0
    found = permutation_importance(classifier(epochs=40).fit(X, y), X, y, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 1


def test_learning_curves_have_a_row_for_each_size(classes):
    X, y = classes
    sizes, train, test = learning_curve(classifier(), X, y, train_sizes=[20, 60, 100], cv=2 if len(y) > 200 else 3)
    assert sizes.tolist() == [20, 60, 100]
    assert train.shape == test.shape == (3, 3)
    assert test.mean(1)[-1] > 0.6


def test_targets_are_transformed_around_a_regressor(values):
    X, y = values
    inner = SKLearnRegressor(epochs=30, random_state=0)
    outer = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, y)
    assert outer.score(X, y) > 0.8
    assert outer.predict(X).shape == y.shape


def test_one_regressor_for_each_column_gives_what_each_gives_alone(values):
    X, y = values
    Y = np.c_[y, -3 * y + 1]
    both = MultiOutputRegressor(SKLearnRegressor(epochs=5, random_state=0)).fit(X, Y)
    alone = SKLearnRegressor(epochs=5, random_state=0).fit(X, Y[:, 1])
    np.testing.assert_array_equal(both.predict(X)[:, 1], alone.predict(X))


def test_a_transformer_feeds_a_classifier_within_a_search():
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[:150], y[:150]
    pipeline = Pipeline([("code", SKLearnTransformer(epochs=20, random_state=0)), ("line", LogisticRegression())])
    search = GridSearchCV(pipeline, {"code__n_components": [1, 4]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_.named_steps["code"].transform(X).shape == (
        150,
        search.best_params_["code__n_components"],
    )


def test_a_search_shows_no_warnings(classes):
    X, y = classes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GridSearchCV(classifier(module=MLP, epochs=2), {"module__dropout": [0.0, 0.5]}, cv=2).fit(X, y)
