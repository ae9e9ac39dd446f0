"""The files of a folder with their classes, divided into training and validation, in the order of Keras."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.console import print_message
from kerastorch.core.errors import check_choice, check_float, mismatch
from kerastorch.core.path_checks import parse_path
from kerastorch.data.batched_dataset import BatchedDataset

_SUBSETS = ("training", "validation", "both")
_LABEL_MODES = ("int", "categorical", "binary")


class FileIndex(NamedTuple):
    """Paths of files, their targets and the names of their classes; the latter two are `None` without labels."""

    paths: list[str]
    targets: Tensor | None
    class_names: list[str] | None

    def part(self, rows: slice) -> FileIndex:
        """Return some of the files."""
        return FileIndex(self.paths[rows], None if self.targets is None else self.targets[rows], self.class_names)


class FileOptions(NamedTuple):
    """The arguments that the functions for folders of images, texts and sounds share."""

    directory: str | os.PathLike[str]
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    format: str
    verbose: bool


def file_dataset(
    options: FileOptions, what: str, suffixes: tuple[str, ...], read: Callable[[list[str]], list[Any]]
) -> Any:
    """Return the dataset of the files in a folder; for `subset="both"` those of training and of validation.

    Args:
        options: The arguments of the caller.
        what: Word for the files in messages, as `"images"`.
        suffixes: Endings of the files, in lower case.
        read: Returns the samples in some files, without their targets.
    """
    if options.label_mode is None:
        options = options._replace(labels=None)
    _check(options)
    found = _index(options, what, suffixes)
    seed = torch.initial_seed() % 2**32 if options.seed is None else options.seed
    if options.shuffle:
        order = np.arange(len(found.paths))
        np.random.RandomState(seed).shuffle(order)
        targets = None if found.targets is None else found.targets[torch.from_numpy(order)]
        found = FileIndex([found.paths[row] for row in order], targets, found.class_names)

    def dataset(part: FileIndex, shuffle: bool) -> BatchedDataset:
        paths, targets, class_names = part
        return BatchedDataset(
            _Files(paths, targets, read),
            batch_size=options.batch_size,
            shuffle=shuffle,
            seed=options.seed,
            class_names=class_names,
            file_paths=paths,
            targets=targets,
        )

    if options.subset is None or options.validation_split is None:
        return dataset(found, options.shuffle)
    training, validation = _split(found, options, what)
    if options.subset == "both":
        return dataset(training, options.shuffle), dataset(validation, False)
    return dataset(training if options.subset == "training" else validation, options.shuffle)


class _Files:
    """Samples in files: what `read` finds in a file, with its target if there is one."""

    def __init__(self, paths: list[str], targets: Tensor | None, read: Callable[[list[str]], list[Any]]) -> None:
        self._paths, self._targets, self._read = paths, targets, read

    def __len__(self) -> int:
        return len(self._paths)

    def checksum(self) -> int:
        # of the paths below the folder that has all files, which may have been moved
        start = len(os.path.commonpath([os.path.dirname(path) for path in self._paths]))
        return zlib.crc32("\0".join(path[start:] for path in self._paths).encode())

    def read(self, rows: Sequence[int]) -> list[Any]:
        samples = self._read([self._paths[row] for row in rows])
        if self._targets is None:
            return samples
        return list(zip(samples, self._targets[list(rows)], strict=True))


def _check(options: FileOptions) -> None:
    """Raise for arguments that exclude each other, with the rules of Keras."""
    labels, subset = options.labels, options.subset
    if isinstance(labels, str) and labels != "inferred":
        raise mismatch("labels", labels, "'inferred', None or a list with a label for each file")
    if options.class_names is not None and not isinstance(labels, str):
        raise ValueError("class_names can only be given with labels='inferred': it names folders.")
    if options.label_mode is not None:
        check_choice("label_mode", options.label_mode, _LABEL_MODES)
    check_choice("format", options.format, ("torch", "tf", "grain"))
    if subset is not None:
        check_choice("subset", subset, _SUBSETS)
    if (options.validation_split is None) != (subset is None):
        raise ValueError(
            "validation_split and subset belong together: pass both, as validation_split=0.2, subset='both'."
        )
    if options.validation_split is not None:
        check_float("validation_split", options.validation_split, above=0, below=1)
        if options.shuffle and options.seed is None:
            raise ValueError(
                "validation_split with shuffle=True needs a seed, so that training and validation have no file in "
                "common: pass seed=0, or shuffle=False."
            )


def _index(options: FileOptions, what: str, suffixes: tuple[str, ...]) -> FileIndex:
    """Return the files of the folder, sorted, with their targets."""
    folder = parse_path("directory", options.directory)
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else f"does not exist; the working folder is {os.getcwd()}"
        raise (NotADirectoryError if folder.exists() else FileNotFoundError)(f"directory {folder} {kind}.")
    is_inferred = isinstance(options.labels, str)
    names = _class_folders(folder, options.class_names) if is_inferred else [""]
    by_class = [_files_below(folder / name, suffixes, options.follow_links) for name in names]
    paths = [path for files in by_class for path in files]
    numbers: Any = np.repeat(np.arange(len(names)), [len(files) for files in by_class])
    if options.labels is None:
        _report(options.verbose, f"Found {len(paths)} files.")
        numbers = class_names = None
    else:
        if not is_inferred:
            numbers = _given_labels(options.labels, len(paths), folder)
            names = [str(label) for label in sorted(set(numbers.tolist()))]
        class_names = names
        _report(options.verbose, f"Found {len(paths)} files belonging to {len(names)} classes.")
    if not paths:
        raise ValueError(_nothing_found(folder, what, suffixes, is_inferred))
    targets = None if class_names is None else _encode(numbers, str(options.label_mode), class_names)
    return FileIndex(paths, targets, class_names)


def _class_folders(folder: Path, chosen: Sequence[str] | None) -> list[str]:
    """Return the names of the subfolders, sorted, or the chosen ones in the given order."""
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if chosen is None:
        return found
    absent = [name for name in chosen if name not in found]
    if absent:
        raise ValueError(f"class_names has {absent[0]!r}, but the folders in {folder} are {found}.")
    return list(chosen)


def _files_below(folder: Path, suffixes: tuple[str, ...], follow_links: bool) -> list[str]:
    """Return the files with these endings in a folder and its subfolders, sorted by folder and name."""
    walked = sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0])
    return [
        os.path.join(root, name)
        for root, _, names in walked
        for name in sorted(names)
        if name.lower().endswith(suffixes)
    ]


def _given_labels(labels: Any, count: int, folder: Path) -> np.ndarray[Any, Any]:
    """Return the labels of a list as an array."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise TypeError(f"labels must be 'inferred', None or a list of numbers, one for each file, got {labels!r}.")
    if len(array) != count:
        raise ValueError(f"labels has {len(array)} entries, and {folder} has {count} files.")
    return array


