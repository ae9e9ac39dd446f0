"""Pipeline, MelSpectrogram in a model, and STFTSpectrogram."""

import json

import pytest
import torch

import kerastorch as kt
from kerastorch.layers import Conv2D, Dense, Flatten, MelSpectrogram, Pipeline, RandomFlip, Rescaling, STFTSpectrogram


def test_a_pipeline_is_its_layers_in_a_row_in_training_and_evaluation():
    x = torch.rand(4, 3, 6, 6)
    pipeline = Pipeline([Rescaling(2.0), RandomFlip("horizontal", seed=1)])
    found = pipeline(x)
    assert torch.equal(found, RandomFlip("horizontal", seed=1)(2 * x))
    assert torch.equal(pipeline.eval()(x), 2 * x)
    config = json.loads(json.dumps(pipeline.get_config()))
    assert torch.equal(Pipeline.from_config(config)(x), found)


def test_its_layers_train_and_are_saved(tmp_path):
    model = kt.Sequential([kt.Input((3, 6, 6)), Pipeline([Conv2D(2, 3, activation="relu"), Flatten()]), Dense(1)])
    x = torch.rand(8, 3, 6, 6)
    model.compile("adam", "mse")
    before = model.get_weights()[0].copy()
    model.fit(x, x.mean((1, 2, 3))[:, None], epochs=2, verbose=0)
    assert (model.get_weights()[0] != before).any()
    model.save(tmp_path / "pipeline.kt")
    assert torch.equal(kt.load_model(tmp_path / "pipeline.kt")(x), model(x))


def test_what_is_no_list_of_layers_is_refused():
    with pytest.raises(TypeError, match="takes a list of layers"):
        Pipeline(Rescaling(2.0))
    with pytest.raises(TypeError, match="takes a list of layers"):
        Pipeline([abs])


def test_a_tone_is_at_its_pitch_and_one_sound_does_not_change_another():
    time = torch.arange(16000) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * time) for hertz in (200.0, 1000.0, 4000.0)])
    layer = MelSpectrogram(num_mel_bins=64)
    y = layer(tones)
    assert y.shape == (3, 64, 32)
    loudest = y.mean(-1).argmax(1)
    mel = lambda hertz: 2595 * torch.log10(1 + torch.as_tensor(hertz) / 700)  # noqa: E731
    edges = torch.linspace(mel(20.0).item(), mel(8000.0).item(), 66)
    assert torch.equal(loudest, torch.stack([(edges[1:-1] - mel(hertz)).abs().argmin() for hertz in (200.0, 1e3, 4e3)]))
    torch.testing.assert_close(layer(tones[:1] / 1000), layer(torch.stack([tones[0] / 1000, tones[1]]))[:1])
    torch.testing.assert_close(layer(tones[0]), y[0])


def test_a_model_of_sounds_is_saved_without_its_tables(tmp_path):
    inputs = kt.Input((2000,))
    model = kt.Model(inputs, Dense(1)(Flatten()(MelSpectrogram(256, 100, num_mel_bins=10)(inputs))))
    assert len(model.state_dict()) == 2
    model.save(tmp_path / "sound.kt")
    x = torch.rand(3, 2000)
    torch.testing.assert_close(kt.load_model(tmp_path / "sound.kt")(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fft_length": 10, "sequence_length": 20}, "at most fft_length=10"),
        ({"window": "blackman"}, "window"),
        ({"fft_length": 4, "window": [1.0, 2.0]}, "sequence_length=4 of them"),
        ({"min_freq": 9000.0}, "max_freq"),
        ({"num_mel_bins": 0}, "num_mel_bins"),
    ],
)
def test_a_spectrogram_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MelSpectrogram(**options)


def _spectrum(x, window, step=8):
    """The Fourier transforms of frames by torch, `(batch, windows, frequencies)`."""
    size = window.numel()
    return torch.stft(x, size, step, window=window, center=False, return_complex=True).mT / window.square().sum().sqrt()


def test_the_kernels_of_a_spectrogram_begin_as_the_fourier_transform():
    x = torch.randn(3, 64, dtype=torch.float64)
    expected = _spectrum(x, torch.hann_window(16, periodic=False, dtype=torch.float64))
    for mode, value in (("real", expected.real), ("imag", expected.imag), ("magnitude", expected.abs())):
        found = STFTSpectrogram(mode, 16).double()(x[..., None])
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-3)  # Keras sets powers below 1e-7 to it
    angle = STFTSpectrogram("angle", 16).double()(x[..., None])
    torch.testing.assert_close(
        torch.polar(torch.ones_like(angle), angle), torch.polar(torch.ones_like(angle), expected.angle())
    )
    power = STFTSpectrogram("psd", 16).double()(x[..., None])
    twice = torch.tensor([1.0] + [2.0] * 7 + [1.0])
    torch.testing.assert_close(power, expected.abs().square() * twice)


def test_a_spectrogram_is_trained_unless_it_is_frozen():
    for trainable, kernels in ((True, 2), (False, 0)):
        model = kt.Sequential([kt.Input((64, 1)), STFTSpectrogram(frame_length=16, trainable=trainable)])
        assert len(model.trainable_weights) == kernels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_length": 8, "frame_step": 9}, "frame_step"),
        ({"frame_length": 8, "fft_length": 7}, "fft_length"),
        ({"frame_length": 8, "window": [1.0]}, "window"),
        ({"window": "square"}, "window"),
        ({"mode": "power"}, "mode"),
    ],
)
def test_a_fourier_transform_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        STFTSpectrogram(**options)


def test_a_sound_that_is_shorter_than_a_window_is_an_error():
    with pytest.raises(ValueError, match="windows of 256 samples"):
        STFTSpectrogram()(torch.zeros(2, 1, 300))


def test_the_spectrogram_is_an_image_for_convolutions(tmp_path):
    inputs = kt.Input((256, 1))
    image = STFTSpectrogram(frame_length=32, expand_dims=True)(inputs)
    model = kt.Model(inputs, Flatten()(Conv2D(2, 3, data_format="channels_last")(image)))
    model.save(tmp_path / "image.kt")
    x = torch.randn(2, 256, 1)
    torch.testing.assert_close(kt.load_model(tmp_path / "image.kt")(x), model(x))
