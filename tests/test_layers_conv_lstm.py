"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D in models; the formula itself is in the table of layers."""

import pytest
import torch

import kerastorch as kt
from kerastorch.layers import Bidirectional, Conv3D, ConvLSTM1D, ConvLSTM2D, Dense, Flatten, GlobalAveragePooling2D

FRAMES = torch.randn(6, 4, 1, 8, 7, generator=torch.Generator().manual_seed(0))


def test_the_two_formats_compute_the_same():
    first, last = ConvLSTM2D(3, 3, return_state=True), ConvLSTM2D(3, 3, return_state=True, data_format="channels_last")
    expected = first(FRAMES)
    last(FRAMES.movedim(2, -1))
    last.load_state_dict(first.state_dict())
    for one, other in zip(last(FRAMES.movedim(2, -1)), expected, strict=True):
        torch.testing.assert_close(one.movedim(-1, 1), other)


def test_the_bias_of_the_forget_gate_begins_at_one():
    layer = ConvLSTM1D(2, 3)
    layer(torch.zeros(1, 2, 4, 1))
    assert layer.bias_ih.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_both_directions_are_joined_along_the_filters(data_format, return_sequences):
    x = FRAMES if data_format == "channels_first" else FRAMES.movedim(2, -1)
    layer = Bidirectional(ConvLSTM2D(3, 3, data_format=data_format, return_sequences=return_sequences))
    y = layer(x)
    ahead, back = layer.forward_layer(x), layer.backward_layer(x)
    axis = y.ndim - 1 if data_format == "channels_last" else y.ndim - 3
    assert y.shape[axis] == 6
    torch.testing.assert_close(y.narrow(axis, 0, 3), ahead)
    torch.testing.assert_close(y.narrow(axis, 3, 3), back.flip(1) if return_sequences else back)


def test_a_video_model_learns_is_saved_and_loaded(tmp_path):
    kt.utils.set_random_seed(0)
    inputs = kt.Input((4, 1, 8, 7))
    x = ConvLSTM2D(4, 3, padding="same", return_sequences=True, seed=1, dropout=0.1)(inputs)
    x = ConvLSTM2D(4, 3)(x)
    model = kt.Model(inputs, Dense(1)(GlobalAveragePooling2D()(x)))
    y = FRAMES.mean((1, 2, 3, 4)).unsqueeze(-1) * 5
    model.compile("adam", "mse")
    history = model.fit(FRAMES, y, epochs=8, batch_size=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    model.save(tmp_path / "video.kt")
    again = kt.load_model(tmp_path / "video.kt")
    torch.testing.assert_close(torch.as_tensor(again.predict(FRAMES)), torch.as_tensor(model.predict(FRAMES)))
    lines = []
    model.summary(print_fn=lines.append)
    assert "ConvLSTM2D" in "\n".join(lines)


def test_frames_can_be_predicted_by_a_chain_with_conv3d():
    model = kt.Sequential(
        [
            kt.Input((None, 8, 7, 1)),
            ConvLSTM2D(2, 3, padding="same", return_sequences=True, data_format="channels_last"),
            Conv3D(1, 3, padding="same", data_format="channels_last", activation="sigmoid"),
        ]
    )
    assert model(FRAMES.movedim(2, -1)).shape == (6, 4, 8, 7, 1)


def test_a_stateful_layer_goes_on_from_the_batch_before():
    torch.manual_seed(0)
    layer = ConvLSTM2D(2, 3, stateful=True, return_sequences=True)
    whole = layer(FRAMES)
    layer.reset_state()
    torch.testing.assert_close(torch.cat([layer(FRAMES[:, :2]), layer(FRAMES[:, 2:])], 1), whole)


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}])
def test_dropout_is_for_training_and_goes_by_the_seed(options):
    torch.manual_seed(0)
    layer = ConvLSTM2D(2, 3, seed=3, **options)
    assert not torch.equal(layer(FRAMES), layer(FRAMES))
    masks = layer._draws.get_state()
    found = layer(FRAMES)
    layer._draws.set_state(masks)
    assert torch.equal(layer(FRAMES), found)
    assert torch.equal(layer.eval()(FRAMES), layer(FRAMES))


def test_dropout_of_the_inputs_has_the_same_masks_at_all_steps_and_others_for_each_gate():
    torch.manual_seed(0)
    layer = ConvLSTM2D(1, 1, dropout=0.5, return_sequences=True, recurrent_initializer="zeros")
    layer(FRAMES)
    with torch.no_grad():
        layer.bias_ih.copy_(torch.tensor([0.0, -100, 0, 0]))  # a closed forget gate: equal frames have equal outputs
    y = layer(FRAMES[:, :1].expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(y, y[:, :1].expand_as(y))
    z = layer._project_inputs(torch.ones(1, 2, 1, 30, 30)) - layer.bias_ih.view(4, 1, 1)
    dropped = z[0] == 0  # (time, gate, height, width)
    assert torch.equal(dropped[0], dropped[1])
    assert 0.4 < dropped.float().mean() < 0.6
    assert not torch.equal(dropped[0, 0], dropped[0, 2])


def test_frames_that_look_channels_last_are_warned_of():
    with pytest.warns(UserWarning, match=r"batch, time, channels, height, width.*transpose\(0, 1, 4, 2, 3\)"):
        ConvLSTM2D(2, 3)(torch.zeros(2, 5, 16, 16, 3))


@pytest.mark.parametrize(
    ("make", "x", "message"),
    [
        (lambda: ConvLSTM2D(2, 3), torch.zeros(2, 1, 8, 8), "takes 5 axes"),
        (lambda: ConvLSTM2D(2, 9, data_format="channels_first"), torch.zeros(2, 3, 1, 8, 8), "nothing would come out"),
        (lambda: ConvLSTM2D(2, 3, 2, dilation_rate=2), FRAMES, "not both"),
        (lambda: ConvLSTM2D(2, 3, padding="causal"), FRAMES, "causal"),
        (
            lambda: ConvLSTM2D(2, 3),
            torch.nn.utils.rnn.pack_sequence([FRAMES[0], FRAMES[1]]),
            "takes no PackedSequence",
        ),
    ],
)
def test_what_cannot_be_computed_is_an_error(make, x, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()(x)


def test_a_mask_goes_on_behind_a_sequence_and_ends_behind_one_image():
    mask = torch.ones(6, 4, dtype=torch.bool)
    assert ConvLSTM2D(2, 3, return_sequences=True).compute_mask(FRAMES, mask) is mask
    assert ConvLSTM2D(2, 3).compute_mask(FRAMES, mask) is None


def test_a_layer_can_be_flattened_behind_it():
    model = kt.Sequential([kt.Input((4, 8, 2)), ConvLSTM1D(3, 3), Flatten(), Dense(1)])
    assert model(torch.zeros(2, 4, 8, 2)).shape == (2, 1)
