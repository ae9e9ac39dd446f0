"""Estimators of scikit-learn with frames and columns of polars."""

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

polars = pytest.importorskip("polars")

X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names[Y]
FRAME = polars.DataFrame(dict(zip("abcd", X.T, strict=True)))


def classifier(epochs=15):
    return SKLearnClassifier(epochs=epochs, random_state=0)


def test_a_transformer_gives_frames_of_polars():
    estimator = SKLearnTransformer(n_components=2, epochs=2, random_state=0).set_output(transform="polars")
    found = estimator.fit_transform(FRAME)
    assert isinstance(found, polars.DataFrame)
    assert found.columns == ["sklearntransformer0", "sklearntransformer1"]
    np.testing.assert_array_equal(found.to_numpy(), estimator.set_output(transform="default").transform(FRAME))


def test_pipelines_and_column_transformers_give_frames_of_polars():
    code = SKLearnTransformer(n_components=2, epochs=2, random_state=0)
    found = make_pipeline(StandardScaler(), code).set_output(transform="polars").fit_transform(FRAME)
    assert isinstance(found, polars.DataFrame)
    table = FRAME.with_columns(polars.Series("city", np.where(X[:, 0] > 5.5, "x", "y")))
    parts = [("code", code, ["a", "b"]), ("kind", OneHotEncoder(sparse_output=False), ["city"])]
    found = ColumnTransformer(parts).set_output(transform="polars").fit_transform(table)
    expected = ["code__sklearntransformer0", "code__sklearntransformer1", "kind__city_x", "kind__city_y"]
    assert found.columns == expected


@pytest.mark.parametrize(
    "dtype", [polars.String, polars.Categorical, polars.Enum(["virginica", "setosa", "versicolor"])]
)
def test_labels_of_polars_come_back(dtype):
    estimator = classifier().fit(FRAME, polars.Series("kind", NAMES).cast(dtype))
    assert list(estimator.classes_) == ["setosa", "versicolor", "virginica"]
    assert list(estimator.feature_names_in_) == list("abcd")
    from_arrays = classifier().fit(X, NAMES)
    np.testing.assert_allclose(estimator.predict_proba(FRAME), from_arrays.predict_proba(X), atol=1e-6)
    assert estimator.score(FRAME, NAMES) > 0.85


def test_columns_of_polars_in_another_order_are_an_error():
    estimator = classifier(1).fit(FRAME, NAMES)
    with pytest.raises(ValueError, match="same order as they were in fit"):
        estimator.predict(FRAME.select("b", "a", "c", "d"))


def test_a_frame_of_polars_holds_several_targets():
    estimator = SKLearnRegressor(epochs=20, random_state=0).fit(FRAME.select("a", "b"), FRAME.select("c", "d"))
    from_arrays = SKLearnRegressor(epochs=20, random_state=0).fit(X[:, :2], X[:, 2:])
    found = estimator.predict(FRAME.select("a", "b"))
    np.testing.assert_allclose(found, from_arrays.predict(X[:, :2]), atol=1e-6)
    assert estimator.score(FRAME.select("a", "b"), X[:, 2:]) > 0.7
