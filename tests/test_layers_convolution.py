"""Convolutions: what is refused, how they start, what they cost torch, and that training treats them as torch's own."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.layers import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    MaxPooling2D,
    SeparableConv2D,
)
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.memory_format import MemoryFormat

# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_is_as_many_outputs_as_steps_fit_centred_with_the_odd_zero_behind(size, kernel, stride):
    x = torch.randn(1, size, 1)
    layer = Conv1D(1, kernel, stride, "same", use_bias=False)
    y = layer(x)
    outputs = -(-size // stride)
    over = max((outputs - 1) * stride + kernel - size, 0)
    wide = torch.zeros(size + over + kernel)
    wide[over // 2 : over // 2 + size] = x[0, :, 0]
    expected = [(wide[i * stride : i * stride + kernel] * layer.weight[0, 0]).sum() for i in range(outputs)]
    torch.testing.assert_close(y, torch.stack(expected)[None, :, None])


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_convolution_with_same_is_the_gradient_of_the_convolution_with_same(kernel, stride):
    small, large = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4 * stride, 5 * stride, requires_grad=True)
    transposed = Conv2DTranspose(6, kernel, stride, "same", use_bias=False)
    y = transposed(small)
    forward = Conv2D(3, kernel, stride, "same", use_bias=False)
    forward(large)
    with torch.no_grad():
        forward.weight.copy_(transposed.weight)
    (gradient,) = torch.autograd.grad(forward(large), large, small)
    torch.testing.assert_close(y, gradient)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_transposed_convolution_without_padding_leaves_nothing_of_the_steps_out(kernel, stride):
    assert Conv1DTranspose(1, kernel, stride)(torch.randn(1, 6, 1)).shape[1] == 5 * stride + max(kernel, stride)


def test_symmetrical_zeros_are_left_to_the_convolution():
    layer, strided = Conv2D(4, 3, padding="same"), Conv2D(4, 3, 2, "same")
    for one, x in ((layer, torch.randn(2, 3, 8, 7)), (strided, torch.randn(2, 3, 9, 7))):
        one(x)
        with torch.autograd.profiler.profile() as profile:
            one(x)
        assert "aten::constant_pad_nd" not in {event.name for event in profile.function_events}


@pytest.mark.parametrize("make", [lambda: Conv2D(4, 3, 2, "same"), lambda: Conv2D(4, (2, 3), padding="same")])
def test_one_export_serves_images_of_all_sizes(make):
    layer = make()
    layer(torch.randn(2, 3, 8, 9))
    sizes = {0: torch.export.Dim.AUTO, 2: torch.export.Dim("height", min=4), 3: torch.export.Dim("width", min=4)}
    program = torch.export.export(layer, (torch.randn(2, 3, 8, 9),), dynamic_shapes=(sizes,)).module()
    for height, width in ((8, 9), (9, 9), (13, 6)):
        x = torch.randn(2, 3, height, width)
        torch.testing.assert_close(program(x), layer(x))


def test_one_compilation_follows_the_sizes():
    torch._dynamo.reset()
    layer = Conv2D(4, 3, 2, "same")
    layer(torch.randn(2, 3, 8, 9))
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, dynamic=True, backend="aot_eager")
    for height, width in ((8, 9), (9, 9), (13, 6)):
        x = torch.randn(2, 3, height, width)
        torch.testing.assert_close(compiled(x), layer(x))


# --- weights -----------------------------------------------------------------------------------------------------


def _deviation(layer, shape, name="weight"):
    torch.manual_seed(0)
    layer(torch.zeros(shape))
    return float(getattr(layer, name).detach().std())


@pytest.mark.parametrize(
    ("layer", "shape", "name", "fans"),
    [
        (lambda i: Conv2D(64, 3, groups=4, kernel_initializer=i), (1, 32, 5, 5), "weight", (8 * 9, 64 * 9)),
        # Keras lays it out (height, width, filters, channels) and takes the filters for what comes in
        (lambda i: Conv2DTranspose(64, 3, kernel_initializer=i), (1, 16, 5, 5), "weight", (64 * 9, 16 * 9)),
        # and here (height, width, channels, depth_multiplier)
        (
            lambda i: DepthwiseConv2D(5, depth_multiplier=8, depthwise_initializer=i),
            (1, 64, 5, 5),
            "weight",
            (64 * 25, 8 * 25),
        ),
        (
            lambda i: SeparableConv2D(9, 5, depth_multiplier=8, depthwise_initializer=i),
            (1, 64, 5, 5),
            "depthwise_weight",
            (64 * 25, 8 * 25),
        ),
        (
            lambda i: SeparableConv2D(256, 3, depth_multiplier=2, pointwise_initializer=i),
            (1, 64, 5, 5),
            "pointwise_weight",
            (128, 256),
        ),
    ],
)
def test_weights_start_with_the_variance_that_keras_gives_them(layer, shape, name, fans):
    fan_in, fan_out = fans
    assert _deviation(layer("glorot_uniform"), shape, name) == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.05)
    assert _deviation(layer("he_normal"), shape, name) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (lambda: Conv1D(4, 3, data_format="channels_first"), lambda: nn.Conv1d(6, 4, 3), (2, 6, 8)),
        (lambda: Conv2D(4, 3, groups=2), lambda: nn.Conv2d(6, 4, 3, groups=2), (2, 6, 8, 8)),
        (lambda: Conv3D(4, 2), lambda: nn.Conv3d(6, 4, 2), (2, 6, 3, 3, 3)),
        (lambda: Conv1DTranspose(4, 3, data_format="channels_first"), lambda: nn.ConvTranspose1d(6, 4, 3), (2, 6, 8)),
        (lambda: Conv2DTranspose(4, 3), lambda: nn.ConvTranspose2d(6, 4, 3), (2, 6, 8, 8)),
        (lambda: Conv3DTranspose(4, 2), lambda: nn.ConvTranspose3d(6, 4, 2), (2, 6, 3, 3, 3)),
        (lambda: DepthwiseConv2D(3), lambda: nn.Conv2d(6, 6, 3, groups=6), (2, 6, 8, 8)),
    ],
)
def test_weights_go_into_torchs_module_and_back(ours, theirs, shape):
    x = torch.randn(shape)
    layer, module = ours(), theirs()
    expected = layer(x)
    module.load_state_dict(layer.state_dict())
    torch.testing.assert_close(module(x), expected)
    other = theirs()
    layer.load_state_dict(other.state_dict())
    torch.testing.assert_close(layer(x), other(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_computes_in_the_dtype_it_is_moved_to(dtype):
    for layer in (Conv2D(4, 3, 2, "same"), Conv2DTranspose(4, 3, 2, "same"), SeparableConv2D(4, 3, padding="same")):
        assert layer.to(dtype)(torch.randn(2, 3, 8, 8, dtype=dtype)).dtype == dtype


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters must be an integer >= 1, got 0"),
        (lambda: Conv2D(4, (3, 3, 3)), r"kernel_size must be an integer or 2 of them, got \(3, 3, 3\)"),
        (lambda: Conv1D(4, [3, 3]), r"kernel_size must be an integer, got \[3, 3\]"),
        (lambda: Conv2D(4, 3, 0), "strides must be an integer >= 1, got 0"),
        (lambda: Conv2D(4, 3, padding="sane"), "Unknown padding 'sane'. Did you mean 'same'[?] Known: same, valid"),
        (lambda: Conv2D(4, 3, padding="causal"), "Unknown padding 'causal'"),
        (lambda: Conv2D(4, 3, padding=1), "padding must be one of 'valid', 'same', got 1"),
        (lambda: Conv2D(4, 3, data_format="NCHW"), "Unknown data_format 'NCHW'. .*channels_first, channels_last"),
        (lambda: Conv2D(4, 3, groups=3), "filters must be a multiple of groups=3, got 4"),
        (lambda: Conv2D(4, 3, 2, dilation_rate=2, name="a"), "Conv2D 'a' takes strides or dilation_rate above 1, not"),
        (lambda: Conv2DTranspose(4, 3, (1, 2), dilation_rate=(2, 1)), "Conv2DTranspose takes strides or dilation_rate"),
        (lambda: Conv2DTranspose(4, 3, 2, output_padding=2), r"output_padding must be less than strides=\(2, 2\)"),
        (lambda: DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be an integer >= 1, got 0"),
    ],
)
def test_a_wrong_argument_is_told_when_the_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2D(4, 3), (3, 8, 8), r"Conv2D takes 4 axes, \(batch, channels, height, width\), and got 3: \(3, 8, 8\)"),
        (
            Conv1D(4, 3, name="words"),
            (2, 3, 8, 8),
            r"Conv1D 'words' takes 3 axes, \(batch, steps, channels\), and got 4",
        ),
        (Conv2D(4, 3, groups=2), (2, 5, 8, 8), "Conv2D has groups=2, which do not divide the 5 channels of its input"),
        (Conv2D(4, 3), (2, 28, 28, 1), r"window of \(3, 3\) and inputs of \(28, 1\).*need data_format='channels_last'"),
        (Conv1D(4, 3), (2, 1, 28), r"window of \(3,\) and inputs of \(1,\).*need data_format='channels_first'"),
        (Conv2D(4, 3, data_format="channels_last"), (2, 1, 28, 28), "need data_format='channels_first'"),
        (Conv2DTranspose(4, 3), (3, 8, 8), "Conv2DTranspose takes 4 axes"),
        (SeparableConv2D(4, 3), (3, 8, 8), "SeparableConv2D takes 4 axes"),
    ],
)
def test_an_input_that_does_not_fit_is_told_before_there_are_weights(layer, shape, message):
    layer = copy.deepcopy(layer)
    with pytest.raises(ValueError, match=message):
        layer(torch.zeros(shape))
    assert not layer.built
    assert not list(layer.parameters())


def test_a_built_layer_refuses_an_image_that_is_no_batch():
    layer = Conv2D(4, 3)
    layer(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="Conv2D takes 4 axes"):
        layer(torch.zeros(3, 8, 8))


def test_channels_that_are_left_open_are_told():
    with pytest.raises(ValueError, match="Conv2D needs a size for its parameters that the input leaves open"):
        Conv2D(4, 3)(kt.Input((None, 8, 8)))


def test_images_in_the_other_order_are_told_in_the_users_words():
    model = kt.Sequential([kt.Input((3, 28, 28)), Conv2D(4, 3)])
    with pytest.raises(
        ValueError, match=r"It takes \(batch, channels, height, width\) with 3 channels. .*channels_last"
    ):
        model.predict(torch.zeros(2, 28, 28, 3), verbose=0)


def test_sequences_in_the_other_order_are_told_in_the_users_words():
    for layer in (Conv1D(4, 3), Conv1DTranspose(4, 3)):
        model = kt.Sequential([kt.Input((10, 3)), layer])
        with pytest.raises(ValueError, match=r"It takes \(batch, steps, channels\) with 3 channels. .*channels_first"):
            model.predict(torch.zeros(2, 3, 10), verbose=0)


# --- as torch's own ----------------------------------------------------------------------------------------------


def _ours():
    start = [Conv2D(4, 3, padding="same", activation="relu"), MaxPooling2D(), SeparableConv2D(6, 3, padding="same")]
    return kt.Sequential([*start, GlobalAveragePooling2D(), nn.Linear(6, 3)])


class _Theirs(nn.Module):
    def __init__(self, state):
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise, self.out = nn.Conv2d(4, 6, 1), nn.Linear(6, 3)
        for own, given in zip(self.state_dict().values(), state.values(), strict=True):
            own.copy_(given.view(own.shape))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        return self.out(self.pointwise(self.depthwise(x)).mean((2, 3)))


def _format_of(model, x):
    arrange = MemoryFormat(model).to_format(torch.device("cpu"))
    return (x if arrange is None else arrange(x)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="the kernels that are faster so")
def test_images_take_the_memory_format_they_take_with_torchs_convolutions():
    x = torch.randn(8, 3, 12, 12)
    ours = _ours()
    ours(x)
    state = {n: ours.state_dict()[n] for n in ("0.weight", "0.bias", "2.depthwise_weight")}
    state |= {n: ours.state_dict()[n] for n in ("2.pointwise_weight", "2.bias", "4.weight", "4.bias")}
    theirs = _Theirs(state)
    torch.testing.assert_close(ours(x), theirs(x))
    assert _format_of(ours, x)
    assert _format_of(theirs, x)
    last = kt.Sequential([Conv2D(4, 3, data_format="channels_last"), MaxPooling2D(data_format="channels_last")])
    last(x.permute(0, 2, 3, 1))
    assert not _format_of(last, torch.randn(8, 12, 12, 3))


def test_training_is_that_of_torchs_convolutions():
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(32, 3, 12, 12, generator=generator), torch.randint(3, (32,), generator=generator)
    ours = _ours()
    ours(x)
    names = ("0.weight", "0.bias", "2.depthwise_weight", "2.pointwise_weight", "2.bias", "4.weight", "4.bias")
    theirs = _Theirs({name: ours.state_dict()[name] for name in names})
    losses = []
    for model in (ours, kt.Model(theirs)):
        model.compile("sgd", nn.CrossEntropyLoss())
        torch.manual_seed(1)
        losses.append(model.fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, other in zip(names, theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(ours.state_dict()[name].view_as(other), other, rtol=1e-4, atol=1e-5)


def test_a_last_batch_of_one_sequence_is_enough_for_normalisation_after_a_convolution():
    x, y = torch.randn(9, 3, 6), torch.randn(9, 4, 4)
    model = kt.Model(nn.Sequential(Conv1D(4, 3, data_format="channels_first"), nn.BatchNorm1d(4)))
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=4, verbose=0)


@pytest.mark.parametrize(
    ("activation", "data_format", "kind"),
    [
        ("sigmoid", None, "sigmoid"),
        ("sigmoid", "channels_last", "sigmoid"),
        ("softmax", "channels_last", "softmax"),
        (nn.Softmax(1), None, "softmax"),
        ("softmax", None, None),  # its output is a view of what the activation returned
        (None, None, None),
    ],
)
def test_an_activation_that_ends_a_model_is_found_for_the_loss(activation, data_format, kind):
    tail = find_final_activation(nn.Sequential(Conv2D(2, 1, activation=activation, data_format=data_format)))
    assert (None if tail is None else tail.kind) == kind


def test_a_sigmoid_that_ends_a_model_does_not_lose_what_rounds_to_one():
    model = kt.Sequential([Conv2D(1, 1, activation="sigmoid", kernel_initializer="ones")])
    x, y = torch.full((2, 1, 3, 3), 40.0), torch.zeros(2, 1, 3, 3)
    model.compile("sgd", "binary_crossentropy")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(40.0)


@pytest.mark.parametrize("depth", [1, 5])
def test_images_of_any_size_build_a_chain(depth):
    blocks = [made for _ in range(depth) for made in (kt.layers.Conv2D(4, 3), kt.layers.MaxPooling2D())]
    ends = [kt.layers.GlobalAveragePooling2D(), kt.layers.Dense(2)]
    net = kt.Sequential([kt.Input((3, None, None)), *blocks, *ends])
    assert net.count_params() == 4 * (3 * 9 + 1) + (depth - 1) * 4 * (4 * 9 + 1) + 10
    assert net(torch.zeros(2, 3, 100, 120)).shape == (2, 2)


def test_a_table_of_few_places_builds_where_the_length_varies():
    class Places(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(8, 5))

        def forward(self, x):
            return x + self.table[: x.shape[1]]

    net = kt.Sequential([kt.Input((None, 5)), Places(), kt.layers.Dense(2)])
    assert net(torch.zeros(3, 8, 5)).shape == (3, 8, 2)
