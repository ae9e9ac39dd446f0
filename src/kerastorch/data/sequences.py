"""Sequences of batches such as Keras' `PyDataset`, and errors for data that may be samples or batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import IterableDataset

from kerastorch.core.errors import warn
from kerastorch.core.nested import leaves
from kerastorch.core.ownership import is_from
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.data.batch_reader import BatchReader
from kerastorch.data.batches import Batch, Batches
from kerastorch.data.loaders import copy_targets
from kerastorch.data.py_dataset import PyDataset
from kerastorch.data.shuffle import permutation
from kerastorch.data.worker_reads import read_in_processes, read_in_threads

_HOOKS = ("on_epoch_begin", "on_epoch_end")
DEFAULT_QUEUE_SIZE = 10  # of Keras


class SequenceBatches:
    """The batches of an object whose `[i]` is batch `i`, in order or in a new order for each pass.

    The methods `on_epoch_begin` and `on_epoch_end` of the object, if it has them, are called around each pass. Its
    attributes `workers`, `use_multiprocessing` and `max_queue_size`, if it has them, mean what they mean in Keras.

    Args:
        sequence: `len(sequence)` batches `(x, y)` or `(x, y, sample_weight)`; endless if `num_batches` is `None`.
        shuffle: Whether the order depends on the seed and the number of the pass.
        seed: Seed of the order, together with the number of the pass.
        reader: Reads what the sequence has. Default: `(x, y, sample_weight)` by position.
        workers: Number of threads or processes that read batches. Default: what the object says.
    """

    samples: int | None = None
    batch_size: int | None = None
    targets: Any = None
    has_position = False
    transient = True
    can_repeat = True

    def __init__(
        self, sequence: Any, shuffle: bool, seed: int, *, reader: BatchReader | None = None, workers: int = 0
    ) -> None:
        self._sequence, self._shuffle, self._seed, self._reader = sequence, shuffle, seed, reader or BatchReader()
        self._workers = workers
        self._in_pass = False  # `on_epoch_begin` was called, and `on_epoch_end` was not

    @property
    def exact(self) -> bool:
        return self.steps() is not None

    def steps(self) -> int | None:
        if hasattr(self._sequence, "__len__"):
            return len(self._sequence)
        found: int | None = self._sequence.num_batches
        return found

    def fingerprint(self) -> dict[str, Any]:
        return {"batches": self.steps()}

    def state_dict(self) -> dict[str, Any]:
        keeps = hasattr(self._sequence, "state_dict") and hasattr(self._sequence, "load_state_dict")
        return {"seed": self._seed, "sequence": self._sequence.state_dict() if keeps else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._seed = state["seed"]
        if state["sequence"] is not None:
            self._sequence.load_state_dict(state["sequence"])
        elif any(_has_own_hook(self._sequence, name) for name in _HOOKS):
            warn(
                f"{type(self._sequence).__name__} has an on_epoch_begin or on_epoch_end, and what it remembers from "
                "epoch to epoch is not kept. Training goes on exactly only if that is nothing, or if it has "
                "state_dict() and load_state_dict(state)."
            )

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Call `on_epoch_begin`, and return the batches, after which `on_epoch_end` is called.

        The first hook is called before the iteration, since it may draw random numbers.
        """
        self._call("on_epoch_begin")
        self._in_pass = True
        return self._items(number, start)

    def again(self, number: int) -> Iterator[Batch]:
        return self._ordered(number, 0)  # without the hooks, which may shuffle

    def _items(self, number: int, start: int) -> Iterator[Batch]:
        yield from self._ordered(number, start)
        self.end_pass()

    def _ordered(self, number: int, start: int) -> Iterator[Batch]:
        count = self.steps()
        if count is None:
            order: Iterable[int] = itertools.count(start)
        else:
            order = permutation(count, self._seed, number).tolist() if self._shuffle else range(count)
            order = order[start:]
        return map(copy_targets, self._reader.batches(self._read(order, number, start)))

    def _read(self, order: Iterable[int], number: int, start: int) -> Iterator[Any]:
        """Return the items of the sequence in an order, read as its attributes say."""
        workers = self._workers or _whole_number(self._sequence, "workers", 1)
        ahead = _whole_number(self._sequence, "max_queue_size", DEFAULT_QUEUE_SIZE)
        if workers and getattr(self._sequence, "use_multiprocessing", False) is True and self.exact:
            return read_in_processes(
                self._sequence, order, workers=workers, ahead=ahead, seed=self._seed, epoch=number, start=start
            )
        if workers > 1:
            return read_in_threads(self._sequence.__getitem__, order, workers=workers, ahead=ahead)
        return map(self._sequence.__getitem__, order)

    def end_pass(self) -> None:
        """Call `on_epoch_end`, unless it was called; for passes that end before the last batch."""
        if self._in_pass:
            self._in_pass = False
            self._call("on_epoch_end")

    def _call(self, hook: str) -> None:
        found = getattr(self._sequence, hook, None)
        if callable(found):
            found()


