"""What holds for every layer, by the rows of `layer_rows`."""

import copy
import json
import pickle

import pytest
import torch
from support.layer_rows import NAMES_VARIANTS_SLOW, TABLE
from torch.utils import _pytree as pytree

from kerastorch import Input, layers
from kerastorch.core.module_tree import is_built
from kerastorch.layers import Layer
from kerastorch.symbolic.symbolic_tensor import Symbol

each = pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
trains_alike = pytest.mark.parametrize(
    "row",
    [row for row in TABLE.values() if row.training != "random"],
    ids=[n for n, r in TABLE.items() if r.training != "random"],
)


def _tensors(value):
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def _map(function, value):
    return pytree.tree_map(lambda leaf: function(leaf) if isinstance(leaf, torch.Tensor) else leaf, value)


def _made(row, training=False):
    """The layer, built, and what it is given, with gradients where there can be."""
    torch.manual_seed(3)
    layer = row.make()
    layer(*row.inputs())
    inputs = _map(lambda x: x.requires_grad_() if row.gradients and x.is_floating_point() else x, row.inputs())
    return layer.train(training), inputs


def _close(found, expected, **tolerance):
    found, expected = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.as_tensor(other), **tolerance)


def _gradients(outputs, sources):
    """Of a weighted sum of the outputs, so that no gradient is zero by symmetry."""
    total = sum(
        (leaf * torch.arange(1, leaf.numel() + 1).view_as(leaf).sin()).sum()
        for leaf in _tensors(outputs)
        if leaf.requires_grad
    )
    return torch.autograd.grad(total, sources, allow_unused=True)


# what is not called on tensors alone, as the tests of the table assume (strings, a dict of images and labels), or is no
# child of a model
NOT_ON_TENSORS = {
    layers.StringLookup, layers.TextVectorization, layers.Hashing, layers.HashedCrossing, layers.MixUp, layers.CutMix,
    layers.InputLayer,
}  # fmt: skip


def test_every_layer_has_a_row():
    named = {row.make().__class__ for row in TABLE.values()}
    public = {
        value
        for name in layers.__all__
        if isinstance(value := getattr(layers, name), type) and issubclass(value, Layer)
    }
    assert public - named - {Layer, layers.Wrapper} == NOT_ON_TENSORS


@each
def test_what_comes_out_in_evaluation_is_the_formula(row):
    layer, inputs = _made(row)
    _close(layer(*inputs), row.oracle(layer, *inputs))


@trains_alike
def test_what_comes_out_in_training_is_the_formula(row):
    layer, inputs = _made(row, training=True)
    reference = copy.deepcopy(layer)
    _close(layer(*inputs), (row.training or row.oracle)(reference, *inputs))


@trains_alike
def test_the_gradients_are_those_of_the_formula(row):
    if not row.gradients:
        pytest.skip("has no gradients")
    for training in (False, True):
        layer, inputs = _made(row, training)
        reference = copy.deepcopy(layer)
        expected = ((training and row.training) or row.oracle)(reference, *inputs)
        floats = [x for x in _tensors(inputs) if x.requires_grad]
        found = _gradients(layer(*inputs), [*layer.parameters(), *floats])
        right = _gradients(expected, [*reference.parameters(), *floats])
        assert any(gradient is not None for gradient in found)
        for one, other in zip(found, right, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@each
def test_it_is_built_by_its_first_input(row):
    layer = row.make()
    assert not is_built(layer)
    assert not list(layer.parameters())
    layer(*row.inputs())
    assert is_built(layer)


@each
def test_it_is_built_by_an_input_to_come_whose_result_has_the_right_shape(row):
    layer, inputs = _made(row)
    fresh = row.make()
    floating = row.sizes_vary

    def to_come(x):
        sizes = x.shape[1:]
        return Input([None] * (len(sizes) - 1) + list(sizes[-1:]) if floating else sizes, x.dtype)

    found = fresh(*_map(to_come, inputs))
    assert is_built(fresh)
    assert {name: p.shape for name, p in fresh.named_parameters()} == {n: p.shape for n, p in layer.named_parameters()}
    batch = _tensors(inputs)[0].shape[0]
    for symbol, tensor in zip(pytree.tree_leaves(found), pytree.tree_leaves(layer(*inputs)), strict=True):
        assert isinstance(symbol, Symbol)
        assert symbol.dtype == tensor.dtype
        assert len(symbol.shape) == tensor.ndim
        for axis, (size, real) in enumerate(zip(symbol.shape, tensor.shape, strict=True)):
            assert (size == None and (floating or (axis == 0 and real % batch == 0))) or size == real  # noqa: E711


@each
def test_it_is_made_again_from_its_config(row):
    layer, inputs = _made(row)
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    again(*inputs)
    again.load_state_dict(layer.state_dict())
    _close(again.eval()(*inputs), layer(*inputs), rtol=0, atol=0)


@each
def test_a_copy_and_a_pickle_give_the_same(row):
    layer, inputs = _made(row)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        _close(other(*inputs), layer(*inputs), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES_VARIANTS_SLOW)
def test_it_compiles_whole(name):
    row = TABLE[name]
    if not row.compiles:
        pytest.skip("says beside its row why not")
    variant = "-" in name
    for training in (True,) if variant else (False, True):
        # Dynamo finds graph breaks; AOT autograd, which takes five times as long, is for one row of each layer
        backend = "aot_eager" if training and not variant else "eager"
        torch._dynamo.reset()
        layer, inputs = _made(row, training)
        compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend=backend)
        found = compiled(*inputs)
        if row.training != "random" or not training:
            _close(found, layer(*inputs))


