"""train_validation_test_split: which rows are in which part, sizes, classes, groups, time, and kinds of data."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt
from kerastorch.model_selection import train_validation_test_split as split

ROWS = np.arange(100)


def parts(*args, **options):
    return [np.asarray(part) for part in split(*args, **options)]


@pytest.mark.parametrize("seed", [0, 7])
def test_the_rows_are_those_that_scikit_learn_draws_in_two_steps(seed):
    y = ROWS % 3
    rest, test = train_test_split(ROWS, test_size=0.2, random_state=seed)
    train, validation = train_test_split(rest, test_size=0.25, random_state=seed)
    found = parts(ROWS, y, seed=seed)
    for got, rows in zip(found[:3], (train, validation, test), strict=True):
        np.testing.assert_array_equal(got, rows)
    for got, rows in zip(found[3:], (train, validation, test), strict=True):
        np.testing.assert_array_equal(got, y[rows])


def test_stratified_rows_are_those_of_scikit_learn():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    rest, test = train_test_split(ROWS, test_size=0.2, stratify=y, random_state=0)
    train, validation = train_test_split(rest, test_size=0.25, stratify=y[rest], random_state=0)
    for given in (True, y, torch.tensor(y), pd.Series(y), np.eye(3)[y], y[:, None], np.array(list("abc"))[y]):
        for got, rows in zip(parts(ROWS, y, stratify=given)[:3], (train, validation, test), strict=True):
            np.testing.assert_array_equal(got, rows)
    assert [np.bincount(y[rows]).tolist() for rows in (train, validation, test)] == [
        [30, 18, 12],
        [10, 6, 4],
        [10, 6, 4],
    ]


@pytest.mark.parametrize(
    ("rows", "validation", "test", "sizes"),
    [
        (100, 0.07, 0.29, [64, 7, 29]),  # both products are a little above the whole number in floats
        (10, 0.15, 0.15, [6, 2, 2]),  # rounded up
        (10, 1, 8, [1, 1, 8]),
        (1797, 0.2, 0.2, [1077, 360, 360]),
        (3, 0.01, 0.01, [1, 1, 1]),
        (100, np.float32(0.2), np.int64(3), [77, 20, 3]),
    ],
)
def test_sizes_are_exact(rows, validation, test, sizes):
    found = parts(np.arange(rows), validation_size=validation, test_size=test)
    assert [len(part) for part in found] == sizes
    assert sorted(np.concatenate(found)) == list(range(rows))


@pytest.mark.parametrize("with_classes", [False, True])
def test_no_group_is_in_two_parts(with_classes):
    random = np.random.default_rng(0)
    groups, y = random.integers(0, 25, 500), random.integers(0, 2, 500)
    x_rows = np.arange(500)
    found = parts(x_rows, groups=groups, stratify=y if with_classes else None)
    train, validation, test = (set(groups[rows]) for rows in found)
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert sorted(np.concatenate(found)) == list(range(500))
    for rows, size in zip(found, (300, 100, 100), strict=True):
        assert abs(len(rows) - size) <= 12
        if with_classes:
            assert abs(y[rows].mean() - y.mean()) < 0.04


def test_groups_of_equal_size_give_exact_sizes():
    groups = np.repeat(np.arange(20), 5)
    assert [len(part) for part in parts(ROWS, groups=groups)] == [60, 20, 20]


def test_groups_may_be_names_and_have_any_order():
    groups = pd.Series([f"patient {number}" for number in ROWS % 4])
    found = parts(ROWS, groups=groups)
    assert sorted(len(part) for part in found) == [25, 25, 50]
    assert sum(len(set(rows % 4)) for rows in found) == 4


def test_by_time_keeps_the_order_and_tests_on_the_last_rows():
    train, validation, test = parts(ROWS, by_time=True)
    np.testing.assert_array_equal(np.concatenate([train, validation, test]), ROWS)
    assert [len(part) for part in (train, validation, test)] == [60, 20, 20]


def test_times_sort_the_rows():
    days = pd.Series(pd.date_range("2024-01-01", periods=100)).sample(frac=1, random_state=0).reset_index(drop=True)
    train, validation, test = split(days, by_time=days)
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert train.is_monotonic_increasing


def test_columns_are_named():
    table = pd.DataFrame({"a": ROWS, "day": ROWS[::-1].copy(), "who": ROWS // 10, "kind": np.where(ROWS % 2, "x", "y")})
    _, _, test = split(table, by_time="day")
    assert test["day"].tolist() == list(range(80, 100))
    found = split(table, ROWS, groups="who", stratify="kind")
    assert sum(part["who"].nunique() for part in found[:3]) == 10
    with pytest.raises(ValueError, match="Unknown column 'whom'"):
        split(table, groups="whom")


def test_each_array_keeps_its_type():
    table = pd.DataFrame({"a": ROWS}, index=ROWS + 1000)
    tensor = torch.arange(100)
    inputs = {"left": ROWS, "right": (tensor, ROWS * 2)}
    texts = [f"text {number}" for number in ROWS]
    sparse = scipy.sparse.coo_array(np.diag(ROWS))
    data = TensorDataset(tensor, tensor)
    found = split(table, tensor, inputs, texts, sparse, data, texts)
    _, _, test = found[:3]
    rows = test["a"].to_numpy()
    assert test.index.tolist() == (rows + 1000).tolist()
    assert torch.equal(found[5], torch.tensor(rows))
    np.testing.assert_array_equal(found[8]["left"], rows)
    assert torch.equal(found[8]["right"][0], torch.tensor(rows))
    np.testing.assert_array_equal(found[8]["right"][1], rows * 2)
    assert found[11] == [f"text {row}" for row in rows]
    np.testing.assert_array_equal(found[14].toarray(), np.diag(ROWS)[rows])
    assert torch.equal(found[17].tensors[1], torch.tensor(rows))


def test_a_dataset_becomes_subsets():
    class Squares(Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return torch.tensor([float(index)]), index**2

    train, validation, test = split(Squares(), by_time=True)
    assert [len(part) for part in (train, validation, test)] == [6, 2, 2]
    assert test[1][1] == 81


def test_the_parts_train_a_model():
    x = torch.randn(50, 3)
    x_train, x_val, x_test, y_train, y_val, y_test = split(x, x.sum(1, keepdim=True))
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x_train, y_train, validation_data=(x_val, y_val), verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0) > 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "pass the arrays"),
        ((ROWS, ROWS[:-1]), {}, "x has 100 rows, y has 99"),
        ((ROWS, ROWS, ROWS[:3]), {}, "x has 100 rows, array 3 has 3"),
        (([],), {}, "x has 0 rows"),
        (
            (ROWS,),
            {"test_size": 1.5},
            "test_size must be a fraction between 0 and 1, or an integer from 1 to 99, got 1.5",
        ),
        ((ROWS,), {"test_size": 0}, "test_size must be"),
        ((ROWS,), {"test_size": True}, "test_size must be"),
        ((ROWS,), {"validation_size": 100}, "validation_size must be"),
        ((ROWS,), {"validation_size": 0.5, "test_size": 0.5}, "rows to train on"),
        ((ROWS,), {"stratify": [0, 0, *[1] * 98]}, "class 0 has 2 rows; stratify needs at least 3"),
        ((ROWS, ROWS % 10), {"stratify": True, "test_size": 9}, "9 test rows cannot hold 10 classes"),
        ((ROWS, np.ones((100, 3))), {"stratify": True}, "stratify needs labels"),
        ((ROWS,), {"stratify": ROWS[:9]}, "x has 100 rows, stratify has 9"),
        ((ROWS,), {"groups": ROWS % 2}, "groups has 2 different groups"),
        ((ROWS,), {"groups": [None, *range(99)]}, "groups is missing in row 0"),
        ((ROWS,), {"by_time": [0.0, np.nan, *range(98)]}, "by_time is missing in row 1"),
        ((ROWS, ROWS % 2), {"by_time": True, "stratify": True}, "cannot be combined with stratify"),
        ((ROWS,), {"by_time": True, "groups": ROWS}, "cannot be combined with groups"),
        ((ROWS,), {"seed": -1}, "seed must be"),
    ],
)
def test_what_cannot_be_split_is_an_error(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        split(*arguments, **options)


def test_what_has_no_rows_is_an_error():
    with pytest.raises(TypeError, match=r"Pass the dataset of the loader, loader\.dataset"):
        split(DataLoader(TensorDataset(torch.arange(10))))
    with pytest.raises(TypeError, match="must have rows"):
        split(iter([1, 2]))


def test_a_part_without_a_class_is_reported():
    y = np.repeat([0, 1], [97, 3])
    with pytest.warns(UserWarning, match="rows have no row of the class 1"):
        split(ROWS, y, stratify=True, validation_size=5, test_size=5)
