"""Targets, losses, weights and metrics of a model's outputs, by output name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor


def by_output(given: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Convert one value, a list or a dict for the outputs to a dict by output name; the only output is `''`.

    Args:
        given: Losses, metrics, outputs or targets.
        names: Names of the outputs, if they are a list; default `output_0`, `output_1`, ...
    """
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, (list, tuple)):
        if names is None or len(names) != len(given):
            names = [f"output_{index}" for index in range(len(given))]
        return dict(zip(names, given, strict=True))
    return {"": given}


def targets_by_output(
    y: Any, y_pred: Any, names: Sequence[str] | None = None, wanted: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the targets of the outputs `y_pred`, by output name.

    Args:
        y: The target of the only output, alone or in a list of one; a list in the order of the outputs; a dict by their
            names; or one target, if one of several outputs is wanted.
        y_pred: The outputs.
        names: Names of the outputs, if they are a list.
        wanted: The outputs that need a target; default all.

    Raises:
        ValueError: `y` has another structure.
    """
    if isinstance(y_pred, Tensor):
        return {"": _only(y)}
    expected = by_output(y_pred, names)
    needed = [name for name in expected if wanted is None or name in wanted]
    if isinstance(y, Mapping):
        if not set(needed) <= set(y):
            raise ValueError(f"The model's outputs are {quoted(needed)}; y must be a dict with these, got {quoted(y)}.")
        return {name: y[name] for name in expected if name in y}
    if isinstance(y, (list, tuple)):
        if isinstance(y_pred, Mapping):
            raise ValueError(f"The model's outputs are {quoted(expected)}; y must be a dict with these, got a list.")
        if len(y) != len(expected):
            raise ValueError(f"The model has {len(expected)} outputs, y has {len(y)} parts.")
        return dict(zip(expected, y, strict=True))
    if len(needed) == 1:
        return {needed[0]: y}
    given = "None" if y is None else "one array"
    raise ValueError(
        f"The model has the outputs {quoted(expected)} and y is {given}; give a target for each of "
        f"{quoted(needed)}, in a {'dict by name' if isinstance(y_pred, Mapping) else 'tuple in their order'}."
    )


def _only(y: Any) -> Any:
    """Return the target of the only output."""
    if isinstance(y, Mapping):
        raise ValueError(f"The model has one output, y is a dict with {quoted(y)}; pass the target itself.")
    if isinstance(y, (list, tuple)):
        if len(y) != 1:
            raise ValueError(f"The model has one output, y has {len(y)} parts.")
        return y[0]
    return y


def check_outputs(y_pred: Any, wanted: Collection[str] | None = None, names: Sequence[str] | None = None) -> None:
    """Check that outputs are tensors.

    Args:
        y_pred: What the model returned.
        wanted: The outputs with a loss, which must be tensors; default all.
        names: Names of the outputs, if they are a list.
    """
    if y_pred is None:
        raise ValueError("forward() returned None; is a return missing?")
    for name, one in by_output(y_pred, names).items():
        if not isinstance(one, Tensor) and (wanted is None or name in wanted):
            raise TypeError(f"forward() returned a {type(one).__name__}{' as ' + name if name else ''}, not a tensor.")


def quoted(names: Collection[str]) -> str:
    """Return output names as a message shows them."""
    return ", ".join(repr(name) if name else "one output" for name in sorted(names))