def check_ends(batches: Batches, name: str) -> None:
    """Raise if batches never end.

    Args:
        batches: The batches of a pass.
        name: Name of the argument that limits their number.

    Raises:
        ValueError: They are those of a `PyDataset` whose `num_batches` is `None`.
    """
    if isinstance(batches, SequenceBatches) and batches.steps() is None:
        raise ValueError(f"the PyDataset has num_batches = None, so its batches never end. Set {name}.")


def _whole_number(sequence: Any, name: str, default: int) -> int:
    """Return an attribute of a sequence, or the default if it has none that is a whole number."""
    found = getattr(sequence, name, default)
    return found if isinstance(found, int) and found >= 0 else default


def _has_own_hook(sequence: Any, name: str) -> bool:
    """Return whether a sequence has a hook of this name other than the empty one of `PyDataset`."""
    owner = next((kind for kind in type(sequence).__mro__ if name in vars(kind)), None)
    return owner is not None and owner is not PyDataset and not is_from(owner, "keras")


def is_sequence_of_batches(x: Any) -> bool:
    """Return whether the items of an object are batches, and not samples.

    Keras' `PyDataset` and torch's `Dataset` have the same methods, `len` and `[i]`, but `[i]` is a batch in one and a
    sample in the other. The class decides if it is known, else the first item. An item that may be either is an
    error, because a wrong guess would train on the wrong axis without an error.

    Args:
        x: An object with `len` and `[i]` that is no `torch.utils.data.Dataset`.

    Raises:
        TypeError: The items may be either.
    """
    if any(callable(getattr(x, name, None)) for name in _HOOKS) or is_py_dataset(x):
        return True
    if hasattr(x, "__getitems__") or not len(x):  # torch calls `__getitems__` for several samples at once
        return False
    with preserved_rng_states():  # a sample drawn at random is drawn again, with the same values, in the first pass
        first = x[0]
    if may_be_a_batch(first):
        raise TypeError(
            f"{type(x).__name__} has len() and [i], but does not say whether [0], {shapes_in(first)}, is a sample or a "
            "batch. If it is a sample, make the class a subclass of torch.utils.data.Dataset; if it is a batch, give "
            f"it a method on_epoch_end, or pass DataLoader({type(x).__name__}(...), batch_size=None)."
        )
    return False


def is_py_dataset(x: Any) -> bool:
    """Return whether an object is a `PyDataset`, or a `PyDataset` or `Sequence` of Keras."""
    return any(map(_of_keras, type(x).__mro__))


def _of_keras(kind: type) -> bool:
    """Return whether a class is Keras' `PyDataset` or `Sequence`."""
    return kind.__name__ == "PyDataset" or (
        kind.__name__ == "Sequence" and is_from(kind, "keras", "tensorflow", "tf_keras")
    )


def may_be_a_batch(item: Any) -> bool:
    """Return whether an item may be a batch: the first axes of all parts have the same length above 1.

    If all parts are vectors, they are a batch only if all of them hold integers: floats are the features of one sample.
    """
    parts = [leaf for _, leaf in leaves(item)]
    shapes = [tuple(getattr(part, "shape", ())) for part in parts]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or min(lengths) < 2:
        return False
    whole = all(_is_whole(part) for part in parts)
    return whole or any(len(shape) > 1 for shape in shapes)


def _is_whole(part: Any) -> bool:
    dtype = part.dtype
    return not dtype.is_floating_point if isinstance(dtype, torch.dtype) else getattr(dtype, "kind", "") in "biu"


def shapes_in(item: Any) -> str:
    """Return the shapes of an item, for messages."""
    return " and ".join(str(tuple(leaf.shape)) for _, leaf in leaves(item))


class Samples(IterableDataset[Any]):
    """The samples of an `IterableDataset`, which must not yield batches.

    Args:
        dataset: Yields samples.

    Raises:
        TypeError: The first item may be a batch; raised when it is drawn.
    """

    def __init__(self, dataset: IterableDataset[Any]) -> None:
        self._dataset = dataset

    def set_epoch(self, epoch: int) -> None:
        """Pass the number of the epoch to the dataset, if it has a method `set_epoch`."""
        set_epoch = getattr(self._dataset, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        items = iter(self._dataset)
        for first in items:
            if may_be_a_batch(first):
                raise TypeError(
                    f"the {type(self._dataset).__name__} yields {shapes_in(first)}, which may be a sample or a batch. "
                    "Pass DataLoader(dataset, batch_size=None) if these are batches, or "
                    "DataLoader(dataset, batch_size=32) if they are samples."
                )
            yield first
            break
        yield from items
