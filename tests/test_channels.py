"""The channel axis of images: known in chains and functional graphs, and nothing goes along the width in silence."""

import functools

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.core.channel_tracking import known_channel_axes


def chain(*some):
    return kt.Sequential([*some])


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (chain(layers.Conv2D(3, 1), layers.Activation("relu"), layers.Dropout(0.1)), {"": 1}),
        (chain(layers.Conv2D(3, 1, data_format="channels_last"), layers.Activation("softmax")), {"": -1}),
        (chain(layers.Conv2D(3, 1, data_format="channels_last"), layers.Dense(4)), {"": -1}),
        (chain(layers.Conv2D(3, 1), layers.GlobalAveragePooling2D(keepdims=True)), {"": 1}),
        (chain(layers.Conv2D(3, 1), layers.GlobalAveragePooling2D()), {}),
        (chain(layers.Conv2D(3, 1), layers.Flatten(), layers.Dense(3)), {}),
        (chain(layers.Conv2D(3, 1), layers.Permute((2, 3, 1))), {}),
        (chain(layers.Conv1D(3, 1)), {"": -1}),
        (chain(layers.SpectralNormalization(layers.Conv2D(3, 1))), {"": 1}),
        (chain(chain(layers.Conv2D(3, 1)), nn.Sequential(nn.BatchNorm2d(3), nn.GELU())), {"": 1}),
        (kt.Model(nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.GroupNorm(1, 3))), {"": 1}),
        (kt.Model(nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1))), {}),
        (nn.Conv3d(1, 2, 1), {"": 1}),
    ],
)
def test_the_channel_axis_of_a_chain_is_that_of_its_last_layer_that_has_one(model, found):
    assert known_channel_axes(model) == found


def test_the_channel_axes_of_a_graph_are_known_by_output_and_through_functions_of_torch():
    x = kt.Input((2, 8, 8))
    a = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    b = torch.relu(a + kt.call(nn.Conv2d(2, 4, 1), x))
    heads = {"mask": b, "label": layers.Flatten()(b), "turned": b.movedim(1, -1)}
    assert known_channel_axes(kt.Model(x, heads)) == {"mask": 1}
    assert known_channel_axes(kt.Model(x, [a, layers.GlobalMaxPooling2D()(b)])) == {"conv": 1}
    assert known_channel_axes(kt.Model(x, torch.cat([a, b], 1))) == {"": 1}
    assert known_channel_axes(chain(kt.Model(x, b), layers.ReLU())) == {"": 1}


def test_nothing_is_known_of_a_forward_of_ones_own():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(3, 1)

        def forward(self, x):
            return self.conv(x)

    assert known_channel_axes(Own()) == {}
    assert known_channel_axes(kt.Model(Own())) == {}


AXIS_LAYERS = {
    "Softmax": layers.Softmax,
    "Activation('softmax')": lambda **k: layers.Softmax(**k) if k else layers.Activation("softmax"),
    "Activation('log_softmax')": lambda **k: layers.Activation(
        functools.partial(kt.activations.log_softmax, **k) if k else "log_softmax"
    ),
    "LayerNormalization": layers.LayerNormalization,
    "RMSNormalization": layers.RMSNormalization,
    "UnitNormalization": layers.UnitNormalization,
    "Normalization": lambda **k: layers.Normalization(mean=0.0, variance=1.0, **k),
}


def in_chain(first, *rest):
    return kt.Sequential([first, layers.ReLU(), *rest])


def in_torchs_chain(first, *rest):
    return kt.Model(nn.Sequential(first, nn.ReLU(), *rest))


def in_graph(first, *rest):
    y = torch.relu(kt.call(first, kt.Input((2, 8, 8))))
    for one in rest:
        y = one(y)
    return y


def nested(first, *rest):
    return kt.Sequential([kt.Sequential([first]), kt.Sequential(list(rest))])


