"""scikit-learn's own checks of estimators pass, with nothing that is expected to fail."""

import warnings

import pytest
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import kerastorch as kt
from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer


class MLP(nn.Module):
    def __init__(self, n_features, n_outputs, hidden=16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_features, hidden), nn.Tanh(), nn.Linear(hidden, n_outputs))

    def forward(self, x):
        return self.net(x)


def build_fn(X, y, units=16):
    is_labels = set(y.reshape(-1).tolist()) <= {0, 1}
    end = "sigmoid" if is_labels and (y.sum(1) != 1).any() else "softmax"
    model = kt.Sequential([kt.layers.Dense(units, activation="relu"), kt.layers.Dense(y.shape[1], activation=end)])
    model.compile("adam", "binary_crossentropy" if end == "sigmoid" else "categorical_crossentropy")
    return model


def build_regressor(X, y, units=16):
    model = kt.Sequential([kt.layers.Dense(units, activation="relu"), kt.layers.Dense(y.shape[1])])
    model.compile("rmsprop", "mse")
    return model


def failures(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    assert len(results) > 50
    passed = {one["check_name"] for one in results if one["status"] == "passed"}
    assert "check_sample_weight_equivalence_on_dense_data" in passed
    wanting_another_library = {"check_array_api_input"}
    return [
        f"{one['check_name']}: {one['status']}: {one['exception']}"
        for one in results
        if one["status"] != "passed" and one["check_name"] not in wanting_another_library
    ]


@pytest.mark.timeout(600)
def test_all_checks_of_a_classifier_pass():
    assert failures(SKLearnClassifier()) == []


@pytest.mark.timeout(600)
def test_all_checks_of_a_regressor_pass():
    assert failures(SKLearnRegressor()) == []


@pytest.mark.timeout(600)
def test_all_checks_of_a_transformer_pass():
    assert failures(SKLearnTransformer()) == []


@pytest.mark.parametrize("kind", [SKLearnClassifier, SKLearnRegressor, SKLearnTransformer])
@pytest.mark.slow
def test_all_checks_of_an_estimator_of_a_module_pass(kind):
    assert failures(kind(module=MLP, module__hidden=32, learning_rate=0.02)) == []


@pytest.mark.parametrize(
    ("kind", "build"),
    [(SKLearnClassifier, build_fn), (SKLearnRegressor, build_regressor), (SKLearnTransformer, build_regressor)],
)
@pytest.mark.slow
def test_all_checks_of_an_estimator_of_a_function_that_builds_the_model_pass(kind, build):
    assert failures(kind(model=build, model_kwargs={"units": 8}, fit_kwargs={"epochs": 2})) == []


class LogitsOnly(SKLearnClassifier):
    """A classifier that forgets the weights of rows, as a test of the test."""

    def fit(self, X, y, sample_weight=None, **fit_arguments):
        return super().fit(X, y, None, **fit_arguments)


def test_a_classifier_that_ignores_weights_fails():
    found = failures_of_one_check(LogitsOnly())
    assert "check_sample_weight_equivalence_on_dense_data" in found


def failures_of_one_check(estimator):
    from sklearn.utils.estimator_checks import estimator_checks_generator

    found = []
    for one, check in estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if name == "check_sample_weight_equivalence_on_dense_data":
            try:
                check(one)
            except AssertionError:
                found.append(name)
    return found