# one of each way in which layers compute: torch's kernels, loops over time, buffers that change, draws, strided windows
INDUCED = [
    "Dense",
    "Conv2D",
    "BatchNormalization",
    "LSTM",
    "LSTM-masked",
    "GRU",
    "GRU-masked",
    "MultiHeadAttention",
    "Dropout",
    "Dropout-seed",
    "RandomRotation",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", INDUCED)
def test_inductor_gives_the_same(name, training):
    torch._dynamo.reset()
    row = TABLE[name]
    layer, inputs = _made(row, training)
    reference = copy.deepcopy(layer)
    found = torch.compile(layer, fullgraph=True, backend="inductor")(*inputs)
    expected = reference(*inputs)
    if row.training == "random" and training and layer.seed is None:  # other numbers than uncompiled
        for one, other in zip(_tensors(found), _tensors(expected), strict=True):
            assert one.shape == other.shape
            assert one.isfinite().all()
        return
    _close(found, expected, rtol=1e-4, atol=1e-5)
    _close(list(layer.buffers()), list(reference.buffers()))
    floats = [x for x in _tensors(inputs) if x.requires_grad]
    gradients = [_gradients(out, [*one.parameters(), *floats]) for out, one in ((found, layer), (expected, reference))]
    _close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES_VARIANTS_SLOW)
def test_it_exports(name):
    row = TABLE[name]
    if not row.exports:
        pytest.skip("says beside its row why not")
    layer, inputs = _made(row)
    inputs = _map(lambda x: x.detach(), inputs)
    _close(torch.export.export(layer, inputs).module()(*inputs), layer(*inputs))


@each
def test_it_follows_to_another_dtype(row):
    if not row.casts:
        pytest.skip("says beside its row why not")
    layer, inputs = _made(row)
    wider = _map(lambda x: x.detach().double() if x.is_floating_point() else x, inputs)
    expected = pytree.tree_leaves(layer(*inputs))
    for other in (copy.deepcopy(layer).double(), row.make().double()):
        found = pytree.tree_leaves(other.eval()(*wider))
        for one, narrow in zip(found, expected, strict=True):
            assert one.dtype == (torch.float64 if narrow.is_floating_point() else narrow.dtype)
            assert one.shape == narrow.shape
    assert all(p.dtype == torch.float64 for p in other.parameters() if p.is_floating_point())


@each
def test_it_is_built_in_bfloat16_and_computes_in_it(row):
    if not row.narrows:
        pytest.skip("says beside its row why not")
    inputs = _map(lambda x: x.bfloat16() if x.is_floating_point() else x, row.inputs())
    for training in (False, True):
        layer = row.make().bfloat16().train(training)
        found, expected = pytree.tree_leaves(layer(*inputs)), pytree.tree_leaves(_made(row)[0](*row.inputs()))
        for one, wider in zip(found, expected, strict=True):
            assert one.dtype == (torch.bfloat16 if wider.is_floating_point() else wider.dtype)
            assert one.shape == wider.shape
        assert all(t.dtype == torch.bfloat16 for t in layer.state_dict().values() if t.is_floating_point())


@each
def test_it_is_made_in_the_default_dtype(row):
    torch.set_default_dtype(torch.float64)
    try:
        layer = row.make()
        found = layer(*_map(lambda x: x.double() if x.is_floating_point() else x, row.inputs()))
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(t.dtype == torch.float64 for t in [*_tensors(found), *layer.parameters()] if t.is_floating_point())


@each
def test_what_is_frozen_stays_frozen_when_it_is_built(row):
    layer = row.make()
    layer.trainable = False
    layer(*row.inputs())
    assert not any(p.requires_grad for p in layer.parameters())
    learning = [name for name, p in _made(row)[0].named_parameters() if p.requires_grad]
    layer.trainable = True
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == learning


@each
def test_it_prints_as_one_line_with_its_name(row):
    layer, _ = _made(row)
    assert type(layer).__name__ in repr(layer)
