"""Folders of WAV files as datasets, beside the values of TensorFlow and NumPy."""

import json
import pathlib

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from support.make_folder_values import sounds, write_sound

import kerastorch as kt

from_directory = kt.utils.audio_dataset_from_directory
VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())["audio"]


@pytest.fixture
def folder(tmp_path):
    for number, samples in enumerate(sounds()):
        write_sound(tmp_path / f"{number}.wav", samples)
    return tmp_path


@pytest.mark.parametrize("length", [None, 4])
def test_sounds_are_those_that_keras_reads(folder, length):
    dataset = from_directory(folder, labels=None, shuffle=False, output_sequence_length=length, verbose=False)
    found = next(iter(dataset))
    assert found.dtype == torch.float32
    assert np.allclose(found.numpy(), np.array(VALUES[str(length)]), atol=1e-7)  # (3, time, 2)


def test_a_single_sound_has_its_own_length(folder):
    dataset = from_directory(folder, labels=[0, 1, 0], shuffle=False, batch_size=None, verbose=False)
    assert [(len(x), int(y)) for x, y in dataset] == [(5, 0), (8, 1), (3, 0)]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("int16", [-32768, 0, 16384]),
        ("int32", [-(2**31), 0, 2**30]),
        ("uint8", [0, 128, 192]),
        ("float32", [-1, 0, 0.5]),
    ],
)
def test_every_kind_of_sample_goes_from_minus_one_to_one(tmp_path, dtype, values):
    wavfile.write(tmp_path / "a.wav", 8000, np.array(values, dtype=dtype))
    assert from_directory(tmp_path, labels=None, verbose=False)[0].tolist() == [[-1.0], [0.0], [0.5]]


def test_sounds_are_resampled(tmp_path):
    time = np.arange(8000) / 8000
    wavfile.write(tmp_path / "a.wav", 8000, np.sin(2 * np.pi * 50 * time).astype("float32"))
    found = from_directory(tmp_path, labels=None, sampling_rate=2000, verbose=False)[0][:, 0].numpy()
    assert len(found) == 2000
    inner = slice(100, -100)  # the filter sees silence beyond both ends
    assert np.allclose(found[inner], np.sin(2 * np.pi * 50 * np.arange(2000) / 2000)[inner], atol=0.01)


def test_a_convolution_trains_on_sounds(folder):
    model = kt.Sequential([kt.layers.Conv1D(2, 2), kt.layers.GlobalAveragePooling1D(), kt.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(from_directory(folder, labels=[0.5, 1.0, 2.0], batch_size=2, seed=0, verbose=False), verbose=0)


def test_wrong_arguments_and_files_are_named(folder):
    with pytest.raises(ValueError, match="ragged=True is not there"):
        from_directory(folder, ragged=True)
    with pytest.raises(ValueError, match="sampling_rate must be an integer >= 1"):
        from_directory(folder, sampling_rate=0)
    (folder / "0.wav").write_bytes(b"RIFF no sound")
    dataset = from_directory(folder, labels=None, shuffle=False, verbose=False)
    with pytest.raises(ValueError, match=r"0\.wav cannot be read as a WAV file"):
        dataset[0]
