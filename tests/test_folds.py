"""The folds of cross-validation: those of scikit-learn's splitters, and what is no division of rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import model_selection as sk

from kerastorch.model_selection.folds import divide

ROWS = 60
RANDOM = np.random.default_rng(0)
CLASSES = RANDOM.permutation(np.repeat([0, 1, 2], [30, 20, 10]))
VALUES = RANDOM.normal(size=ROWS)
GROUPS = RANDOM.integers(0, 12, ROWS)


def pairs(cv, y=VALUES, **options):
    return [(fold.train, fold.test) for fold in divide(cv, ROWS, y=y, **options).folds]


def check_equal(found, expected):
    expected = list(expected)
    assert len(found) == len(expected)
    for (train, test), (other_train, other_test) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(train, other_train)
        np.testing.assert_array_equal(test, other_test)


X = np.zeros((ROWS, 1))


def test_a_number_is_a_shuffled_k_fold():
    check_equal(pairs(5), sk.KFold(5, shuffle=True, random_state=0).split(X))
    check_equal(pairs(4, seed=7), sk.KFold(4, shuffle=True, random_state=7).split(X))


@pytest.mark.parametrize(
    "y",
    [CLASSES, CLASSES.astype(float), torch.tensor(CLASSES), np.eye(3)[CLASSES], CLASSES[:, None], pd.Series(CLASSES)],
    ids=["int", "float", "tensor", "one-hot", "column", "series"],
)
def test_class_labels_are_stratified(y):
    expected = sk.StratifiedKFold(5, shuffle=True, random_state=3).split(X, CLASSES)
    check_equal(pairs(5, y, seed=3), expected)


def test_stratification_can_be_switched_off_and_on():
    check_equal(pairs(5, CLASSES, stratify=False), sk.KFold(5, shuffle=True, random_state=0).split(X))
    expected = list(sk.StratifiedKFold(5, shuffle=True, random_state=0).split(X, CLASSES))
    check_equal(pairs(5, VALUES, stratify=CLASSES), expected)
    check_equal(pairs(5, CLASSES, stratify=True), expected)


@pytest.mark.parametrize("y", [VALUES, np.arange(ROWS), None, np.zeros((ROWS, 2)), {"a": CLASSES, "b": VALUES}])
def test_other_targets_are_not_stratified(y):
    check_equal(pairs(5, y), sk.KFold(5, shuffle=True, random_state=0).split(X))


def test_repeats_are_those_of_scikit_learn():
    check_equal(pairs(5, repeats=3, seed=2), sk.RepeatedKFold(n_splits=5, n_repeats=3, random_state=2).split(X))
    stratified = sk.RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=2)
    check_equal(pairs(5, CLASSES, repeats=2, seed=2), stratified.split(X, CLASSES))
    check_equal(pairs(5, repeats=3)[:5], pairs(5))


def test_groups_are_those_of_scikit_learn():
    check_equal(pairs(4, groups=GROUPS), sk.GroupKFold(4).split(X, VALUES, GROUPS))
    check_equal(pairs(4, CLASSES, groups=GROUPS), sk.GroupKFold(4).split(X, CLASSES, GROUPS))
    both = sk.StratifiedGroupKFold(4, shuffle=True, random_state=1)
    check_equal(pairs(4, CLASSES, groups=GROUPS, stratify=True, seed=1), both.split(X, CLASSES, GROUPS))


@pytest.mark.parametrize("stratify", [None, True])
def test_repeated_groups_differ_and_stay_together(stratify):
    found = pairs(3, CLASSES, groups=GROUPS, stratify=stratify, repeats=2)
    assert len(found) == 6
    for train, test in found:
        assert not set(GROUPS[train]) & set(GROUPS[test])
    for repeat in (found[:3], found[3:]):
        assert sorted(np.concatenate([test for _, test in repeat])) == list(range(ROWS))
    assert {tuple(test) for _, test in found[:3]} != {tuple(test) for _, test in found[3:]}


@pytest.mark.parametrize(
    "splitter",
    [
        sk.KFold(3),
        sk.StratifiedKFold(3),
        sk.GroupKFold(3),
        sk.LeaveOneGroupOut(),
        sk.TimeSeriesSplit(4),
        sk.LeaveOneOut(),
        sk.RepeatedKFold(n_splits=3, n_repeats=2, random_state=1),
        sk.ShuffleSplit(3, random_state=1),
        sk.PredefinedSplit(np.arange(ROWS) % 3 - 1),
    ],
    ids=lambda splitter: type(splitter).__name__,
)
def test_splitters_give_their_folds(splitter):
    needs_groups = "Group" in type(splitter).__name__
    expected = splitter.split(X, CLASSES, GROUPS if needs_groups else None)
    check_equal(pairs(splitter, CLASSES, groups=GROUPS if needs_groups else None), expected)


def test_pairs_of_rows_or_masks_are_used_as_they_are():
    given = [(np.arange(10), np.arange(10, 20)), ([5, 4], [1])]
    check_equal(pairs(given), given)
    check_equal(pairs(iter(given)), given)
    mask = np.arange(ROWS) < 40
    check_equal(pairs([(mask, ~mask)]), [(np.arange(40), np.arange(40, 60))])


@pytest.mark.parametrize(
    ("cv", "options", "message"),
    [
        (1, {}, "cv must be an integer >= 2, got 1"),
        (61, {}, "cv=61 folds need at least 61 rows, x has 60"),
        (13, {"groups": GROUPS}, "cv=13 folds need at least 13 groups"),
        (12, {"stratify": CLASSES}, "class 2 has 10 rows, fewer than cv=12 folds"),
        (5, {"stratify": True}, "class .* has 1 row, fewer than cv=5 folds"),
        (5, {"stratify": np.ones((ROWS, 2))}, "stratify needs one class for each row, got an array"),
        (5, {"groups": GROUPS[:9]}, "x has 60 rows, groups has 9"),
        (5, {"repeats": 0}, "repeats must be"),
        (sk.KFold(5), {"repeats": 2}, "repeats is for a number of folds"),
        (sk.KFold(5), {"stratify": CLASSES}, "stratify has no effect on KFold"),
        (sk.KFold(5, shuffle=True, random_state=0), {"groups": GROUPS}, "rows of the group .* on both sides"),
        (sk.GroupKFold(5), {}, "cv=GroupKFold"),
        ([(np.arange(10), np.arange(9, 12))], {}, "trains on 1 rows that it holds out, such as row 9"),
        ([(np.arange(10), [60])], {}, "held-out row 60, x has 60 rows"),
        ([(np.arange(10), [-1])], {}, "held-out row -1"),
        ([(np.arange(10), [])], {}, "has no held-out rows"),
        ([(np.arange(10), [20, 20])], {}, "holds out a row twice"),
        ([(np.arange(10), [0.5])], {}, "must be numbers of rows"),
        ([np.arange(10)], {}, "must be a pair"),
        ([], {}, "gives no division"),
    ],
)
def test_impossible_folds_are_errors(cv, options, message):
    with pytest.raises(ValueError, match=message):
        divide(cv, ROWS, y=VALUES, **options)


@pytest.mark.parametrize("cv", ["5", 2.5, True, None])
def test_something_else_is_an_error(cv):
    with pytest.raises(TypeError, match="cv must be a number of folds"):
        divide(cv, ROWS, y=VALUES)


def test_columns_of_a_table_are_groups_and_classes():
    table = pd.DataFrame({"who": [f"p{group}" for group in GROUPS], "kind": CLASSES})
    check_equal(pairs(4, x=table, groups="who"), sk.GroupKFold(4).split(X, VALUES, table["who"]))
    check_equal(
        pairs(4, x=table, stratify="kind"), sk.StratifiedKFold(4, shuffle=True, random_state=0).split(X, CLASSES)
    )
    with pytest.raises(ValueError, match="Unknown column 'whom'"):
        pairs(4, x=table, groups="whom")


def test_bins_of_values_stratify():
    bins = pd.qcut(pd.Series(VALUES), 3)
    expected = sk.StratifiedKFold(4, shuffle=True, random_state=0).split(X, bins.cat.codes)
    check_equal(pairs(4, stratify=bins), expected)


def test_the_class_of_a_splitter_is_an_error():
    with pytest.raises(TypeError, match=r"pass KFold\(...\)"):
        pairs(sk.KFold)
