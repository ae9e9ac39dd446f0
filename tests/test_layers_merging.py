"""Merging: shapes, masks, functions, and what does not go together."""

import pytest
import torch

from kerastorch import Input, Model, layers
from kerastorch.layers import (
    Add,
    Average,
    Concatenate,
    Dense,
    Dot,
    Embedding,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)


def _x(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


A, B = _x(5, 4, 3), _x(5, 4, 3, seed=2)
FUNCTIONS = {
    "add": (Add(), torch.add),
    "subtract": (Subtract(), torch.sub),
    "multiply": (Multiply(), torch.mul),
    "average": (Average(), lambda a, b: (a + b) / 2),
    "maximum": (Maximum(), torch.maximum),
    "minimum": (Minimum(), torch.minimum),
    "concatenate": (Concatenate(), lambda a, b: torch.cat([a, b], -1)),
    "dot": (Dot(-1), lambda a, b: a @ b.transpose(1, 2)),
}
each = pytest.mark.parametrize("name", FUNCTIONS)
elementwise = pytest.mark.parametrize("name", list(FUNCTIONS)[:6])


@each
def test_a_function_is_its_layer_on_tensors_and_in_a_functional_model(name):
    layer, formula = FUNCTIONS[name]
    function = getattr(layers, name)
    expected = formula(A, B)
    torch.testing.assert_close(function([A, B]), expected)
    torch.testing.assert_close(layer([A, B]), expected)
    one, other = Input((4, 3)), Input((4, 3))
    model = Model([one, other], function([one, other], name="joined"))
    torch.testing.assert_close(model([A, B]), expected)
    assert isinstance(model.joined, type(layer))


def test_functions_take_the_arguments_of_their_layers():
    torch.testing.assert_close(layers.concatenate([A, B], axis=1), torch.cat([A, B], 1))
    normal = [x / x.norm(dim=2, keepdim=True) for x in (A, B)]
    torch.testing.assert_close(layers.dot([A, B], (2, -1), normalize=True), normal[0] @ normal[1].transpose(1, 2))


@elementwise
def test_a_tensor_with_fewer_axes_gets_them_after_the_batchs(name):
    _, formula = FUNCTIONS[name]
    few = _x(5, 3)
    torch.testing.assert_close(FUNCTIONS[name][0]([few, A]), formula(few[:, None], A))
    torch.testing.assert_close(FUNCTIONS[name][0]([A, _x(5, 4, 1)]), formula(A, _x(5, 4, 1)))


# --- masks ---------------------------------------------------------------------------------------------------------

FIRST = torch.tensor([[True, True, False, False]]).expand(5, 4)
SECOND = torch.tensor([[True, False, True, False]]).expand(5, 4)


@elementwise
def test_a_step_counts_where_it_counts_in_one(name):
    layer = FUNCTIONS[name][0]
    assert torch.equal(layer.compute_mask([A, B], [FIRST, SECOND]), FIRST | SECOND)
    assert layer.compute_mask([A, B], [FIRST, None]) is None
    assert layer.compute_mask([A, B], None) is None


@pytest.mark.parametrize(("layer", "formula"), [(Maximum(), torch.maximum), (Minimum(), torch.minimum)])
def test_extremes_are_of_what_counts(layer, formula):
    y = layer([A, B], mask=[FIRST, SECOND])
    torch.testing.assert_close(y[:, 0], formula(A, B)[:, 0])
    torch.testing.assert_close(y[:, 1], A[:, 1])
    torch.testing.assert_close(y[:, 2], B[:, 2])
    torch.testing.assert_close(layer([A, B], mask=[FIRST, None])[:, 2:], B[:, 2:])
    torch.testing.assert_close(layer([A, B], mask=[None, SECOND])[:, 1], A[:, 1])


def test_a_product_is_of_what_counts():
    y = Multiply()([A, B], mask=[FIRST, SECOND])
    torch.testing.assert_close(y[:, 0], A[:, 0] * B[:, 0])
    torch.testing.assert_close(y[:, 1], A[:, 1])
    torch.testing.assert_close(y[:, 2], B[:, 2])
    assert not y[:, 3].any()
    torch.testing.assert_close(Multiply()([A, B], mask=[FIRST, None])[:, 2:], B[:, 2:])


def test_masks_are_joined_along_time_as_the_steps_are():
    joined = Concatenate(axis=1)
    assert torch.equal(joined.compute_mask([A, B], [FIRST, SECOND]), torch.cat([FIRST, SECOND], 1))
    all_of_them = torch.ones(5, 4, dtype=torch.bool)
    assert torch.equal(joined.compute_mask([A, B], [None, SECOND]), torch.cat([all_of_them, SECOND], 1))
    assert torch.equal(Concatenate().compute_mask([A, B], [FIRST, SECOND]), FIRST | SECOND)
    assert torch.equal(Concatenate().compute_mask([A, B], [FIRST, None]), all_of_them)
    assert joined.compute_mask([A, B], [None, None]) is None
    assert Dot(-1).compute_mask([A, B], [FIRST, SECOND]) is None


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", ["add", "maximum", "multiply", "concatenate"])
def test_a_functional_model_combines_the_masks_of_its_inputs(name, both):
    one, other = Input((4,), dtype="int64"), Input((4,), dtype="int64")
    left, right = Embedding(5, 3, mask_zero=True), Embedding(5, 3, mask_zero=both)
    layer = FUNCTIONS[name][0]
    merged = type(layer)()([left(one), right(other)])
    ids = torch.tensor([[1, 2, 0, 0]]), torch.tensor([[1, 0, 3, 0]])
    y = Model([one, other], merged)(list(ids))
    masks = [ids[0] > 0, ids[1] > 0 if both else None]
    tensors = [left(ids[0]), right(ids[1])]
    takes = {"mask": masks} if name in ("maximum", "multiply") else {}
    torch.testing.assert_close(y, layer(tensors, **takes))
    expected = layer.compute_mask(tensors, masks)
    assert (merged.mask is None) == (expected is None)
    if expected is not None:
        assert torch.equal(Model([one, other], merged.mask)(list(ids)), expected)


# --- errors --------------------------------------------------------------------------------------------------------


@each
def test_fewer_than_two_and_no_list_are_refused(name):
    layer = type(FUNCTIONS[name][0])(*([-1] if name == "dot" else []))
    with pytest.raises(ValueError, match=f"{type(layer).__name__} takes a list of two tensors or more, got 1"):
        layer([A])
    with pytest.raises(TypeError, match=rf"takes a list of tensors, got Tensor: call it as {type(layer).__name__}\(\)"):
        layer(A)


@pytest.mark.parametrize(
    ("make", "inputs", "sentence"),
    [
        (Add, [A, _x(5, 4, 2)], r"Add needs inputs of the same shape.*got shapes \(5, 4, 3\), \(5, 4, 2\)"),
        (Add, [A, _x(1, 4, 3)], "the same batch size"),
        (Add, [_x(5, 1), _x(5, 2), _x(5, 3)], "Add needs inputs of the same shape"),
        (Subtract, [A, A, A], "Subtract takes a list of two tensors, got 3"),
        (Concatenate, [A, _x(5, 3, 3)], "the same on all axes but -1"),
        (Concatenate, [A, _x(5, 3)], "the same on all axes but -1"),
        (lambda: Concatenate(3), [A, B], "the same on all axes but 3"),
        (lambda: Concatenate(1.0), None, "axis must be an integer"),
        (lambda: Dot(-1), [A, _x(5, 4)], "the same size on the axes -1"),
        (lambda: Dot(-1), [A, B, A], "Dot takes a list of two tensors, got 3"),
        (lambda: Dot(-1), [A, _x(4, 4, 3)], "the same batch size"),
        (lambda: Dot(3), [A, B], "no axis 3"),
        (lambda: Dot(0), None, "axes must be an axis or two, none of them 0"),
        (lambda: Dot((1, 2, 1)), None, "axes must be an axis or two"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(make, inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()(inputs)


def test_a_functional_model_says_it_when_it_is_put_together():
    with pytest.raises(ValueError, match="Add needs inputs of the same shape"):
        Add()([Input((3,)), Input((2,))])


def test_branches_of_an_image_are_joined_by_channels():
    image = Input((3, 8, 8))
    branches = [layers.Lambda(torch.relu)(image), layers.Identity()(image)]
    model = Model(image, Dense(2)(layers.Flatten()(Concatenate(axis=1)(branches))))
    model.compile("adam", "cross_entropy")
    x, y = _x(32, 3, 8, 8), (torch.arange(32) % 2)
    history = model.fit(x, y, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
