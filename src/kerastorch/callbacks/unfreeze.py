"""Unfreeze: train parts of a model only from a certain epoch on."""

from __future__ import annotations

import fnmatch
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.console import print_message
from kerastorch.core.errors import mismatch, suggest
from kerastorch.core.module_tree import named_modules
from kerastorch.core.trainable import set_trainable
from kerastorch.optimizers.step_hooks import optimizer_parameters


class Unfreeze(Callback):
    """A callback that freezes parts of the model when `fit` begins, and trains each from a certain epoch on.

    Frozen weights get no gradients, and frozen batch normalization is in inference mode, as with `trainable = False`.
    The optimizer holds all weights from the beginning, so that it needs no other `compile`; those of a part that was
    never trained have no momentum.

    Epochs are counted from 1, as in the printed lines, in `History.best` and in `validation_freq`. Parts whose epoch is
    not reached when `fit` ends stay frozen. Another `fit` with this callback freezes and unfreezes by the numbers of
    its own epochs: with `initial_epoch=5` it begins as the sixth epoch.

    Args:
        schedule: Epoch -> pattern, or list of patterns, of names of modules or parameters, matched as file names are
            (`fnmatch`): `"backbone"` is that module and all that it contains, `"backbone.*"` all that it contains,
            `"*.bias"` all biases, `"*"` everything. Of several epochs for a weight the first one counts.
        verbose: 1 prints a line when parts are unfrozen. Default 0.

    Raises:
        ValueError: The schedule is empty, or an epoch is no integer >= 1; or, when `fit` begins, a pattern matches
            nothing, nothing is left to train, or the optimizer lacks a weight that is to be trained later.

    >>> Unfreeze({5: "backbone.3.*", 10: "*"})
    Unfreeze(schedule={5: 'backbone.3.*', 10: '*'})
    """

    every_rank = True

    def __init__(self, schedule: Mapping[int, str | Sequence[str]], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._patterns = _check_schedule(schedule)
        self._frozen: dict[int, _Part] = {}  # by the epoch from which it is trained, counted from 1

    def state_dict(self) -> dict[str, Any]:
        return {}  # what is frozen follows from the number of the epoch

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._frozen = self._parts_by_epoch()
        epoch = self.model.trainer.state.epoch + 1
        later = {first: part for first, part in self._frozen.items() if first > epoch}
        self._check_rest(epoch, later)
        for part in self._frozen.values():
            part.set_trainable(False)
        self._unfreeze(epoch)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._unfreeze(epoch + 1)

    def _unfreeze(self, epoch: int) -> None:
        """Train the parts whose epoch has come."""
        for first in sorted(self._frozen):
            if first <= epoch:
                part = self._frozen.pop(first)
                part.set_trainable(True)
                if self.verbose:
                    names = ", ".join(self._patterns[first])
                    print_message(f"Epoch {epoch}: training {names} ({len(part.weights)} weights) from now on.")

    def _parts_by_epoch(self) -> dict[int, _Part]:
        """Return what is trained from each epoch on.

        Raises:
            ValueError: A pattern matches nothing.
        """
        taken: set[str] = set()
        parts = {}
        for epoch in sorted(self._patterns):
            part = _Part.of(self.model, self._patterns[epoch], taken)
            taken |= part.weights.keys()
            parts[epoch] = part
        return parts

    def _check_rest(self, epoch: int, later: Mapping[int, _Part]) -> None:
        """Check that something is trained now, and that the optimizer holds what is trained later.

        Raises:
            ValueError: Nothing is trained, or a weight is missing from the optimizer.
        """
        weights = {name: weight for part in self._frozen.values() for name, weight in part.weights.items()}
        optimizers = self.model.trainer.optimizer_step.optimizers
        held = {id(weight) for one in optimizers for weight in optimizer_parameters(one)}
        missing = [name for name, weight in weights.items() if id(weight) not in held]
        if missing:
            raise ValueError(
                f"Unfreeze: the optimizer does not hold {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}. "
                "Make it of all parameters: those that are frozen get no gradients."
            )
        frozen = {id(weight) for part in later.values() for weight in part.weights.values()}
        trained_later = {id(weight) for weight in weights.values()} - frozen
        if not any(id(one) in trained_later or (one.requires_grad and id(one) not in frozen)
                   for one in self.model.parameters()):  # fmt: skip
            raise ValueError(
                f"Unfreeze: all weights would be frozen until epoch {min(later, default=epoch)}. Leave out of the "
                f"schedule what is trained from the beginning, or give it epoch 1: {{1: 'head.*'}}."
            )


class _Part:
    """Modules and single weights that are frozen together.

    Args:
        modules: Modules all of whose own weights belong to the part.
        weights: All weights of the part, by name.
        single: Weights of other modules, by name.
    """

    def __init__(
        self, modules: list[nn.Module], weights: dict[str, nn.Parameter], single: dict[str, nn.Parameter]
    ) -> None:
        self.modules, self.weights, self.single = modules, weights, single

    @classmethod
    def of(cls, model: nn.Module, patterns: Iterable[str], taken: set[str]) -> _Part:
        """Return what patterns match, without the weights that an earlier epoch takes.

        Raises:
            ValueError: A pattern matches neither a module nor a weight.
        """
        names = {name for name, _ in named_modules(model) if name} | {name for name, _ in model.named_parameters()}
        matched: set[str] = set()
        for pattern in patterns:
            found = fnmatch.filter(names, pattern)
            if not found:
                raise ValueError(
                    f"Unfreeze: {pattern!r} matches no module and no parameter.{suggest(pattern, names)} "
                    f"The model has: {', '.join(sorted(names)[:12])}{', ...' if len(names) > 12 else ''}."
                )
            matched.update(found)
        modules, weights, single = [], {}, {}
        for path, module in named_modules(model):
            is_whole = "*" in patterns or any(path == one or path.startswith(f"{one}.") for one in matched)
            own = _own_weights(path, module)
            wanted = {name: one for name, one in own.items() if is_whole or name in matched}
            new = {name: one for name, one in wanted.items() if name not in taken}
            weights.update(new)
            if len(new) == len(own) and (is_whole or own):
                modules.append(module)
            else:
                single.update(new)
        return cls(modules, weights, single)

    def set_trainable(self, value: bool) -> None:
        """Freeze or unfreeze the part."""
        for module in self.modules:
            set_trainable(module, value)
        for weight in self.single.values():
            weight.requires_grad_(value)
            if not value:
                weight.grad = None  # an optimizer would otherwise step with the last gradient


def _own_weights(path: str, module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable kind of weights of a module itself, by their names in the model."""
    never: Any = getattr(module, "weights_never_trained", ())
    prefix = f"{path}." if path else ""
    own = module._parameters.items()
    return {f"{prefix}{name}": weight for name, weight in own if weight is not None and name not in never}


def _check_schedule(schedule: Any) -> dict[int, list[str]]:
    """Return the patterns of each epoch.

    Raises:
        ValueError: The schedule is no dict of epochs and patterns.
    """
    expected = "a dict of epochs, counted from 1, and patterns of names, such as {5: 'backbone.*', 10: '*'}"
    if not isinstance(schedule, Mapping) or not schedule:
        raise mismatch("schedule", schedule, expected)
    found: dict[int, list[str]] = {}
    for epoch, patterns in schedule.items():
        names = [patterns] if isinstance(patterns, str) else patterns
        is_list = isinstance(names, Sequence) and bool(names) and all(isinstance(one, str) and one for one in names)
        is_epoch = not isinstance(epoch, bool) and isinstance(epoch, numbers.Integral)
        if not (is_epoch and int(epoch) >= 1 and is_list):
            raise mismatch("schedule", schedule, expected)
        found[int(epoch)] = list(names)
    return found