FIRST = {
    "Conv2D": lambda: layers.Conv2D(4, 3),
    "nn.Conv2d": lambda: nn.Conv2d(2, 4, 3),
    "MaxPooling2D": lambda: layers.MaxPooling2D(2),
    "BatchNorm2d": lambda: nn.BatchNorm2d(2),
}


@pytest.mark.parametrize("put", [in_chain, in_torchs_chain, in_graph, nested])
@pytest.mark.parametrize("first", FIRST.values(), ids=list(FIRST))
@pytest.mark.parametrize("make", AXIS_LAYERS.values(), ids=list(AXIS_LAYERS))
def test_what_goes_along_the_width_by_default_is_refused_behind_channels_first_layers(make, first, put):
    with pytest.raises(ValueError, match=r"channels are on axis 1, and works along axis -1.*axis=1.*axis=-1"):
        put(first(), make())
    for axis in (1, -1):
        put(first(), make(axis=axis))  # a given one is obeyed
    put(first(), layers.Flatten(), make())
    put(first(), layers.Permute((2, 3, 1)), make())
    put(first(), layers.GlobalMaxPooling2D(), make())


def test_an_axis_that_is_given_is_the_one_that_is_used():
    x = torch.rand(2, 3, 4, 5)
    for axis in (1, -1):
        model = kt.Sequential([layers.ZeroPadding2D(1), layers.Softmax(axis)])
        torch.testing.assert_close(model(x), torch.nn.functional.pad(x, (1, 1, 1, 1)).softmax(axis))
        assert model[1].axis == axis


def test_concatenate_behind_channels_first_layers_needs_its_axis():
    x = kt.Input((2, 8, 8))
    a, b = layers.Conv2D(4, 3)(x), kt.call(nn.Conv2d(2, 5, 3), x)
    for joined in (layers.Concatenate(), layers.concatenate):
        with pytest.raises(ValueError, match=r"Concatenate is behind Conv2D.*axis=1.*axis=-1"):
            joined([a, b])
    assert layers.concatenate([a, b], axis=1).shape == (None, 9, 6, 6)
    assert layers.Concatenate(-1)([a, a]).shape == (None, 4, 6, 12)
    flat = layers.Flatten()(a)
    assert layers.Concatenate()([flat, flat]).shape == (None, 288)


def test_behind_channels_last_layers_the_default_is_right_and_that_of_images_is_refused():
    conv = layers.Conv2D(4, 3, padding="same", data_format="channels_last")
    x = torch.rand(2, 8, 8, 2)
    model = kt.Sequential([conv, layers.LayerNormalization(epsilon=0), layers.Dense(3), layers.Activation("softmax")])
    torch.testing.assert_close(model(x).sum(-1), torch.ones(2, 8, 8))
    for make, cure in (
        (lambda **k: layers.MaxPooling2D(2, **k), {"data_format": "channels_last"}),
        (lambda **k: layers.Conv2D(3, 1, **k), {"data_format": "channels_last"}),
        (lambda **k: layers.GlobalAveragePooling2D(**k), {"data_format": "channels_last"}),
        (lambda **k: layers.SpatialDropout2D(0.5, **k), {"data_format": "channels_last"}),
        (lambda **k: layers.BatchNormalization(**k), {"axis": -1}),
        (lambda **k: layers.GroupNormalization(2, **k), {"axis": -1}),
    ):
        (name, value), *_ = cure.items()
        with pytest.raises(ValueError, match=f"channels are on axis -1, and works along axis 1.*{name}={value!r}"):
            kt.Sequential([conv, make()])
        kt.Sequential([conv, make(**cure)])


