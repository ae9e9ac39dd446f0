"""What layers learn from data, how it is kept, and what they say to what they cannot take."""

import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from kerastorch import Input, Sequential
from kerastorch.layers import (
    CategoryEncoding,
    CenterCrop,
    Dense,
    Discretization,
    IntegerLookup,
    Normalization,
    Rescaling,
    Resizing,
    StringLookup,
    TextVectorization,
)


def _numbers(*shape):
    return np.random.default_rng(1).normal(3, 5, shape)


def _reloaded(state):
    """A state as a file that is read without running code gives it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# --- Normalization ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (2, 1), None, (0, -1)])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_learns_mean_and_variance_of_what_lies_along_its_axes(axis, invert):
    x = _numbers(20, 4, 3)
    layer = Normalization(axis, invert=invert)
    layer.adapt(x)
    kept = [] if axis is None else [one % 3 for one in np.atleast_1d(axis)]
    over = tuple(one for one in range(3) if one not in kept)
    mean, deviation = x.mean(over, keepdims=True), x.std(over, keepdims=True)
    expected = x * deviation + mean if invert else (x - mean) / deviation
    torch.testing.assert_close(layer(torch.tensor(x)), torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "pieces",
    [
        lambda x: DataLoader(TensorDataset(torch.tensor(x), torch.zeros(len(x))), batch_size=7),
        lambda x: (x[at : at + 3] for at in range(0, len(x), 3)),
        lambda x: [x[:1], x[1:]],
        lambda x: [(x[:5], None), (x[5:], None)],
        lambda x: x.tolist(),
        torch.tensor,
    ],
    ids=["loader", "generator", "arrays", "pairs", "lists", "tensor"],
)
def test_normalization_learns_the_same_from_data_in_any_form(pieces):
    x = _numbers(50, 4)
    layer = Normalization()
    layer.adapt(pieces(x))
    torch.testing.assert_close(layer.mean, torch.tensor(x.mean(0)).float())
    torch.testing.assert_close(layer.variance, torch.tensor(x.var(0)).float())


def test_normalization_does_not_lose_a_small_variance_to_a_large_mean():
    x = 1e8 + _numbers(1000, 2)
    layer = Normalization()
    layer.adapt(x[at : at + 10] for at in range(0, 1000, 10))
    torch.testing.assert_close(layer.variance, torch.tensor(x.var(0)).float(), rtol=1e-4, atol=0)


def test_a_feature_without_variance_is_not_divided_by_zero():
    layer = Normalization()
    layer.adapt([[2.0], [2.0]])
    assert layer(torch.tensor([[2.0]])) == 0


def test_adapting_again_forgets_what_was_learned():
    layer = Normalization()
    layer.adapt(_numbers(9, 4))
    layer.adapt([[1.0, 2.0], [3.0, 6.0]])
    assert layer.mean.tolist() == [2, 4]


def test_integers_are_normalized_as_numbers():
    layer = Normalization(None, 2.0, 4.0)
    assert layer(torch.tensor([4, 2])).tolist() == [1, 0]


def test_what_is_given_is_made_again_from_the_config():
    layer = Normalization((1, 2), np.ones((2, 3)), np.ones((2, 3)))
    again = Normalization.from_config(layer.get_config())
    assert torch.equal(again.mean, layer.mean)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Normalization(mean=1.0), "mean and variance go together"),
        (lambda: Normalization(mean=[1.0], variance=[1.0, 2.0]), r"mean has shape \(1,\), variance \(2,\)"),
        (lambda: Normalization(None, [1.0], [1.0]), "mean has 1 axes, more than there are in axis=None"),
        (lambda: Normalization(mean=1.0, variance=-1.0), "variance finite and >= 0"),
        (lambda: Normalization("features"), "axis must be an integer"),
        (lambda: Normalization()(torch.zeros(2, 3)), r"has not seen any data. Call adapt\(data\) first"),
        (lambda: Normalization(5, 1.0, 1.0)(torch.zeros(2, 3)), "axis=5, the input has 2 axes"),
        (
            lambda: Normalization(mean=[1.0, 2], variance=[1.0, 2])(torch.zeros(2, 3)),
            r"has 2 means along axis 1, the input has shape \(2, 3\)",
        ),
        (lambda: Normalization(mean=1.0, variance=1.0).adapt(np.ones((2, 3))), "was made with a mean"),
        (lambda: Normalization().adapt([]), "without any numbers"),
        (lambda: Normalization().adapt(iter([])), "given no data"),
        (lambda: Normalization().adapt(["a"]), "takes numbers"),
        (lambda: Normalization().adapt([np.ones((2, 3)), np.ones((2, 4))]), r"size \(3,\) and of size \(4,\)"),
        (lambda: Rescaling("big"), "scale must be a finite number"),
        (lambda: Rescaling([1.0, 2.0])(torch.zeros(5, 3)), "2 numbers for the channels"),
        (lambda: Discretization(), "give one of bin_boundaries"),
        (lambda: Discretization([2.0, 1.0]), "each larger than the one before"),
        (lambda: Discretization([1.0], output_mode="bins"), "Unknown output_mode 'bins'"),
        (lambda: Discretization([1.0], sparse=True), "sparse must be False"),
        (lambda: Discretization([1.0]).adapt([1.0]), "was made with bin_boundaries"),
        (lambda: Discretization(num_bins=2)(torch.zeros(2)), "has not seen any data"),
        (lambda: Discretization(num_bins=2).adapt([1.0]), "needs more than one number"),
        (lambda: CategoryEncoding(), "num_tokens must be an integer >= 1"),
        (lambda: CategoryEncoding(3)(torch.tensor([[0, 3]])), "takes numbers from 0 to 2, got 3"),
        (lambda: CategoryEncoding(3)(torch.tensor([[-1]])), "got -1"),
        (lambda: CategoryEncoding(3)(torch.tensor([[0.0]])), "takes a tensor of integers, got torch.float32"),
        (lambda: CategoryEncoding(3)(torch.tensor([0]), torch.ones(1)), "count_weights are for output_mode='count'"),
        (lambda: CategoryEncoding(3, "count")(torch.tensor([[0]]), torch.ones(2)), r"shape \(2,\), the input \(1, 1\)"),
    ],
)
def test_what_cannot_be_is_said(make, sentence):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=sentence):
        make()


def test_a_failed_adapt_changes_nothing():
    layer = Normalization()
    layer.adapt(_numbers(5, 3))
    before = layer.mean.clone()
    with pytest.raises(ValueError, match="was given batches of size"):
        layer.adapt([np.ones((2, 3)), np.ones((2, 4))])
    assert torch.equal(layer.mean, before)


# --- Discretization --------------------------------------------------------------------------------------------------


def test_learned_bins_hold_about_as_many_numbers_each():
    x = _numbers(20000)
    layer = Discretization(num_bins=5, epsilon=0.001)
    layer.adapt(x[at : at + 1000] for at in range(0, 20000, 1000))
    shares = torch.bincount(layer(torch.tensor(x))) / len(x)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), rtol=0, atol=0.005)


def test_a_number_in_float64_is_not_moved_across_a_boundary():
    below = torch.tensor([1 - 1e-12], dtype=torch.float64)
    assert Discretization([1.0])(below).tolist() == [0]


def test_steps_end_the_look_at_data_without_end():
    def forever():
        while True:
            yield np.arange(10.0)

    layer = Discretization(num_bins=2)
    layer.adapt(forever(), steps=3)
    assert layer.bin_boundaries.shape == (1,)


# --- what is kept ----------------------------------------------------------------------------------------------------


def _adapted(layer, data):
    layer.adapt(data)
    return layer


KEPT = {
    "Normalization": (Normalization, _numbers(9, 3), torch.ones(2, 3)),
    "Normalization-scalar": (lambda: Normalization(None), _numbers(9, 3), torch.ones(2, 3)),
    "Discretization": (lambda: Discretization(num_bins=4), _numbers(30), torch.linspace(-9, 9, 7)),
    "IntegerLookup": (IntegerLookup, [5, 5, 7, 9, 9, 9], torch.tensor([[9, 7, 5, 1]])),
    "IntegerLookup-tf_idf": (
        lambda: IntegerLookup(output_mode="tf_idf"), [[5, 7], [7, 9]], torch.tensor([[9, 7, 5, 1]])
    ),
    "StringLookup": (StringLookup, ["é", "é", "b", "\n"], ["b", "é", "\n", "z"]),
    "StringLookup-tf_idf": (lambda: StringLookup(output_mode="tf_idf"), [["a", "b"], ["b", "c"]], [["a", "z"]]),
    "TextVectorization": (TextVectorization, ["a b", "b c"], ["c b a z"]),
}  # fmt: skip


@pytest.mark.parametrize(("make", "data", "x"), KEPT.values(), ids=list(KEPT))
def test_a_state_goes_into_a_layer_that_saw_no_data(make, data, x):
    layer = nn.Sequential(_adapted(make(), data))
    state = _reloaded(layer.state_dict())
    for fresh in (nn.Sequential(make()), nn.Sequential(_adapted(make(), data[:2]))):
        fresh.load_state_dict(state)
        assert torch.equal(fresh(x), layer(x))


@pytest.mark.parametrize(("make", "data", "x"), KEPT.values(), ids=list(KEPT))
def test_the_config_makes_a_layer_that_takes_the_state(make, data, x):
    layer = _adapted(make(), data)
    again = type(layer).from_config(layer.get_config())
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))
    assert again.get_config() == layer.get_config() or "Normal" in type(layer).__name__


@pytest.mark.parametrize(("make", "data", "x"), KEPT.values(), ids=list(KEPT))
def test_an_adapted_layer_moves_with_its_model_to_another_dtype(make, data, x):
    wide = nn.Sequential(_adapted(make(), data)).double()
    given = x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
    found, narrow = wide(given), _adapted(make(), data)(x)
    assert found.dtype == (torch.float64 if narrow.is_floating_point() else torch.int64)
    torch.testing.assert_close(found.to(narrow.dtype), narrow)


def test_no_state_has_parameters_to_train():
    for make, data, _ in KEPT.values():
        assert not list(_adapted(make(), data).parameters())


# --- in a model ------------------------------------------------------------------------------------------------------


def test_normalization_in_front_makes_a_model_indifferent_to_the_units():
    x = torch.tensor(_numbers(30, 4)).float()
    norm = Normalization()
    norm.adapt(1000 * x)
    model = Sequential([norm, Dense(2)])
    found = model.predict(1000 * x)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    np.testing.assert_allclose(found, model[1](standard).detach(), rtol=1e-4, atol=1e-4)


def test_large_integers_reach_a_lookup_as_they_are():
    tokens = [2**40, 2**40 + 1, 7]
    model = Sequential([IntegerLookup(vocabulary=tokens), nn.Embedding(4, 2)])
    found = model.predict(np.array([[2**40 + 1], [5]]))
    np.testing.assert_array_equal(found[:, 0], model[1].weight.detach()[[2, 0]])


def test_integers_reach_an_encoding_in_front_of_a_dense_layer():
    model = Sequential([CategoryEncoding(4, "one_hot"), Dense(2)])
    assert model.predict(np.array([[3], [0]])).shape == (2, 2)


def test_an_input_of_floats_is_told_what_categories_are():
    with pytest.raises(ValueError, match=r"takes a tensor of integers, got torch.float32; .*Input\(dtype='int64'\)"):
        CategoryEncoding(4)(Input((3,)))
    assert CategoryEncoding(4)(Input((3,), "int64")).shape == (None, 4)


def test_one_image_is_resized_without_a_batch_and_in_either_order():
    x = torch.rand(3, 5, 7)
    assert torch.equal(Resizing(2, 3)(x), Resizing(2, 3)(x[None])[0])
    last = Resizing(2, 3, data_format="channels_last")(x[None].movedim(1, -1))
    assert torch.equal(last.movedim(-1, 1)[0], Resizing(2, 3)(x))


def test_a_crop_larger_than_the_image_is_resized_from_the_window_of_its_proportions():
    x = torch.rand(2, 3, 4, 8)
    expected = torch.nn.functional.interpolate(x[..., 2:6], (6, 6), mode="bilinear")
    assert torch.equal(CenterCrop(6, 6)(x), expected)