def _encode(numbers: np.ndarray[Any, Any], mode: str, class_names: list[str]) -> Tensor:
    """Return class numbers as targets: int64 `(n,)`, float32 `(n, 1)`, or one-hot rows, float32 `(n, classes)`."""
    is_whole = numbers.dtype.kind in "biu"
    if mode == "int":
        return torch.as_tensor(numbers.astype(np.int64 if is_whole else np.float32))
    if mode == "binary" and len(class_names) != 2:
        raise ValueError(f"label_mode='binary' is for 2 classes, and there are {len(class_names)}: {class_names}.")
    invalid = numbers[(numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= len(class_names))]
    if invalid.size:
        raise ValueError(f"label_mode={mode!r} takes labels from 0 to {len(class_names) - 1}, got {invalid[0]}.")
    if mode == "binary":
        return torch.as_tensor(numbers.astype(np.float32))[:, None]
    return torch.eye(len(class_names))[torch.as_tensor(numbers.astype(np.int64))]


def _split(found: FileIndex, options: FileOptions, what: str) -> tuple[FileIndex, FileIndex]:
    """Return the files of training and the last share of the files for validation."""
    count = int(float(options.validation_split or 0) * len(found.paths))
    if not 0 < count < len(found.paths):
        raise ValueError(
            f"No {'validation' if count == 0 else 'training'} {what} found in directory {options.directory}: "
            f"validation_split={options.validation_split} of {len(found.paths)} files is {count}."
        )
    if options.subset in ("training", "both"):
        _report(options.verbose, f"Using {len(found.paths) - count} files for training.")
    if options.subset in ("validation", "both"):
        _report(options.verbose, f"Using {count} files for validation.")
    return found.part(slice(None, -count)), found.part(slice(-count, None))


def _report(verbose: bool, sentence: str) -> None:
    if verbose:
        print_message(sentence)


def _nothing_found(folder: Path, what: str, suffixes: tuple[str, ...], is_inferred: bool) -> str:
    """Return the message for a folder without files, with advice if the files are not in subfolders."""
    message = f"No {what} found in directory {folder}. Endings that are read: {', '.join(suffixes)}."
    direct = sum(entry.name.lower().endswith(suffixes) for entry in folder.iterdir() if entry.is_file())
    if is_inferred and direct:
        message += (
            f" labels='inferred' needs a subfolder for each class, and {direct} {what} are in the folder itself; "
            "labels=None reads these without labels."
        )
    return message
