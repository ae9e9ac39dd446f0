"""BaseModule: the base class of layers and models."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import warn
from kerastorch.core.module_tree import modules, outermost_call
from kerastorch.core.name_lookup import check_log_name
from kerastorch.core.trainable import Freezable
from kerastorch.module.dtypes_mixin import DtypesMixin
from kerastorch.symbolic.fake_tensors import is_shape_inference
from kerastorch.symbolic.output_shape import output_shape
from kerastorch.symbolic.symbolic_call import Recordable


class AuxiliaryLosses(list[Tensor]):
    """Scalars that modules have added to the loss of the running step, with the module of each.

    Args:
        call: Outside of a step, the outermost call that they were added in.

    Attributes:
        call: The argument.
        time: When the list was made.
        metrics: Scalars that modules have given to `add_metric` in the running step, by name.
    """

    def __init__(self, call: Any = None) -> None:
        super().__init__()
        self.call, self.time = call, perf_counter_ns()
        self._owners: dict[int, nn.Module] = {}
        self.metrics: dict[str, list[Tensor]] = {}

    def __bool__(self) -> bool:
        return len(self) > 0 or len(self.metrics) > 0

    def metric_means(self) -> dict[str, Tensor]:
        """Return the mean of what was given under each name in the running step."""
        return {name: torch.stack(values).mean() for name, values in self.metrics.items()}

    def add(self, owner: nn.Module, loss: Tensor) -> None:
        """Append a loss that a module has added."""
        self._owners[id(loss)] = owner
        self.append(loss)

    def clear(self) -> None:
        """Remove all losses."""
        super().clear()
        self._owners.clear()
        self.metrics.clear()

    def of(self, owners: set[nn.Module]) -> list[Tensor]:
        """Return the losses that any of these modules has added."""
        return [loss for loss in self if self._owners.get(id(loss)) in owners]

    def __deepcopy__(self, memo: Any) -> AuxiliaryLosses:
        return AuxiliaryLosses()  # a copy of a module has not run

    def __reduce__(self) -> Any:
        return AuxiliaryLosses, ()


class BaseModule(Recordable, Freezable, DtypesMixin):
    """A module that records calls on symbols, can be frozen, and may add terms to the training loss."""

    # the terms of the running step; `None` unless `fit` or `evaluate` collects them
    _aux_losses: AuxiliaryLosses | None = None
    _aux_losses_thread: int = 0  # the thread that collects them; `predict` may run in another at the same time
    _last_losses: AuxiliaryLosses | None = None  # the terms of the last call outside of a step

    def compute_output_shape(self, input_shape: Any, *more: Any) -> Any:
        """Return the shape of the output for inputs of a shape, as in Keras; a subclass may define its own.

        A layer that is not built stays so.

        Args:
            input_shape: Shape of the input with the batch axis, `None` for sizes that vary; for an input that is a list
                or dict of tensors, a list or dict of shapes.
            *more: Shapes of further inputs.

        Raises:
            ValueError: The module cannot take such inputs.

        >>> import kerastorch as kt
        >>> kt.layers.Dense(3).compute_output_shape((None, 8))
        (None, 3)
        """
        return output_shape(self, (input_shape, *more))

    def add_loss(self, loss: Tensor) -> None:
        """Add a term to the loss of the running step; call it in `forward`.

        The term counts in training and in evaluation, as penalties do. In a loop of your own, `losses` has the terms of
        the last call of the model.

        Args:
            loss: A tensor with one element, of any shape.

        Raises:
            ValueError: `loss` is not a tensor with one element.
        """
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise ValueError(f"add_loss takes a tensor of one number, got {given}; sum or average it.")
        loss = loss.reshape(())
        if self._aux_losses is None:
            self._add_outside(loss)
        elif threading.get_ident() == self._aux_losses_thread:
            self._aux_losses.add(self, loss)

    def add_metric(self, value: Tensor, name: str) -> None:
        """Log the mean of a value over the epoch; call it in `forward`.

        Values of several calls with one name are averaged. In the validation the log is `val_` and the name. Outside of
        `fit`, `evaluate` and the `_on_batch` methods it has no effect. A metric object that is an attribute of the
        module, `self.seen = kerastorch.metrics.Mean(name="seen")`, does the same with `update_state`.

        Args:
            value: A tensor, of which the mean counts, or a number.
            name: Name in the logs.

        Raises:
            ValueError: There is no name, or it is that of another log.

        >>> import kerastorch as kt
        >>> class Watched(kt.layers.Dense):
        ...     def forward(self, x):
        ...         y = super().forward(x)
        ...         self.add_metric(y, name="output")
        ...         return y
        >>> model = kt.Sequential([Watched(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> model.evaluate([[1.0], [3.0]], [[1.0], [3.0]], verbose=0, return_dict=True)
        {'loss': 0.0, 'output': 2.0}
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"add_metric needs a name for the logs, got {name!r}: add_metric(value, name='activity').")
        check_log_name(name)
        losses = self._aux_losses
        is_in_step = losses is not None and threading.get_ident() == self._aux_losses_thread
        if losses is not None and is_in_step and not is_shape_inference():
            with torch.no_grad():
                losses.metrics.setdefault(name, []).append(torch.as_tensor(value).detach().float().mean())

    def _add_outside(self, loss: Tensor) -> None:
        """Store a term for `losses`, in place of those of the module's last call."""
        if type(loss) is not Tensor or torch.compiler.is_compiling():
            return  # the shapes of a dry run, or a graph that is recorded
        call, last = outermost_call(), self._last_losses
        if last is None or call is None or last.call is not call:
            last = self._last_losses = AuxiliaryLosses(call)
        last.add(self, loss)


@contextmanager
def losses_dropped(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Let `add_loss` have no effect within a block.

    Args:
        parts: The modules of a model.
    """
    dropped, thread = AuxiliaryLosses(), threading.get_ident()
    held = [(part, part._aux_losses, part._aux_losses_thread) for part in parts if isinstance(part, BaseModule)]
    for part, _, _ in held:
        part._aux_losses, part._aux_losses_thread = dropped, thread
    try:
        yield
    finally:
        for part, losses, outer in held:
            part._aux_losses, part._aux_losses_thread = losses, outer


def added_losses(module: nn.Module) -> list[Tensor]:
    """Return what a module and its submodules have added to the loss of the running step, or in their last call."""
    parts = [part for part in modules(module) if isinstance(part, BaseModule)]
    running = next((one for part in parts if (one := part._aux_losses) is not None), None)
    if running is not None:
        return running.of(set(modules(module)))
    if any(getattr(part, "activity_regularizer", None) is not None for part in modules(module)):
        warn(
            "losses has no penalties of outputs here: activity_regularizer is computed only in the steps of fit and "
            "evaluate. In a loop of your own, call add_loss in a layer."
        )
    added = [one for part in parts if (one := part._last_losses) is not None]
    last = max(added, key=lambda one: one.time, default=None)
    if last is None or last.call is None:
        return list(last or ())
    return [loss for one in added if one.call is last.call for loss in one]
