"""Compare the weights in a file with those of a module, by names, shapes and dtypes, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.checkpoint.module_state import resizable_buffers
from kerastorch.core.errors import suggest
from kerastorch.core.wrapper_prefixes import bare_names, match_names

_EXTRA = "_extra_state"  # what torch calls the entry of a module's get_extra_state
_COUNT = "num_batches_tracked"  # of torch's batch normalization; kerastorch's own layers and old files lack it
SHOWN = 5  # differences in an error message


class WeightsComparison:
    """The result of comparing the weights in a file with those of a module.

    Args:
        module: A built module; it is not changed.
        entries: Values in the file, by name.

    Attributes:
        state: The values that fit, in the module's dtypes, by their names in the module's `state_dict()`.
        differences: For each difference a function that returns a sentence about it.
        rounded: Names of the floating-point weights that lose precision in the module's dtype.
    """

    def __init__(self, module: nn.Module, entries: Mapping[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        self.differences: list[Callable[[], str]] = []
        self.rounded: list[str] = []
        own = module.state_dict(keep_vars=True)
        self._names = bare_names(module, own)
        self._own = {bare: own[name] for bare, name in self._names.items()}
        self._resizable = resizable_buffers(module)
        own_names = match_names(entries, self._own)
        self._saved = {own_names[name]: value for name, value in entries.items()}
        for bare in self._own:
            if bare in self._saved:
                self._compare(bare, self._saved[bare])
        self._match_shared_tensors()
        missing = [bare for bare in self._own if bare not in self._saved and not _is_optional(bare)]
        unknown = [name for name in self._saved if name not in self._own and not _is_optional(name)]
        self.differences += [
            *(lambda name=name: f"the file has no {name!r}.{suggest(name, unknown)}" for name in missing),
            *(lambda name=name: f"the model has no {name!r}.{suggest(name, self._own)}" for name in unknown),
        ]

    def describe(self, limit: int | None = SHOWN) -> str:
        """Return a line for each of the first `limit` differences, and one with the number of the others."""
        lines = [difference() for difference in self.differences[:limit]]
        n_more = len(self.differences) - len(lines)
        return "\n".join(f"  {line}" for line in (*lines, *([f"and {n_more} more."] if n_more else [])))

    def _compare(self, bare: str, value: Any) -> None:
        """Put a value of the file into `state` if it fits, else note the difference.

        Args:
            bare: The name without prefixes of wrappers.
            value: The value in the file.
        """
        name, held = self._names[bare], self._own[bare]
        if bare.rpartition(".")[2] == _EXTRA:
            self.state[name] = value
            return
        if not isinstance(value, Tensor) or not isinstance(held, Tensor):
            self._note_difference(
                f"{bare!r} is a {type(value).__name__} in the file, a {type(held).__name__} in the model."
            )
            return
        if value.shape != held.shape and name not in self._resizable:
            self._note_difference(
                f"{bare!r} has shape {tuple(value.shape)} in the file, {tuple(held.shape)} in the model."
            )
            return
        converted = _convert(value, held.dtype)
        if converted is None:
            self._note_difference(f"{bare!r} is {value.dtype} in the file, {held.dtype} in the model.")
            return
        if value.is_floating_point() and not _equal(converted, value):
            self.rounded.append(bare)
        self.state[name] = converted

    def _match_shared_tensors(self) -> None:
        """Give a tensor with several names one value: the file may have any of the names, but with equal values."""
        first: dict[int, str] = {}
        for bare, held in self._own.items():
            name = self._names[bare]
            if name in self.state and isinstance(held, Tensor):
                other = first.setdefault(id(held), bare)
                if other != bare and not _equal(self.state[name], self.state[self._names[other]]):
                    self._note_difference(
                        f"{other!r} and {bare!r} are one tensor in the model, but not alike in the file."
                    )
        for bare, held in self._own.items():
            if bare not in self._saved and id(held) in first:
                self.state[self._names[bare]] = self._saved[bare] = self.state[self._names[first[id(held)]]]

    def _note_difference(self, text: str) -> None:
        """Append a sentence to the differences."""
        self.differences.append(lambda: text)


def _is_optional(name: str) -> bool:
    """Return whether a weight may be missing in a file or in a module."""
    return name.rpartition(".")[2] == _COUNT


def _convert(value: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Return a tensor in another dtype, or `None`: floats may be rounded, integers must keep their values."""
    if value.dtype == dtype:
        return value
    if value.is_floating_point() and dtype.is_floating_point:
        return value.to(dtype)
    dtypes = (value.dtype, dtype)
    if any(each.is_floating_point or each.is_complex or each in (torch.bool, torch.uint64) for each in dtypes):
        return None
    converted = value.to(torch.int64).to(dtype)
    return converted if torch.equal(converted.to(torch.int64), value.to(torch.int64)) else None


def _equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have equal shapes and values; NaN equals NaN."""
    if one.shape != other.shape:
        return False
    if one.is_floating_point():
        one, other = one.double(), other.double()
    return bool(((one == other) | ((one != one) & (other != other))).all())
