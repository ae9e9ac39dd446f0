"""A validation_split whose two parts are unlike is told; one that is unlike by chance is not."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import kerastorch as kt
from kerastorch.data.validation_split import warn_of_unlike_parts


def said(y, split=0.2, x=None, **how):
    """The warnings of a fit on targets `y`."""
    n = len(y)
    columns = 1 if np.ndim(y) == 1 else np.shape(y)[1]
    model = kt.Model(nn.Linear(2, columns))
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(n, 2)).astype("float32") if x is None else x
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.fit(x, None if isinstance(x, Dataset) else y, validation_split=split, verbose=0, **how)
    return [str(one.message) for one in found if "validation" in str(one.message)]


def two_classes(n=100):
    return np.repeat([0, 1], n // 2)


SORTED = {
    "int": two_classes(),
    "bool": two_classes() > 0,
    "column": two_classes()[:, None],
    "float": two_classes().astype("float32"),
    "one-hot": np.eye(2, dtype="float32")[two_classes()],
    "tensor": torch.tensor(two_classes()),
    "values": np.linspace(0, 1, 100) ** 2,
    "column of values": np.linspace(5, 1, 60)[:, None],
    "whole values": np.arange(200),
    "two columns": np.stack([np.random.default_rng(0).normal(size=80), np.linspace(0, 1, 80)], 1),
}


@pytest.mark.parametrize("kind", SORTED)
def test_sorted_targets_are_told_once_with_the_cure(kind):
    y = SORTED[kind].float() if kind == "tensor" else SORTED[kind]
    (sentence,) = said(y.astype("float32") if kind == "bool" else y, epochs=2)
    assert "Pass validation_shuffle=True" in sentence
    assert "total variation" in sentence
    assert said(y, validation_shuffle=True) == []


def test_the_distance_told_is_the_total_variation():
    y = np.repeat([0.0, 1.0, 2.0], 30)
    (sentence,) = said(y)  # the last 18 are of class 2; of the 72 others 12 are
    assert f"total variation {1 - 12 / 72:.2f}" in sentence
    low, high = np.sort(np.random.default_rng(0).normal(size=90))[[29, 59]]
    values = np.sort(np.random.default_rng(0).normal(size=90))
    assert ((values > low) & (values <= high)).sum() == 30
    (sentence,) = said(values)
    assert f"total variation {1 - 12 / 72:.2f}" in sentence


@pytest.mark.parametrize("make", [TensorDataset, None])
def test_a_dataset_with_sorted_targets_is_told(make):
    class Rows(Dataset):
        def __init__(self, x, y):
            self.x, self.targets = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, index):
            return self.x[index], self.targets[index]

    y = torch.tensor(two_classes()).float()
    assert len(said(y, x=(make or Rows)(torch.randn(100, 2), y))) == 1


def test_several_outputs_are_looked_at_one_by_one():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    model = kt.Model(Two())
    model.compile("sgd", {"a": "mse", "b": "mse"})
    x = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
    y = {"a": x[:, 0], "b": np.linspace(0, 1, 60).astype("float32")}
    with pytest.warns(UserWarning, match=r"values of y\['b'\] are unlike"):
        model.fit(x, y, validation_split=0.2, verbose=0)


def test_classes_never_seen_are_told_alone():
    for y in (np.repeat([0, 1, 2], 20), np.eye(3, dtype="float32")[np.repeat([0, 1, 2], 20)]):
        (sentence,) = said(y, split=0.4)
        assert "classes never seen in training: {2}" in sentence


@pytest.mark.parametrize(
    ("n", "split"), [(10, 0.2), (10, 0.1), (15, 0.2), (30, 0.1), (100, 0.02), (100, 0.2), (1000, 0.1)]
)
@pytest.mark.parametrize("kinds", [2, 3, 10, None])
def test_random_rows_are_hardly_ever_told(n, split, kinds):
    alarms = 0
    for seed in range(100):
        drawn = np.random.default_rng(seed)
        y = torch.tensor(drawn.normal(size=n) if kinds is None else drawn.integers(0, kinds, n))
        rows = torch.arange(n)
        at = int(n * (1 - split))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            warn_of_unlike_parts(y, rows[:at], rows[at:], is_unshuffled=True)
        alarms += any("sorted" in str(one.message) for one in found)
    assert alarms <= 3


def test_many_classes_with_fewer_validation_rows_are_no_alarm():
    y = np.random.default_rng(0).permutation(np.arange(400) % 100)
    assert not [sentence for sentence in said(y, split=0.1) if "sorted" in sentence]


def test_text_and_targets_of_a_datasets_own_are_passed_over():
    class Rows(Dataset):
        targets = ["a", "b"] * 20

        def __len__(self):
            return 40

        def __getitem__(self, index):
            return torch.zeros(2), torch.zeros(1)

    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    model.fit(Rows(), validation_split=0.2, verbose=0)


def test_the_warning_moves_no_random_state():
    np.random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy()
    assert len(said(two_classes().astype("float32"), validation_seed=None)) == 1
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("targets", [[3, 4], [0.3, 0.4], 5])
def test_targets_of_another_length_are_passed_over(targets):
    class Rows(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            return torch.zeros(2), torch.zeros(1)

    rows = Rows()
    rows.targets = targets
    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    model.fit(rows, validation_split=0.2, verbose=0)


def test_sorted_targets_of_16_bits_are_told():
    assert any("sorted" in sentence for sentence in said(torch.linspace(0, 1, 100).bfloat16()))
