"""Cross-validation and splits of tables and datasets of polars, pyarrow, Hugging Face and h5py."""

import numpy as np
import pytest

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_selection import cross_validate, learning_curve, train_validation_test_split

h5py = pytest.importorskip("h5py")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
Dataset = pytest.importorskip("datasets").Dataset

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
COLUMNS = dict(zip("abc", X.T, strict=True))


def build(x, y):
    model = kt.Sequential([layers.Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def expected():
    return cross_validate(build, X, Y, cv=4, verbose=0, epochs=2)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (polars.DataFrame(COLUMNS), polars.Series(Y)),
        (pyarrow.table(COLUMNS), pyarrow.array(Y)),
        (X, Dataset.from_dict({"y": Y})["y"]),
    ],
    ids=["polars", "pyarrow", "column"],
)
def test_tables_give_the_numbers_of_arrays(expected, x, y):
    seen = []

    def recording(x, y):
        seen.append(type(x))
        return build(x, y)

    found = cross_validate(recording, x, y, cv=4, verbose=0, epochs=2, metrics="roc_auc")
    assert set(seen) == {type(x)}
    assert found.splitter == expected.splitter
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:a batch is a dict")
def test_a_dataset_of_hugging_face(expected):
    data = Dataset.from_dict({"x": X, "labels": Y}).with_format("torch")
    found = cross_validate(build, data, cv=[(fold.train, fold.test) for fold in expected.folds], verbose=0, epochs=2)
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-4)


def test_an_array_in_a_file(expected, tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = X
        found = cross_validate(build, file["x"], Y, cv=4, verbose=0, epochs=2)
        parts = train_validation_test_split(file["x"], Y, stratify=True)
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5)
    for part, rows in zip(parts[:3], train_validation_test_split(X, Y, stratify=True)[:3], strict=True):
        np.testing.assert_array_equal(part, rows)


def test_columns_of_polars_and_pyarrow_have_names():
    for table in (
        polars.DataFrame({**COLUMNS, "who": np.arange(40) // 4}),
        pyarrow.table({**COLUMNS, "who": np.arange(40) // 4}),
    ):
        train, validation, test = train_validation_test_split(table, groups="who")
        people = [set(np.asarray(part["who"]).tolist()) for part in (train, validation, test)]
        assert sum(map(len, people)) == len(set.union(*people)) == 10
        assert type(test) is type(table)


def test_a_learning_curve_of_a_table(expected):
    curve = learning_curve(build, polars.DataFrame(COLUMNS), Y, [10, 30], cv=4, verbose=0, epochs=2)
    arrays = learning_curve(build, X, Y, [10, 30], cv=4, verbose=0, epochs=2)
    np.testing.assert_allclose(curve.test_scores["loss"], arrays.test_scores["loss"], rtol=1e-5)
