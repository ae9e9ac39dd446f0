"""Nested data: leaf by leaf, never more or fewer than there are; and arrays in any memory order."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.nested import map_structure
from kerastorch.data.arrays import to_tensor


@pytest.mark.parametrize(
    ("data", "other"),
    [
        ([1, 2], [1]),
        ([1], [1, 2]),
        ((1, 2, 3), (1, 2)),
        ({"a": [1, 2]}, {"a": [1]}),
        ([(1, 2), 3], [(1,), 3]),
        ([], [1]),
    ],
)
def test_structures_of_different_lengths_are_refused(data, other):
    with pytest.raises(ValueError, match="zip"):
        map_structure(lambda a, b: (a, b), data, other)


def test_matching_structures_are_mapped_leaf_by_leaf():
    found = map_structure(lambda a, b: a + b, {"x": [1, (2, 3)]}, {"x": [10, (20, 30)]})
    assert found == {"x": [11, (22, 33)]}


@pytest.mark.parametrize("other", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}])
def test_dicts_of_other_keys_are_refused(other):
    with pytest.raises(ValueError, match="keys"):
        map_structure(lambda a, b: (a, b), {"a": 1, "b": 2}, other)


class Changing(nn.Module):
    """Outputs of another structure for each batch: its first number chooses."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        return self.outputs[int(x[0, 0])](x)


def predicted(outputs, **options):
    x = torch.arange(len(outputs), dtype=torch.float32).repeat_interleave(2)[:, None]
    return kt.Model(Changing(outputs)).predict(x, batch_size=2, verbose=0, **options), x.numpy()


@pytest.mark.parametrize(
    "outputs",
    [
        [lambda x: [x], lambda x: [x, x]],
        [lambda x: [x, x], lambda x: [x]],
        [lambda x: {"a": x}, lambda x: {"a": x, "b": x}],
        [lambda x: {"a": x, "b": x}, lambda x: {"a": x}],
        [lambda x: {"a": x, "b": x}, lambda x: {"a": x, "c": x}],
        [lambda x: x, lambda x: {"a": x}],
        [lambda x: {"a": x}, lambda x: x],
        [lambda x: [x, x], lambda x: {"a": x, "b": x}],
    ],
)
def test_predict_refuses_outputs_whose_structure_changes(outputs):
    with pytest.raises(ValueError, match="The outputs of the batches have different structures"):
        predicted(outputs)


def test_predict_goes_by_the_names_of_outputs_not_by_their_order():
    found, x = predicted([lambda x: {"a": x, "b": -x}, lambda x: {"b": -x, "a": x}, lambda x: {"a": x, "b": -x}])
    np.testing.assert_array_equal(found["a"], x)
    np.testing.assert_array_equal(found["b"], -x)


FLIPPED = [axes for n in (1, 2, 3) for axes in itertools.combinations(range(3), n)]


@pytest.mark.parametrize("axes", FLIPPED)
def test_arrays_flipped_along_any_axes_are_taken(axes):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    flipped = np.flip(array, axes)
    assert any(stride < 0 for stride in flipped.strides)
    assert to_tensor(flipped, "x").tolist() == flipped.tolist()


@pytest.mark.parametrize("axes", FLIPPED)
def test_flipped_arrays_are_predicted_and_trained_on_as_their_copies(axes):
    x = np.flip(np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32), axes)
    y = np.flip(np.arange(12, dtype=np.float32).reshape(6, 2), 1)
    found = []
    for given, target in ((x, y), (x.copy(), y.copy())):
        torch.manual_seed(0)
        model = kt.Model(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
        model.compile("sgd", "mse")
        model.fit(given, target, verbose=0, shuffle=False)
        found.append(model.predict(given, verbose=0))
    np.testing.assert_array_equal(*found)
    with torch.no_grad():
        np.testing.assert_allclose(found[0], model(torch.tensor(x.copy())).numpy(), rtol=1e-6)
