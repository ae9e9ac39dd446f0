"""Queries of polars, LazyFrames: each method that takes data says to collect them first."""

import numpy as np
import pytest

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate, train_validation_test_split
from kerastorch.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

polars = pytest.importorskip("polars")

X = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
TABLE = polars.DataFrame(X, schema=["a", "b", "c"])
QUERY, LABELS = TABLE.lazy(), polars.DataFrame({"y": Y}).lazy()


def build(x=None, y=None):
    model = kt.Sequential([layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


ACTS = {
    "fit": (lambda: build().fit(QUERY, Y), "x"),
    "fit, y": (lambda: build().fit(TABLE, LABELS), "y"),
    "fit, weights": (lambda: build().fit(TABLE, Y, sample_weight=LABELS), "sample_weight"),
    "fit, validation": (lambda: build().fit(TABLE, Y, validation_data=(QUERY, Y)), "validation x"),
    "fit, dict": (lambda: build().fit({"a": QUERY}, Y), r"x\['a'\]"),
    "fit, list": (lambda: build().fit([QUERY], Y), "x"),
    "evaluate": (lambda: build().evaluate(QUERY, Y), "x"),
    "evaluate, y": (lambda: build().evaluate(TABLE, LABELS), "y"),
    "predict": (lambda: build().predict(QUERY), "x"),
    "train_on_batch": (lambda: build().train_on_batch(QUERY, Y), "x"),
    "predict_on_batch": (lambda: build().predict_on_batch(QUERY), "x"),
    "adapt": (lambda: layers.Normalization().adapt(QUERY), "data"),
    "cross_validate": (lambda: cross_validate(build, QUERY, Y), "x"),
    "cross_validate, y": (lambda: cross_validate(build, TABLE, LABELS), "y"),
    "cross_validate, groups": (lambda: cross_validate(build, TABLE, Y, groups=LABELS), "groups"),
    "split": (lambda: train_validation_test_split(QUERY, Y), "x"),
    "classifier": (lambda: SKLearnClassifier().fit(QUERY, Y), "X"),
    "classifier, y": (lambda: SKLearnClassifier().fit(TABLE, LABELS), "y"),
    "regressor, y": (lambda: SKLearnRegressor().fit(TABLE, LABELS), "y"),
    "transformer": (lambda: SKLearnTransformer().fit(QUERY), "X"),
    "classifier, predict": (lambda: SKLearnClassifier(epochs=1).fit(TABLE, Y).predict(QUERY), "X"),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_query_is_an_error_that_says_to_collect_it(act):
    function, name = ACTS[act]
    with pytest.raises(
        TypeError, match=rf"^{name} is a LazyFrame, whose rows are not read yet\. Pass {name}\.collect\(\)"
    ):
        function()
