"""Errors of the estimators, metadata routing, output containers, and models that are no estimators."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from torch import nn

import kerastorch as kt
from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

X, Y = load_iris(return_X_y=True)


class Net(nn.Module):
    def __init__(self, n_out, hidden=4):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(hidden), nn.ReLU(), nn.Linear(hidden, n_out))

    def forward(self, x):
        return self.layers(x)


def compiled():
    model = kt.Sequential([kt.layers.Dense(3)])
    model.compile("adam", "cross_entropy")
    return model


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1, got 0. Or 'auto'."),
        ({"batch_size": "all"}, ValueError, "batch_size must be an integer >= 1, got 'all'"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be a finite number >= 0 and < 1"),
        ({"hidden": (0,)}, ValueError, "hidden must be a tuple of integers >= 1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number > 0"),
        ({"optimizer": "adamm"}, ValueError, "Did you mean 'adam'"),
        ({"loss": "crossentropi"}, ValueError, "Unknown loss 'crossentropi'"),
        ({"dtype": "int8"}, ValueError, "dtype"),
        ({"warm_start": 1}, ValueError, "warm_start must be True or False"),
        ({"class_weight": "balance"}, ValueError, "class_weight must be 'balanced' or a dict"),
        ({"fit_kwargs": {"epoch": 3}}, TypeError, "fit_kwargs has the argument 'epoch'.*Did you mean 'epochs'"),
        ({"module": Net, "module__hiden": 3}, TypeError, "module__hiden: Net takes no argument 'hiden'.*'hidden'"),
        ({"module": Net(3), "module__hidden": 3}, ValueError, "module is a module already"),
        ({"module": 3}, TypeError, "module must be a class of torch.nn.Module, got 3"),
        ({"module": Net, "module__n_out": 5}, ValueError, "y has 3 classes, so the network must return 3 columns"),
        ({"model": 3}, TypeError, "model must be a model, or a function"),
        ({"model": lambda X, y: 3}, TypeError, "must return a model, got 3"),
        ({"model": lambda X, y, size: 3}, TypeError, "called with X and y: missing a required argument: 'size'"),
        ({"model": compiled(), "optimizer": "sgd"}, ValueError, "optimizer has no effect on a model that is compiled"),
        ({"model": compiled(), "module": Net}, ValueError, "pass either model, or module"),
        ({"model": compiled(), "model_kwargs": {"a": 1}}, ValueError, "model_kwargs are arguments of a function"),
        ({"model": lambda X, y, a=1: compiled(), "model_kwargs": {"b": 1}}, TypeError, r"model_kwargs\['b'\]"),
        ({"optimizer": torch.optim.SGD([torch.zeros(1)], lr=1)}, ValueError, "optimizer must be a name, a class"),
        ({"optimizer__momentun": 0.9, "optimizer": "sgd"}, ValueError, "does not take its arguments"),
    ],
)
def test_a_parameter_that_cannot_be_is_an_error_of_fit(parameters, error, words):
    with pytest.raises(error, match=words):
        SKLearnClassifier(**parameters).fit(X, Y)


def test_an_unknown_parameter_says_how_those_of_the_module_are_called():
    with pytest.raises(TypeError, match=r"has no parameter 'units'.*module__units"):
        SKLearnClassifier(module=Net, units=3)
    with pytest.raises(TypeError, match="Did you mean 'epochs'"):
        SKLearnClassifier(epoch=3)
    with pytest.raises(ValueError, match="Invalid parameter 'units'"):
        SKLearnClassifier().set_params(units=3)


def test_loaders_are_answered_with_where_they_go():
    with pytest.raises(TypeError, match="X must be an array or a DataFrame"):
        SKLearnClassifier().fit(torch.utils.data.DataLoader(list(range(3))), [0, 1, 0])


@pytest.mark.parametrize("weights", [np.full(150, -1.0), np.zeros(150), np.ones(3)])
def test_weights_that_cannot_be_are_errors(weights):
    with pytest.raises(ValueError, match=r"(?i)sample.?weight"):
        SKLearnClassifier().fit(X, Y, sample_weight=weights)


def test_one_class_alone_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="y has 1 class, 'a'"):
        SKLearnClassifier().fit(X[:3], ["a"] * 3)
    with pytest.raises(ValueError, match="y has 1 class, 2, among the rows whose weight is not 0"):
        SKLearnClassifier().fit(X, Y, sample_weight=Y == 2)


def test_continuous_targets_of_a_classifier_are_an_error():
    with pytest.raises(ValueError, match=r"Unknown label type: continuous.*SKLearnRegressor"):
        SKLearnClassifier().fit(X, X[:, 0])


@pytest.mark.parametrize(
    "use",
    [
        lambda model: cross_val_score(model, X, Y),
        lambda model: cross_validate(model, X, Y, scoring="accuracy"),
        lambda model: GridSearchCV(model, {}).fit(X, Y),
        lambda model: learning_curve(model, X, Y, scoring="accuracy"),
    ],
)
def test_a_model_that_is_no_estimator_says_how_to_wrap_it(use):
    with pytest.raises(TypeError, match=r"Sequential is a model, not an estimator.*SKLearnClassifier\(model\)"):
        use(compiled())


def test_a_model_has_no_score_of_its_own_and_may_have_a_submodule_of_this_name():
    assert not hasattr(compiled(), "score")
    assert "score" not in dir(compiled())

    class Scored(kt.Model):
        def __init__(self):
            super().__init__()
            self.score = nn.Linear(2, 1)

        def forward(self, x):
            return self.score(x)

    model = Scored()
    assert model.score is dict(model.named_children())["score"]
    assert model.predict(np.ones((1, 2)), verbose=0).shape == (1, 1)


# --- metadata routing and output containers


def test_weights_of_rows_are_routed():
    weights = np.where(Y == 2, 1e4, 1e-4)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = SKLearnClassifier(epochs=30, random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(clone(estimator)).fit(X, Y, sample_weight=weights)
        assert (pipeline.predict(X) == 2).mean() > 0.9
        scored = estimator.set_score_request(sample_weight=True)
        found = cross_validate(scored, X, Y, params={"sample_weight": weights}, cv=3, error_score="raise")
    assert found["test_score"].min() > 0.9


def test_a_transformer_gives_frames_of_pandas():
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150) + 7)
    found = SKLearnTransformer(n_components=3, epochs=2).set_output(transform="pandas").fit_transform(frame)
    assert list(found) == ["sklearntransformer0", "sklearntransformer1", "sklearntransformer2"]
    assert found.index.equals(frame.index)


def test_a_transformer_gives_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(dict(zip("abcd", X.T, strict=True)))
    estimator = SKLearnTransformer(n_components=2, epochs=2, random_state=0).set_output(transform="polars")
    found = estimator.fit_transform(frame)
    assert isinstance(found, polars.DataFrame)
    np.testing.assert_array_equal(found.to_numpy(), estimator.set_output(transform="default").transform(frame))
    labels = polars.Series(["a", "b"] * 75)
    assert set(SKLearnClassifier(epochs=1).fit(frame, labels).predict(frame)) <= {"a", "b"}


def test_a_transformer_gives_the_outputs_of_a_layer_of_a_module():
    estimator = SKLearnTransformer(module=Net, layer="layers.1", epochs=3, random_state=0).fit(X, Y)
    found = estimator.transform(X)
    inner = estimator.model_.module_viewed.layers
    with torch.no_grad():
        expected = torch.relu(inner[0](torch.from_numpy(X)))
    np.testing.assert_allclose(found, expected.numpy())
    assert list(estimator.get_feature_names_out()) == [f"sklearntransformer{i}" for i in range(4)]
    with pytest.raises(ValueError, match=r"Unknown layer 'layer.1'. Did you mean 'layers.1'"):
        SKLearnTransformer(module=Net, layer="layer.1", epochs=1).fit(X, Y)


def test_the_code_of_an_autoencoder_tells_the_rows_apart():
    estimator = SKLearnTransformer(n_components=2, random_state=0).fit(X)
    assert estimator.loss_curve_[-1] < 0.2  # 1 - R2 of the features
    assert (
        SKLearnRegressor(random_state=0).fit(estimator.transform(X), X[:, 2]).score(estimator.transform(X), X[:, 2])
        > 0.9
    )


@pytest.mark.parametrize("kind", [list, lambda y: np.array(y, object), lambda y: pd.Series(y, dtype=object)])
def test_a_label_that_is_none_is_an_error_with_its_row(kind):
    labels = ["a", "b", None] * 5
    with pytest.raises(ValueError, match="y has no label in 5 of 15 rows, first in row 2: it is None"):
        SKLearnClassifier(epochs=1).fit(X[:15], kind(labels))
    table = np.array([labels, ["c"] * 15], object).T
    with pytest.raises(ValueError, match="first in row 2"):
        SKLearnClassifier(epochs=1).fit(X[:15], table)
