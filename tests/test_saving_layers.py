"""Every layer, and every module of torch in the table, saved and loaded."""

import warnings

import pytest
import torch
from support.layer_rows import NAMES_VARIANTS_SLOW, TABLE
from torch import nn
from torch.utils import _pytree as pytree

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.saving import torch_modules


def _equal(found, expected):
    found, expected = pytree.tree_leaves(found), pytree.tree_leaves(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if isinstance(other, torch.Tensor):
            assert one.dtype == other.dtype
            assert torch.equal(one.nan_to_num(), other.nan_to_num())
        else:
            assert one == other


def _saved(model, path):
    """Saved without a warning, and loaded again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(path)
        before = torch.get_rng_state()
        again = kt.load_model(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(again.state_dict()) == list(model.state_dict())
    _equal(list(again.state_dict().values()), list(model.state_dict().values()))
    return again


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_a_layer_comes_back_with_its_weights_and_its_outputs(row, tmp_path):
    layer = row.make()
    layer(*row.inputs())
    again = _saved(Sequential([layer]), tmp_path / "model.kt")[0]
    assert type(again) is type(layer)
    assert again.built
    assert again.get_config() == layer.get_config()
    _equal(again.eval()(*row.inputs()), layer.eval()(*row.inputs()))


@pytest.mark.parametrize("name", NAMES_VARIANTS_SLOW)
def test_a_layer_on_symbols_comes_back(name, tmp_path):
    row = TABLE[name]
    inputs = row.inputs()
    symbols = pytree.tree_map(lambda x: Input(x.shape[1:], x.dtype) if isinstance(x, torch.Tensor) else x, inputs)
    begin = [one for one in pytree.tree_leaves(symbols) if isinstance(one, Input)]
    outputs = row.make()(*symbols)
    model = Model(begin, list(outputs) if isinstance(outputs, tuple) else outputs)
    again = _saved(model, tmp_path / "model.kt")
    given = [x for x in pytree.tree_leaves(inputs) if isinstance(x, torch.Tensor)]
    _equal(again.eval()(*given), model.eval()(*given))


def _adapted(layer, data):
    layer.adapt(data)
    return layer


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (_adapted(layers.StringLookup(), ["b", "a", "b"]), ["a", "b", "c"]),
        (layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot"), ["y"]),
        (_adapted(layers.TextVectorization(output_mode="tf_idf"), ["the cat", "the dog"]), ["a cat"]),
    ],
)
def test_a_layer_on_strings_comes_back(layer, given, tmp_path):
    again = _saved(Sequential([layer]), tmp_path / "model.kt")[0]
    assert again.get_vocabulary() == layer.get_vocabulary()
    assert torch.equal(again(given), layer(given))


def x(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


IMAGES = x(2, 4, 6, 6)
MODULES = [
    (nn.Linear(4, 3, bias=False), x(2, 4)),
    (nn.Identity(), x(2, 4)),
    (nn.Flatten(2, 3), IMAGES),
    (nn.Unflatten(1, (2, 2)), x(2, 4)),
    (nn.Conv1d(4, 2, 3, stride=2, padding="valid"), x(2, 4, 9)),
    (nn.Conv2d(4, 8, (3, 2), padding="same", groups=2, padding_mode="reflect", bias=False), IMAGES),
    (nn.Conv3d(1, 2, 2, dilation=2), x(1, 1, 5, 5, 5)),
    (nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), IMAGES),
    (nn.BatchNorm1d(4, momentum=0.2), x(3, 4)),
    (nn.BatchNorm2d(4, affine=False), IMAGES),
    (nn.InstanceNorm2d(4, affine=True), IMAGES),
    (nn.LayerNorm((6, 6), bias=False), IMAGES),
    (nn.RMSNorm(6), IMAGES),
    (nn.GroupNorm(2, 4, affine=False), IMAGES),
    (nn.LocalResponseNorm(2), IMAGES),
    (nn.Embedding(5, 3, padding_idx=1), torch.tensor([[1, 4]])),
    (nn.EmbeddingBag(5, 3, mode="sum"), torch.tensor([[1, 4]])),
    (nn.Dropout(0.3), x(2, 4)),
    (nn.Hardtanh(-2, 3), x(2, 4)),
    (nn.PReLU(4), x(2, 4)),
    (nn.GELU("tanh"), x(2, 4)),
    (nn.Softmax(1), x(2, 4)),
    (nn.Threshold(0.1, 20), x(2, 4)),
    (nn.MaxPool2d(2, ceil_mode=True), IMAGES),
    (nn.AvgPool2d((3, 2), stride=1, count_include_pad=False), IMAGES),
    (nn.AdaptiveAvgPool2d((None, 2)), IMAGES),
    (nn.LPPool2d(2, 3), IMAGES),
    (nn.ZeroPad2d((1, 2, 0, 1)), IMAGES),
    (nn.ConstantPad1d(1, 3.5), x(2, 4)),
    (nn.ReflectionPad2d(1), IMAGES),
    (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), IMAGES),
    (nn.UpsamplingNearest2d(scale_factor=2), IMAGES),
    (nn.PixelShuffle(2), IMAGES),
    (nn.ChannelShuffle(2), IMAGES),
    (nn.Unfold(2), IMAGES),
    (nn.Fold((3, 3), 2), x(2, 8, 4)),
    (nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True, norm_first=True), x(2, 3, 4)),
    (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, nn.LayerNorm(4)), x(2, 3, 4)),
    (nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2))), x(2, 4)),
    (nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True), x(2, 5, 4)),
    (nn.GRU(4, 3, bias=False), x(2, 5, 4)),
    (nn.RNN(4, 3, nonlinearity="relu"), x(2, 5, 4)),
    (nn.LSTMCell(4, 3), x(2, 4)),
]


@pytest.mark.parametrize(("module", "given"), MODULES, ids=[str(module).split("(")[0] for module, _ in MODULES])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
def test_a_module_of_torch_comes_back(module, given, tmp_path):
    again = _saved(Sequential([module]), tmp_path / "model.kt")[0]
    assert type(again) is type(module)
    assert repr(again) == repr(module)
    _equal(again.eval()(given), module.eval()(given))


def test_attention_of_torch_comes_back(tmp_path):
    query = Input((3, 4))
    attention = nn.MultiheadAttention(4, 2, bias=False, add_bias_kv=True, kdim=4, vdim=4, batch_first=True)
    model = Model(query, kt.call(attention, query, query, query, need_weights=False)[0])
    given = x(2, 3, 4)
    _equal(_saved(model, tmp_path / "model.kt").eval()(given), model.eval()(given))


def test_lazy_modules_come_back_as_what_they_became(tmp_path):
    model = Sequential([Input((4,)), nn.LazyLinear(3), nn.LazyBatchNorm1d()])
    again = _saved(model, tmp_path / "model.kt")
    assert [type(layer) for layer in again] == [nn.Linear, nn.BatchNorm1d]


def test_every_module_in_the_table_has_the_arguments_that_are_read():
    for name, kind in torch_modules.KINDS.items():
        assert torch_modules.NAMES[kind] == name
