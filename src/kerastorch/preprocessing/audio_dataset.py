"""audio_dataset_from_directory: a folder of WAV files as a dataset."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.errors import check_int
from kerastorch.preprocessing.file_index import FileOptions, file_dataset


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Return the WAV files in a folder as a dataset, with the names of the subfolders as classes.

    SciPy reads the files, and resamples them.

    Args:
        directory: The folder. With `labels='inferred'` it has a subfolder for each class. Files that end in `.wav` are
            read.
        labels: `'inferred'` (default), `None` for sounds without labels, or a list with a label for each file, in the
            order of the sorted paths.
        label_mode: `'int'` (default) for class numbers, int64 `(batch,)`; `'binary'` for 0 and 1, float32
            `(batch, 1)`; `'categorical'` for one-hot rows, float32 `(batch, classes)`; `None` for no labels.
        class_names: Names of the subfolders in the order of their class numbers. Default: all, sorted.
        batch_size: Sounds in a batch. Default 32. With `None`, iteration gives single sounds.
        sampling_rate: Samples per second to which all sounds are resampled. Default: those of the file.
        output_sequence_length: Length to which sounds are cut, or filled with silence at the end. Default: the longest
            of each batch.
        ragged: Only `False`; torch has no ragged batches that layers take.
        shuffle: Whether the files are shuffled, and again in each pass. Default `True`. `False` sorts them.
        seed: Seed of the shuffling; required for a shuffled `validation_split`. Default: that of torch, which
            `utils.set_random_seed` sets.
        validation_split: Share of the files for validation, the last ones after shuffling.
        subset: `'training'`, `'validation'` or `'both'`; required with `validation_split`.
        follow_links: Whether linked subfolders are read. Default `False`.
        verbose: Whether the numbers of files and classes are printed. Default `True`.

    Returns:
        A [`BatchedDataset`][kerastorch.data.BatchedDataset] with the attributes `class_names` and `file_paths`; for
        `subset='both'` a tuple of two, training and validation.

    Shape: Sounds are float32 from -1 to 1, `(time, channels)`; in a batch `(batch, time, channels)`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: An unknown choice, or no sounds. A file that cannot be decoded raises an error with its name when it
            is read.
    """
    if ragged:
        raise ValueError(
            "ragged=True is not there: layers of torch take no ragged batches. Leave it out; sounds are filled with "
            "silence up to the longest of a batch."
        )
    rate = None if sampling_rate is None else check_int("sampling_rate", sampling_rate)
    length = None if output_sequence_length is None else check_int("output_sequence_length", output_sequence_length)
    options = FileOptions(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
        "torch", verbose,
    )  # fmt: skip
    return file_dataset(options, "audio files", (".wav",), partial(_read_sounds, rate=rate, length=length))


def _read_sounds(paths: list[str], rate: int | None, length: int | None) -> list[Tensor]:
    """Return the sounds in files, all of the same length."""
    sounds = [_read_sound(path, rate) for path in paths]
    common = max(map(len, sounds)) if length is None else length
    return [F.pad(sound[:common], (0, 0, 0, max(0, common - len(sound)))) for sound in sounds]


def _read_sound(path: str, rate: int | None) -> Tensor:
    """Return the sound in a WAV file, float32 `(time, channels)` from -1 to 1."""
    from scipy.io import wavfile  # loaded with the first file, since it takes a moment

    try:
        given_rate, samples = wavfile.read(path)
    except (ValueError, EOFError, struct.error) as error:
        raise ValueError(f"{path} cannot be read as a WAV file: {error}") from error
    sound = _scaled(samples if samples.ndim == 2 else samples[:, None])
    if rate is not None and rate != given_rate:
        from scipy.signal import resample_poly

        common = math.gcd(rate, given_rate)
        sound = resample_poly(sound, rate // common, given_rate // common, axis=0)
    return torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32))


def _scaled(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return samples as floats from -1 to 1; integers are divided by the largest of their dtype plus one."""
    if samples.dtype.kind == "f":
        return samples
    if samples.dtype == np.uint8:  # 8 bits are the only unsigned samples; silence is 128
        return (samples.astype(np.float32) - 128) / 128
    return samples / np.float64(2 ** (8 * samples.dtype.itemsize - 1))