def test_sequences_in_torchs_order_are_said_to_layers_that_take_steps_first():
    for make in (lambda: layers.Conv1D(2, 1), layers.BatchNormalization, layers.GlobalMaxPooling1D):
        with pytest.raises(ValueError, match=r"behind Conv1d, whose channels are on axis 1"):
            kt.Sequential([nn.Conv1d(2, 4, 1), make()])
    for layer in (layers.LSTM(3), layers.Bidirectional(layers.GRU(3)), layers.Dense(3)):
        with pytest.warns(UserWarning, match=r"takes the last axis.*Permute\(\(2, 1\)\)"):
            kt.Sequential([nn.Conv1d(2, 4, 1), layer])
        kt.Sequential([nn.Conv1d(2, 4, 1), layers.Permute((2, 1)), layer])


def test_a_dense_over_the_width_is_warned_of_once():
    with pytest.warns(UserWarning, match=r"Dense is behind Conv2D.*Permute\(\(2, 3, 1\)\).*Flatten\(\)") as caught:
        kt.Sequential([kt.Input((2, 8, 8)), layers.Conv2D(4, 3), layers.ReLU(), layers.Dense(3), layers.Flatten()])
    assert len(caught) == 1
    kt.Sequential([layers.Conv2D(4, 3), nn.Linear(6, 3)])  # torch's letter


def test_attention_scores_and_a_forward_of_ones_own_keep_the_last_axis():
    class Scores(kt.Model):
        def __init__(self):
            super().__init__()
            self.conv, self.softmax, self.norm = layers.Conv2D(4, 1), layers.Softmax(), layers.LayerNormalization()

        def forward(self, x):
            return self.softmax(self.norm(self.conv(x)))

    y = Scores()(torch.rand(2, 3, 6, 6))
    torch.testing.assert_close(y.sum(-1), torch.ones(2, 4, 6))


def test_a_loaded_model_computes_what_the_saved_one_did(tmp_path):
    x = torch.rand(2, 2, 8, 8)
    model = kt.Sequential(
        [kt.Input((2, 8, 8)), layers.Conv2D(3, 1), layers.Softmax(axis=1), layers.UnitNormalization(-1)]
    )
    model.save(tmp_path / "m.kt")
    assert torch.equal(kt.load_model(tmp_path / "m.kt")(x), model(x))


@pytest.mark.parametrize("put", ["chain", "graph"])
def test_a_file_in_which_an_axis_is_not_said_still_loads(put, tmp_path):
    """As one of an older version."""
    layer = layers.Activation("relu")
    if put == "chain":
        model = kt.Sequential([kt.Input((2, 8, 8)), layers.Conv2D(3, 1), layer])
    else:
        x = kt.Input((2, 8, 8))
        model = kt.Model(x, layer(layers.Conv2D(3, 1)(x)))
    layer.activation = kt.activations.softmax
    model.save(tmp_path / "m.kt")
    x = torch.rand(2, 2, 8, 8)
    torch.testing.assert_close(kt.load_model(tmp_path / "m.kt")(x), model(x))


def test_normalization_says_that_it_learns_along_the_width_of_images():
    images = torch.rand(4, 3, 8, 9)
    with pytest.warns(UserWarning, match=r"width of the images \(4, 3, 8, 9\).*axis=1.*axis=-1"):
        layers.Normalization().adapt(images)
    for axis, sizes in ((1, (3,)), (-1, (9,))):
        layer = layers.Normalization(axis)
        layer.adapt(images)
        assert layer.mean.shape == sizes
    layers.Normalization().adapt(images.permute(0, 2, 3, 1))


def test_a_layer_that_is_called_twice_says_of_each_call_what_is_known_there():
    inputs = kt.Input((2, 4, 4))
    relu = kt.layers.ReLU()
    known = relu(kt.layers.Conv2D(4, 1)(inputs))
    model = kt.Model(inputs, relu(kt.layers.Permute((2, 3, 1))(known)))
    model.compile("sgd", kt.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="do not tell on which axis the classes lie"):
        model.evaluate(torch.zeros(4, 2, 4, 4), torch.zeros(4, 4, 4, dtype=torch.long), verbose=0)
