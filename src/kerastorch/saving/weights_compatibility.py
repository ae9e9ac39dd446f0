"""Does what a file holds fit a module? Names, shapes and dtypes are compared before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import suggest
from kerastorch.core.wrapper_prefixes import bare_names, match_names
from kerastorch.layers.adaptable import AdaptableLayer

_EXTRA = "_extra_state"  # what torch calls the entry of a module's get_extra_state
_COUNT = "num_batches_tracked"  # of torch's batch normalization, which old files and kerastorch's own do not have
SHOWN = 5


class Match:
    """What was compared.

    Args:
        module: built.
        entries: of a file, by the names there.

    Attributes:
        state: what fits, under the names of the module's `state_dict`.
        differences: what does not, each with a function that says it.
        rounded: names of weights that the file has more exactly.
    """

    def __init__(self, module: nn.Module, entries: Mapping[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        self.differences: list[Callable[[], str]] = []
        self.rounded: list[str] = []
        own = module.state_dict(keep_vars=True)
        self._names = bare_names(module, own)
        self._own = {bare: own[name] for bare, name in self._names.items()}
        self._grows = _growing(module)
        meant = match_names(entries, self._own)
        self._given = {meant[name]: value for name, value in entries.items()}
        for bare in self._own:
            if bare in self._given:
                self._compare(bare, self._given[bare])
        self._share()
        missing = [bare for bare in self._own if bare not in self._given and not self._optional(bare)]
        more = [name for name in self._given if name not in self._own and not self._optional(name)]
        self.differences += [
            *(lambda name=name: f"the file has no {name!r}.{suggest(name, more)}" for name in missing),
            *(lambda name=name: f"the model has no {name!r}.{suggest(name, self._own)}" for name in more),
        ]

    def words(self, most: int | None = SHOWN) -> str:
        """The first differences, a line each, and how many there are beside."""
        lines = [say() for say in self.differences[:most]]
        rest = len(self.differences) - len(lines)
        return "\n".join(f"  {line}" for line in (*lines, *([f"and {rest} more."] if rest else [])))

    def _compare(self, bare: str, value: Any) -> None:
        name, held = self._names[bare], self._own[bare]
        if bare.rpartition(".")[2] == _EXTRA:
            self.state[name] = value
            return
        if not isinstance(value, Tensor) or not isinstance(held, Tensor):
            self._differ(f"{bare!r} is a {type(value).__name__} in the file, a {type(held).__name__} in the model.")
            return
        if value.shape != held.shape and name not in self._grows:
            self._differ(f"{bare!r} has shape {tuple(value.shape)} in the file, {tuple(held.shape)} in the model.")
            return
        fitting = _converted(value, held.dtype)
        if fitting is None:
            self._differ(f"{bare!r} is {value.dtype} in the file, {held.dtype} in the model.")
            return
        if value.is_floating_point() and not _equal(fitting, value):
            self.rounded.append(bare)
        self.state[name] = fitting

    def _share(self) -> None:
        """A tensor that the module has under several names may have one of them in a file, or all of them alike."""
        first: dict[int, str] = {}
        for bare, held in self._own.items():
            name = self._names[bare]
            if name in self.state and isinstance(held, Tensor):
                other = first.setdefault(id(held), bare)
                if other != bare and not _equal(self.state[name], self.state[self._names[other]]):
                    self._differ(f"{other!r} and {bare!r} are one tensor in the model, but not alike in the file.")
        for bare, held in self._own.items():
            if bare not in self._given and id(held) in first:
                self.state[self._names[bare]] = self._given[bare] = self.state[self._names[first[id(held)]]]

    def _optional(self, name: str) -> bool:
        return name.rpartition(".")[2] == _COUNT

    def _differ(self, text: str) -> None:
        self.differences.append(lambda: text)


def _growing(module: nn.Module) -> set[str]:
    """The names of buffers that take whatever size they are given."""
    return {
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, AdaptableLayer)
        for name in part._buffers
    }


def _converted(value: Tensor, dtype: torch.dtype) -> Tensor | None:
    """`value` in another dtype of its kind; integers only where they all stay what they are."""
    if value.dtype == dtype:
        return value
    if value.is_floating_point() and dtype.is_floating_point:
        return value.to(dtype)
    if any(
        one.is_floating_point or one.is_complex or one in (torch.bool, torch.uint64) for one in (value.dtype, dtype)
    ):
        return None
    found = value.to(torch.int64).to(dtype)
    return found if torch.equal(found.to(torch.int64), value.to(torch.int64)) else None


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if one.is_floating_point():
        one, other = one.double(), other.double()
    return bool(((one == other) | ((one != one) & (other != other))).all())
