"""BatchReader: what a loader, dataset, generator or sequence yields, read as `(x, y, sample_weight)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.forward_inputs import ForwardInputs
from kerastorch.core.nested import holds_tensors, is_object, is_record, leaves
from kerastorch.data.arrays import to_tensors
from kerastorch.data.batches import Batch
from kerastorch.data.named_batches import TARGETS, read_keys, read_one_input, refusal
from kerastorch.data.prepared_batches import PrepareBatch, prepared_parts
from kerastorch.data.sample_lists import read_sample_lists
from kerastorch.data.target_parameter import check_no_third_item, target_name, with_target

FIELDS = ("x", "y", "sample_weight")


@dataclasses.dataclass(frozen=True)
class BatchReader:
    """Reads the items that data yield as batches.

    An item is `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. Several inputs without a tuple, `(a, b, y)`,
    are read if `forward` requires them. A dict is read by the names of the parameters of `forward`, and by names of
    targets such as `'label'`. An object goes to the model as it is, and its attribute `y` is the target.

    Args:
        forward: What the `forward` of the model takes; `None` if it is unknown.
        prepare: `compile(prepare_batch=)`, which is given each item and returns its parts; `None` if there is none.
        inputs_only: Whether targets and weights are dropped, for `predict`.
        keeps_items: Whether dicts and objects are passed on whole, for a step of the user's own.
        needs_target: Whether the loss needs a target.
        passes_target: Whether the target is also passed to the parameter that `forward` has for it, as by models that
            compute their loss.
        row_axes: Number of axes of a row of the only input; -1 if it is unknown.
        said: Sentences that were said already, and are not said again.
    """

    forward: ForwardInputs | None = None
    prepare: PrepareBatch | None = None
    inputs_only: bool = False
    keeps_items: bool = False
    needs_target: bool = False
    passes_target: bool = False
    row_axes: int = -1
    said: set[str] = dataclasses.field(default_factory=set)

    def batches(self, items: Iterator[Any]) -> Iterator[Batch]:
        """Yield the batch that each item is.

        Warns:
            UserWarning: The sample weights of the first batch are integers, or an item was read in another way than
                `(x, y, sample_weight)`.
        """
        for item in items:
            batch = self(item)
            warn_of_integer_weights(batch.sample_weight)
            yield batch
            break
        yield from map(self, items)

    def __call__(self, item: Any) -> Batch:
        """Return the batch that an item is.

        Raises:
            ValueError: The item has too many parts, or keys that `forward` does not take.
            TypeError: The third part is text.
        """
        if isinstance(item, Batch):
            batch = item
        elif self.prepare is not None:
            batch = _batch_of(prepared_parts(self.prepare, item, inputs_only=self.inputs_only))
        else:
            batch = self._read(item)
        return Batch(batch.x, None, None) if self.inputs_only else self.with_target(batch)

    def with_target(self, batch: Batch) -> Batch:
        """Return a batch whose target is also an input, if the model computes the loss from it."""
        if not self.passes_target or self.inputs_only or self.forward is None:
            return batch
        check_no_third_item(batch, self.forward)
        return batch._replace(x=with_target(batch.x, batch.y, self.forward))

    def _read(self, item: Any) -> Batch:
        if isinstance(item, Mapping):
            return self.read_dict(item)
        # a list of texts is one input; a list of texts beside labels is a pair
        if isinstance(item, (tuple, list)) and not is_object(item) and not (item and all(map(is_text, item))):
            return self._read_parts(tuple(item))
        if isinstance(item, (Tensor, np.ndarray)) or self.keeps_items:
            return _batch_of((item,))
        has_attributes = is_object(item) or is_record(item) or holds_tensors(item)
        return self._read_object(item) if has_attributes else _batch_of((item,))

    def _read_parts(self, parts: tuple[Any, ...]) -> Batch:
        """Read a tuple or list: `(x, y, sample_weight)`, or the inputs of a `forward` with several, then these."""
        required = self._required()
        found = None if self.forward is None or self.keeps_items else read_sample_lists(parts, self.forward)
        if found is not None:
            inputs, targets = found
            return Batch(
                {name: one for name, one in inputs.items() if not self.inputs_only or one is not targets}, targets, None
            )
        count = len(required)
        is_flat = count > 1 and len(parts) >= count and not any(map(_is_container, parts[:count]))
        if is_flat and len(parts) <= count + 2:
            x, left = parts[:count], parts[count:]
            names = ", ".join(required)
            if not left and self.needs_target and not self.inputs_only:
                raise ValueError(
                    f"a batch has {count} items, which forward({names}) needs as inputs, and none is left for the "
                    f"target. Yield (({names}), y)."
                )
            if self.inputs_only or not left:
                return _batch_of((x,))
            self.say(
                f"forward({names}) requires {count} inputs: the first {count} items of a batch are taken as these, and "
                f"the next one as the target. Yield (({names}), y), which says so."
            )
            return _batch_of((x, *left))
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"a batch has {len(parts)} items; expected (x,), (x, y) or (x, y, sample_weight). Another order "
                "goes into compile(prepare_batch=lambda batch: (batch[0], batch[1]))."
            )
        return _batch_of(parts[:1] if self.inputs_only else parts)

    def _required(self) -> tuple[str, ...]:
        """Return the inputs that `forward` requires, without the target that it gets from `y`."""
        if self.forward is None or self.keeps_items:
            return ()
        target = target_name(self.forward) if self.passes_target and not self.inputs_only else None
        return tuple(name for name in self.forward.required if name != target)

    @property
    def reads_tensors_as_arrays(self) -> bool:
        """Return whether the tensors of a `TensorDataset` are `x`, `y` and `sample_weight`, read without its items."""
        return self.prepare is None and len(self._required()) < 2

    def read_dict(self, item: Mapping[Any, Any]) -> Batch:
        """Read a dict by its keys.

        Raises:
            ValueError: The keys do not show which values are the inputs and which one is the target.
        """
        if self.keeps_items or self.forward is None:
            return _batch_of((item,))
        taken = self.forward.takes
        # a TensorDict iterates over its rows, so that the keys are asked for
        keys = tuple(key for key in list(item.keys()) if not self.inputs_only or key not in TARGETS or taken(key))
        found = read_keys(keys, self.forward)
        if found is None:
            return self._one_argument(item, self.forward)
        if found.target is not None and found.target not in found.inputs and not self.inputs_only:
            self.say(found.sentence())
        x = {key: item[key] for key in found.inputs}
        return _batch_of((x, None if found.target is None else item[found.target]))

    def read_arrays(self, arrays: Mapping[Any, Any]) -> Batch:
        """Return a dict of whole arrays as inputs, and as targets if its keys show which array they are."""
        if self.keeps_items or self.forward is None or read_keys(tuple(arrays.keys()), self.forward) is None:
            return Batch(arrays, None, None)
        return self.read_dict(arrays)

    def _one_argument(self, item: Mapping[Any, Any], forward: ForwardInputs) -> Batch:
        """Return a dict whose keys say nothing as the one argument of `forward`, unless that cannot be meant."""
        keys = tuple(item.keys())
        knows_some = any(map(forward.takes, keys))
        if is_object(item) and not knows_some and len(forward.required) == 1:
            return self._whole_dict(item)
        only = read_one_input(keys, forward) if self.needs_target else None
        if only is not None and (self.inputs_only or only.target is not None):
            if not self.inputs_only:
                self.say(
                    f"a batch is a dict: {only.inputs[0]!r} is taken as the only input of forward"
                    f"({forward.required[0]}), and {only.target!r} as the target."
                )
            return _batch_of((item[only.inputs[0]], None if only.target is None else item[only.target]))
        if knows_some or len(forward.required) > 1 or (self.needs_target and not self.inputs_only):
            raise refusal(keys, forward)
        return _batch_of((item,))

    def _whole_dict(self, item: Mapping[Any, Any]) -> Batch:
        """Return a dict that moves itself between devices as the input, and the value under a target's name as `y`."""
        targets = [key for key in list(item.keys()) if key in TARGETS]
        if len(targets) != 1 or self.inputs_only:
            return _batch_of((item,))
        kind = type(item).__name__
        self.say(f"a batch is a {kind}: it is the input as a whole, and {targets[0]!r} in it is taken as the target.")
        return _batch_of((item, item[targets[0]]))

    def _read_object(self, item: Any) -> Batch:
        """Read an object: it is the input, and its attribute `y` the target; or its attributes are the inputs."""
        kind, forward = type(item).__name__, self.forward
        fields = _fields(item)
        if forward is not None and fields and read_keys(tuple(fields), forward._replace(takes_any_name=False)):
            return self.read_dict(fields)
        y = getattr(item, "y", None)
        if forward is not None and len(forward.required) > 1 and _has_all(item, forward.required):
            x = {name: getattr(item, name) for name in forward.names if name != "y" and _has_all(item, (name,))}
            self.say(
                f"a batch is a {kind}, and forward({', '.join(forward.required)}) requires several inputs: its "
                f"attributes {', '.join(x)} are taken as these{'' if y is None else ', and y as the target'}."
            )
            return _batch_of((x, y))
        if y is not None and not self.inputs_only:
            self.say(f"a batch is a {kind}: it is the input as a whole, and its attribute y is taken as the target.")
        return _batch_of((item, y))

    def say(self, sentence: str) -> None:
        """Warn of a reading that the data do not show by themselves; each sentence is said once for a `compile`."""
        if sentence not in self.said:
            self.said.add(sentence)
            warn(f"{sentence} compile(prepare_batch=function) reads batches in another way, and without this message.")


def _batch_of(parts: tuple[Any, ...]) -> Batch:
    return Batch(*map(_convert, parts, FIELDS), *(None,) * (3 - len(parts)))


def _convert(part: Any, name: str) -> Any:
    """Convert lists of numbers to tensors, and return other parts of a batch unchanged.

    Raises:
        TypeError: The part is text in place of sample weights.
    """
    values = list(part.values()) if isinstance(part, Mapping) else [part]
    if name == "sample_weight" and any(map(is_text, values)):
        raise TypeError(
            "the third item of a batch holds text, and is taken as sample weights: a batch is (x, y, sample_weight). "
            "Leave it out: (x, y), or pass compile(prepare_batch=lambda batch: batch[:2])."
        )
    is_nested = name == "sample_weight" and isinstance(part, (tuple, Mapping))
    if is_nested or (isinstance(part, list) and _holds_numbers(part)):
        return to_tensors(part, f"{name} of a batch")
    return part


def _holds_numbers(part: list[Any]) -> bool:
    """Return whether all values in a list are numbers, arrays or tensors."""
    return bool(part) and all(
        isinstance(leaf, (Tensor, np.ndarray, np.generic, int, float)) for _, leaf in leaves(part)
    )


def _is_container(part: Any) -> bool:
    return isinstance(part, (tuple, list, Mapping)) and not is_object(part)


def is_text(part: Any) -> bool:
    """Return whether a value is text, an array of text, or a list that begins with one."""
    if isinstance(part, (tuple, list)):
        return len(part) > 0 and is_text(part[0])
    return isinstance(part, (str, bytes)) or getattr(getattr(part, "dtype", None), "kind", "n") in "USOT"


def _fields(item: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name that are not `None`; none of another object."""
    if not dataclasses.is_dataclass(item):
        return {}
    found = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    return {name: value for name, value in found.items() if value is not None}


def _has_all(item: Any, names: tuple[str, ...]) -> bool:
    """Return whether an object has a value under each name; methods do not count."""
    values = [getattr(item, name, None) for name in names]
    return all(value is not None and not callable(value) for value in values)


def warn_of_integer_weights(weight: Any) -> None:
    """Warn if the third item of a batch holds integers, which are rarely weights.

    Warns:
        UserWarning: The item holds integers.
    """
    for _, leaf in leaves(weight):
        kind = str(getattr(leaf, "dtype", "")).removeprefix("torch.")
        if kind.startswith(("int", "uint")):
            warn(
                f"the third item of a batch holds integers, {kind} {tuple(leaf.shape)}, and is taken as sample "
                "weights: a batch is (x, y, sample_weight). If it is an index or the like, leave it out: (x, y). If it "
                "is the target of a model with two inputs, yield ((a, b), y). If it holds weights, make it float."
            )
