"""text_dataset_from_directory: a folder of text files as a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kerastorch.core.errors import check_int
from kerastorch.preprocessing.file_index import FileOptions, file_dataset


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "torch",  # noqa: A002  # Keras' name
    verbose: bool = True,
) -> Any:
    """Return the texts in a folder as a dataset, with the names of the subfolders as classes.

    Texts are strings. `dataset.map(lambda texts, y: (vectorize(texts), y))` turns them into numbers, with a
    [`TextVectorization`][kerastorch.layers.TextVectorization] that was adapted to `dataset.map(lambda texts, y:
    texts)`.

    Args:
        directory: The folder. With `labels='inferred'` it has a subfolder for each class. Files that end in `.txt` are
            read as UTF-8.
        labels: `'inferred'` (default), `None` for texts without labels, or a list with a label for each file, in the
            order of the sorted paths.
        label_mode: `'int'` (default) for class numbers, int64 `(batch,)`; `'binary'` for 0 and 1, float32
            `(batch, 1)`; `'categorical'` for one-hot rows, float32 `(batch, classes)`; `None` for no labels.
        class_names: Names of the subfolders in the order of their class numbers. Default: all, sorted.
        batch_size: Texts in a batch. Default 32. With `None`, iteration gives single texts.
        max_length: Number of characters after which texts are cut. Default: not cut.
        shuffle: Whether the files are shuffled, and again in each pass. Default `True`. `False` sorts them.
        seed: Seed of the shuffling; required for a shuffled `validation_split`. Default: that of torch, which
            `utils.set_random_seed` sets.
        validation_split: Share of the files for validation, the last ones after shuffling.
        subset: `'training'`, `'validation'` or `'both'`; required with `validation_split`.
        follow_links: Whether linked subfolders are read. Default `False`.
        format: No effect: the result is always a torch `Dataset`. Keras' `'tf'` and `'grain'` are accepted.
        verbose: Whether the numbers of files and classes are printed. Default `True`.

    Returns:
        A [`BatchedDataset`][kerastorch.data.BatchedDataset] with the attributes `class_names` and `file_paths`; for
        `subset='both'` a tuple of two, training and validation. A batch of texts is a list of strings.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: An unknown choice, or no texts. A file that is not UTF-8 raises an error with its name when it is
            read.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, text in (("bad", "too long"), ("good", "a pleasure")):
    ...     (folder / name).mkdir()
    ...     size = (folder / name / "1.txt").write_text(text)
    >>> next(iter(text_dataset_from_directory(folder, shuffle=False)))
    Found 2 files belonging to 2 classes.
    (['too long', 'a pleasure'], tensor([0, 1]))
    """
    length = None if max_length is None else check_int("max_length", max_length)
    options = FileOptions(
        directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset, follow_links,
        format, verbose,
    )  # fmt: skip
    return file_dataset(options, "text files", (".txt",), partial(_read_texts, max_length=length))


def _read_texts(paths: list[str], max_length: int | None) -> list[str]:
    return [_read_text(path)[:max_length] for path in paths]


def _read_text(path: str) -> str:
    """Return the text of a file, with the line ends that it has."""
    try:
        return Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}. Convert it first.") from error
