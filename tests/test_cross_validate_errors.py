"""What cross_validate refuses, and what its messages say to do."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate

X, Y = np.random.default_rng(0).normal(size=(20, 3)).astype("float32"), np.arange(20) % 2


def build(x, y):
    model = kt.Sequential([layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


@pytest.mark.parametrize(
    ("build_fn", "message"),
    [
        (lambda: build(1, 2), r"build_fn is called as build_fn\(x, y\), with the training rows of a fold"),
        (lambda x: build(1, 2), r"Write def build_fn\(x, y\)"),
        (build(1, 2), "needs a function that builds a new model for each fold"),
        (LogisticRegression(), "needs a function that builds a new model"),
        (LogisticRegression(), r"Estimators and pipelines go to sklearn\.model_selection\.cross_validate\.$"),
        ("model", "needs a function"),
        (lambda x, y: None, r"must return a compiled model, got None\. Does it end with return model\?"),
        (lambda x, y: nn.Linear(3, 1), "Wrap the module: model = kt.Model"),
        (lambda x, y: (build(x, y), 3), r"may return \(model, transform\)"),
        (lambda x, y: (build(x, y), 3, 4), "must return a compiled model, got"),
    ],
)
def test_what_does_not_build_a_compiled_model_is_an_error(build_fn, message):
    with pytest.raises(TypeError, match=message):
        cross_validate(build_fn, X, Y, verbose=0)


def test_a_model_that_is_not_compiled_is_an_error():
    with pytest.raises(ValueError, match="not compiled"):
        cross_validate(lambda x, y: kt.Sequential([layers.Dense(1)]), X, Y, verbose=0)


def test_a_model_or_a_weight_of_another_fold_is_an_error():
    model, layer = build(1, 2), layers.Dense(4)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="returned the same model before"):
        cross_validate(lambda x, y: model, X, Y, verbose=0)

    def shared(x, y):
        found = kt.Sequential([layer, layers.Dense(1, "sigmoid")])
        found.compile("sgd", "binary_crossentropy")
        return found

    with pytest.raises(ValueError, match="a model with weights that it has returned before"):
        cross_validate(shared, X, Y, verbose=0)


def test_freed_models_are_no_models_of_another_fold():
    def large(x, y):
        model = kt.Sequential([kt.Input((3,)), layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        return model

    assert len(cross_validate(large, X, Y, cv=20, stratify=False, verbose=0).folds) == 20


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epoch": 3}, TypeError, r"no argument 'epoch', nor has fit\(\). Did you mean 'epochs'?"),
        ({"scoring": "f1"}, TypeError, "Its name is metrics"),
        ({"validation_data": (X, Y)}, TypeError, "takes no validation_data. The held-out rows of each fold"),
        ({"n_jobs": 2}, TypeError, "no argument 'n_jobs'"),
        ({"sample_weight": np.ones(19)}, ValueError, "x has 20 rows, sample_weight has 19"),
        ({"callbacks": [kt.callbacks.EarlyStopping]}, TypeError, "callbacks must be callback instances"),
        ({"callbacks": kt.callbacks.CSVLogger("log.csv")}, ValueError, r"callbacks=lambda fold: \[CSVLogger"),
        ({"callbacks": kt.callbacks.BackupAndRestore("folder")}, ValueError, "pass resume='folder'"),
        ({"verbose": 3}, ValueError, "verbose must be 0, 1, 2 or 'auto'"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
        ({"stratify": Y[:5]}, ValueError, "x has 20 rows, stratify has 5"),
    ],
)
def test_wrong_arguments_are_errors_before_training(arguments, error, message):
    def never(x, y):
        raise AssertionError("a model was built")

    with pytest.raises(error, match=message):
        cross_validate(never, X, Y, **{"verbose": 0, **arguments})


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.utils.data.DataLoader([1, 2]), TypeError, r"loader\.dataset"),
        (iter([1]), TypeError, "x must have rows that can be selected"),
        (X[:19], ValueError, "x has 19 rows, y has 20"),
        ({"a": X, "b": X[:3]}, ValueError, r"x\['a'\] has 20 rows, x\['b'\] has 3"),
        (None, ValueError, "x must be given"),
    ],
)
def test_what_has_no_rows_to_select_is_an_error(x, error, message):
    with pytest.raises(error, match=message):
        cross_validate(build, x, Y, verbose=0)


def test_outputs_that_differ_between_folds_are_an_error():
    def counts_its_classes(x, y):
        model = kt.Sequential([layers.Dense(len(np.unique(y)), "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    y = np.array([2] + [0, 1] * 10)[:20]
    with pytest.raises(ValueError, match="number of classes of all rows"):
        cross_validate(
            counts_its_classes, X, y, cv=[(range(10), range(10, 20)), (range(10, 20), range(1, 10))], verbose=0
        )


@pytest.mark.parametrize("options", [{}, {"together": False}, {"validation_split": 0.25, "validation_shuffle": True}])
def test_nan_in_a_training_row_is_reported_with_its_number_in_all_rows(options):
    x = X.copy()
    x[17, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"x has 1 NaN values among the training rows of fold 1, first at row 17, column 1"
    ):
        cross_validate(build, x, Y, cv=[(range(5, 20), range(5))], verbose=0, **options)
    with pytest.raises(ValueError, match=r"among the training rows of fold 2, first at row 17"):
        cross_validate(build, x, Y, cv=[(range(10), range(10, 15)), (range(10, 20), range(10))], verbose=0, **options)


@pytest.mark.parametrize("options", [{}, {"held_out_curves": True}])
def test_nan_in_a_held_out_row_is_reported_with_its_number_in_all_rows(options):
    y = Y.astype("float32")
    y[13] = np.inf
    with pytest.raises(
        ValueError, match=r"y has 1 infinite values among the held-out rows of fold 1, first at row 13\."
    ):
        cross_validate(build, X, y, cv=[(range(10), range(10, 20))], stratify=False, verbose=0, **options)


@pytest.mark.parametrize(
    ("transform", "error", "message"),
    [
        (lambda x: x[1:], ValueError, "gives 9 rows for 10"),
        (lambda x: None, ValueError, "gives None"),
        (
            StandardScaler().fit_transform,
            TypeError,
            r"would be fitted to the held-out rows.*return model, scaler\.fit\(x\)",
        ),
    ],
)
def test_a_transform_that_drops_rows_or_is_fitted_again_is_an_error(transform, error, message):
    with pytest.raises(error, match=message):
        cross_validate(lambda x, y: (build(x, y), transform), X, Y, cv=2, verbose=0)


def test_a_misspelt_column_of_groups_is_an_error_with_the_nearest_name():
    table = pd.DataFrame(X, columns=["age", "size", "patient"])
    with pytest.raises(ValueError, match=r"Unknown column 'patint'\..* Did you mean 'patient'\?"):
        cross_validate(build, table, Y, groups="patint", verbose=0)
