"""Splitting arrays and datasets in two, beside Keras' own parts."""

import json
import pathlib

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

import kerastorch as kt

split = kt.utils.split_dataset
VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())["splits"]


class Squares(Dataset):
    def __len__(self):
        return 13

    def __getitem__(self, index):
        return index, index**2


@pytest.mark.parametrize("case", VALUES, ids=lambda case: str(case["options"]))
def test_parts_are_those_of_keras(case):
    for data in (np.arange(13), torch.arange(13), [np.arange(13)], (torch.arange(13), np.arange(13) * 2)):
        left, right = split(data, **case["options"])
        assert isinstance(left, TensorDataset)
        assert left.tensors[0].tolist() == case["left"]
        assert right.tensors[0].tolist() == case["right"]
        assert len(left.tensors) == (2 if isinstance(data, tuple) else 1)
        assert all(left.tensors[-1] == left.tensors[0] * len(left.tensors))
    left, right = split(Squares(), **case["options"])
    assert isinstance(left, Subset)
    assert [item[0] for item in left] == case["left"]
    assert list(right) == [(row, row**2) for row in case["right"]]


def test_arrays_are_not_copied_unless_they_are_shuffled():
    x = np.arange(10.0)
    left, right = split((x, np.arange(10)), left_size=0.6)
    x[[1, 8]] = -1
    assert left[1][0] == right[2][0] == -1


def test_parts_train_and_validate_with_the_dtypes_of_the_arrays():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    training, validation = split((x, y), left_size=0.75, shuffle=True, seed=1)
    assert training.tensors[0].dtype == torch.float64
    assert training.tensors[1].dtype == torch.int64
    model = kt.Sequential([kt.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert len(model.fit(training, validation_data=validation, verbose=0).history["val_loss"]) == 1


def test_a_batched_dataset_is_split_into_two_of_them():
    dataset = kt.utils.timeseries_dataset_from_array(np.arange(13), None, 1, batch_size=4)
    left, right = split(dataset, right_size=3)
    assert type(left) is type(right) is type(dataset)
    assert left.batch_size == 4
    assert [x.flatten().tolist() for x in right] == [[10, 11, 12]]


def test_without_a_seed_the_parts_follow_the_seed_of_torch():
    def rows(seed):
        kt.utils.set_random_seed(seed)
        return split(np.arange(30), 0.5, shuffle=True)[0].tensors[0].tolist()

    assert rows(1) == rows(1) != rows(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs left_size or right_size"),
        ({"left_size": 0}, "left_size must be an integer >= 1, got 0. A float between 0 and 1 is a fraction"),
        ({"left_size": 13}, "left_size must be an integer below the number of samples, 13"),
        ({"right_size": 1.5}, "right_size must be a finite number > 0 and < 1"),
        ({"left_size": 0.8, "right_size": 0.3}, "at most 1"),
        ({"left_size": 8, "right_size": 6}, "13 samples cannot be split into 8 and 6"),
        ({"left_size": 0.01}, "13 samples cannot be split into 0 and 13"),
        ({"left_size": True}, "left_size must be an integer"),
        ({"left_size": "half"}, "left_size must be an integer"),
        ({"left_size": 0.5, "preferred_backend": "mxnet"}, "Unknown preferred_backend"),
    ],
)
def test_wrong_sizes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        split(np.arange(13), **options)


def test_what_cannot_be_split_is_named():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    with pytest.raises(TypeError, match="a dataset with a length, got Stream"):
        split(Stream(), 0.5)
    with pytest.raises(TypeError, match=r"takes an array.* got list with int"):
        split([1, 2, 3], 0.5)
    with pytest.raises(TypeError, match="got dict"):
        split({"x": np.arange(3)}, 0.5)
    with pytest.raises(ValueError, match="empty list"):
        split([], 0.5)
    with pytest.raises(ValueError, match=r"different lengths: \[3, 4\]"):
        split((np.arange(3), np.arange(4)), 0.5)
