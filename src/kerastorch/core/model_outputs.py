"""What a model returns beside one tensor: its own loss, its logits, and objects that are no outputs, such as caches."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from kerastorch.core.loss_names import NameKind, name_kind, summed_names, total_name
from kerastorch.core.nested import is_record, leaves
from kerastorch.core.output_structure import Fields, parts_of

_LOSS, _LOGITS = "loss", "logits"  # names of attributes, fields and keys
_DROPPED = object()


class ReturnedLoss(NamedTuple):
    """The loss that a model has computed itself.

    Attributes:
        total: Scalar to minimize; with several losses their sum.
        parts: The scalars by name, if the model returns a dict of scalars alone.
        is_sum: Whether the total is the sum of parts.
    """

    total: Tensor
    parts: dict[str, Tensor]
    is_sum: bool = False


def outer_parts(outputs: Any) -> Mapping[Any, Any] | Sequence[Any] | None:
    """Return the parts of what a model returned, by name or in order; `None` if it is a single value.

    The parts of an object of another class are its attributes, if it has `loss` or `logits`.
    """
    parts = parts_of(outputs)
    if parts is not None or isinstance(outputs, (Tensor, str)) or outputs is None:
        return parts
    names = [name for name in (_LOSS, _LOGITS) if isinstance(getattr(outputs, name, None), Tensor)]
    if not names:
        return None
    public = {name: one for name, one in getattr(outputs, "__dict__", {}).items() if not name.startswith("_")}
    return Fields({**{name: getattr(outputs, name) for name in names}, **public})


def is_loss_value(value: Any) -> bool:
    """Return whether a value can be a loss: a float tensor without axes."""
    return isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point()


def named_loss(outputs: Any) -> Tensor | None:
    """Return the scalar that is called `loss` among the outputs of a model; `None` if there is none."""
    parts = None if isinstance(outputs, Tensor) else outer_parts(outputs)
    value = parts.get(_LOSS) if isinstance(parts, Mapping) else None
    return value if isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point() else None


def returned_loss(outputs: Any, factors: Mapping[str, float | None] | None = None) -> ReturnedLoss | None:
    """Return the loss among the outputs of a model; `None` if there is none.

    It is the attribute, field or key `loss`; else a scalar alone; the only scalar of a tuple or list; or, of a dict of
    scalars, the one that is called the total, else the sum of those whose names may be names of losses.

    Args:
        outputs: What the model returned.
        factors: Factors of the scalars of a dict in their sum, by name: these are losses. The weighted sum replaces a
            total. Default: none.

    >>> import torch
    >>> logits, loss = torch.zeros(2, 3), torch.tensor(0.5)
    >>> [returned_loss(one).total.item() for one in ({"loss": loss, "logits": logits}, (logits, loss), loss)]
    [0.5, 0.5, 0.5]
    >>> returned_loss({"boxes": loss, "classes": 2 * loss}).total
    tensor(1.5000)
    >>> returned_loss({"loss_a": loss, "loss_b": loss, "accuracy": loss}, {"loss_b": 3.0}).total
    tensor(2.)
    """
    if is_loss_value(outputs):
        return ReturnedLoss(outputs, {})
    if isinstance(outputs, Tensor):
        return None
    parts = outer_parts(outputs)
    named = named_loss(outputs)
    if isinstance(parts, Mapping):
        scalars = _scalars(parts)
        if scalars and factors is not None:
            return _sum(scalars, factors)
        if named is not None:
            return ReturnedLoss(named.reshape(()), scalars)
        if scalars:
            total = total_name(scalars)
            return _sum(scalars, {}) if total is None else ReturnedLoss(scalars[total], _without(scalars, total))
    found = [one for name, one in _named(parts) if is_loss_value(one) and name_kind(name) is not NameKind.MEASURE]
    return ReturnedLoss(found[0], {}) if len(found) == 1 and _is_ordered(parts) else None


def _scalars(parts: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the float scalars by name, without `loss`; an empty dict if there is a tensor with axes beside them."""
    if any(isinstance(one, Tensor) and one.ndim for one in parts.values()):
        return {}
    return {str(name): one for name, one in parts.items() if is_loss_value(one) and name != _LOSS}


def _without(scalars: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {one: value for one, value in scalars.items() if one != name}


def _sum(scalars: dict[str, Tensor], factors: Mapping[str, float | None]) -> ReturnedLoss | None:
    """Return the weighted sum of the losses among scalars; `None` if none of them is a loss."""
    terms = []
    for name in summed_names(scalars, factors):
        factor = factors.get(name)
        if factor != 0:  # a value that is only logged may be NaN or infinite
            terms.append(scalars[name] if factor is None else factor * scalars[name])
    return ReturnedLoss(sum(terms[1:], terms[0]), scalars, is_sum=True) if terms else None


def main_output(outputs: Any) -> Tensor | None:
    """Return the output that one loss, or one list of metrics, is for; `None` if several could be meant.

    It is the attribute, field or key `logits`; else the only tensor with axes in the outermost structure that has one.

    >>> import torch
    >>> main_output({"logits": torch.ones(2), "hidden": torch.zeros(2)}), main_output((torch.zeros(2), None))
    (tensor([1., 1.]), tensor([0., 0.]))
    >>> main_output((torch.zeros(2), torch.zeros(2)))
    """
    if isinstance(outputs, Tensor):
        return outputs
    parts = outer_parts(outputs)
    logits = parts.get(_LOGITS) if isinstance(parts, Mapping) else None
    if isinstance(logits, Tensor):
        return logits
    tensors = [one for one in _values(parts) if isinstance(one, Tensor) and one.ndim]
    if tensors:
        return tensors[0] if len(tensors) == 1 else None
    nested = [one for one in _values(parts) if not isinstance(one, Tensor) and parts_of(one)]
    return main_output(nested[0]) if len(nested) == 1 else None


def has_named_logits(outputs: Any) -> bool:
    """Return whether a model has returned a tensor called `logits`."""
    parts = None if isinstance(outputs, Tensor) else outer_parts(outputs)
    return isinstance(parts, Mapping) and isinstance(parts.get(_LOGITS), Tensor)


def predictions_in(outputs: Any, drops_scalars: bool, keeps_structure: bool = False) -> Any:
    """Return the outputs of a model without its loss and without what is no tensor; `None` if nothing is left.

    A mapping keeps the keys of its tensors and of `None`, a namedtuple or dataclass all its fields, with `None` for
    what is no tensor. A tuple or list of which one tensor is left becomes this tensor.

    Args:
        outputs: What the model returned.
        drops_scalars: Whether a scalar in a tuple is the loss of the model.
        keeps_structure: Whether a tuple or list keeps its length, with `None` for what is no tensor.

    >>> import torch
    >>> predictions_in({"loss": torch.tensor(1.0), "logits": torch.zeros(2), "cache": object()}, True)
    {'logits': tensor([0., 0.])}
    >>> predictions_in((torch.zeros(2), torch.tensor(1.0)), True)
    tensor([0., 0.])
    """
    if isinstance(outputs, Tensor):
        return outputs
    loss = named_loss(outputs)
    if loss is None and drops_scalars:
        found = returned_loss(outputs)
        loss = None if found is None or found.parts else found.total
    parts = outer_parts(outputs)
    if parts is not None and parts_of(outputs) is None:
        outputs = dict(parts)  # an object of another class
    kept = _tensors_in(outputs, loss, keeps_structure)
    if drops_scalars and not keeps_structure and type(kept) in (tuple, list) and len(kept) == 1:
        return kept if isinstance(kept[0], Mapping) else kept[0]  # a list of one dict is the outputs of one sample
    return None if kept is _DROPPED else kept


def _tensors_in(value: Any, loss: Tensor | None, keeps_structure: bool) -> Any:
    """Return a structure without the loss and without what is no tensor; `_DROPPED` if nothing is left."""
    if isinstance(value, Tensor):
        return _DROPPED if value is loss else value
    if isinstance(value, Mapping):
        return _tensors_in_mapping(value, loss, keeps_structure)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        values = [_tensors_in(one, loss, keeps_structure) for one in value]
        kind: Any = type(value)
        return kind(*(None if one is _DROPPED else one for one in values)) if _any_kept(values) else _DROPPED
    if isinstance(value, (tuple, list)):
        return _tensors_in_list(value, loss, keeps_structure)
    if is_record(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        found = {name: _tensors_in(one, loss, keeps_structure) for name, one in fields.items()}
        kept = copy.copy(value)
        for name, one in found.items():
            object.__setattr__(kept, name, None if one is _DROPPED else one)
        return kept if _any_kept(found.values()) else _DROPPED
    return _DROPPED


def _tensors_in_mapping(value: Mapping[Any, Any], loss: Tensor | None, keeps_structure: bool) -> Any:
    found = {key: _tensors_in(one, loss, keeps_structure) for key, one in value.items()}
    kept = {key: one for key, one in found.items() if one is not _DROPPED}
    if not kept:
        return _DROPPED
    return {key: kept.get(key) for key, one in value.items() if key in kept or (one is None and key != _LOSS)}


def _tensors_in_list(value: Any, loss: Tensor | None, keeps_structure: bool) -> Any:
    kept = [one for one in value if loss is None or one is not loss]
    values = [_tensors_in(one, loss, keeps_structure) for one in kept]
    left = [one for one in values if one is not _DROPPED]
    if not left:
        return _DROPPED
    if len(left) == 1 and len(value) > 1 and not keeps_structure:
        return left[0]
    return type(value)(None if one is _DROPPED else one for one in values)


def _any_kept(values: Iterable[Any]) -> bool:
    return any(one is not _DROPPED for one in values)


def _values(parts: Mapping[Any, Any] | Sequence[Any] | None) -> Sequence[Any]:
    return [] if parts is None else list(parts.values() if isinstance(parts, Mapping) else parts)


def _named(parts: Mapping[Any, Any] | Sequence[Any] | None) -> Iterable[tuple[str, Any]]:
    """Return the parts with their names; those of a sequence have the name `''`."""
    if isinstance(parts, Mapping):
        return ((str(name), one) for name, one in parts.items())
    return (("", one) for one in _values(parts))


def _is_ordered(parts: Any) -> bool:
    """Return whether parts come from a tuple, list, namedtuple or dataclass, in which a scalar may be the loss."""
    return isinstance(parts, Fields) or not isinstance(parts, Mapping)


def has_outputs(outputs: Any) -> bool:
    """Return whether there is a tensor with axes among what a model returned, and not its loss alone."""
    if isinstance(outputs, Tensor):
        return outputs.ndim > 0
    return any(isinstance(one, Tensor) and one.ndim for _, one in leaves(outer_parts(outputs)))


def tensors_of(outputs: Any) -> Iterator[Tensor]:
    """Yield the tensors in the outermost structure of what a model returned, without scalars."""
    values = [outputs] if isinstance(outputs, Tensor) else _values(outer_parts(outputs))
    return (one for one in values if isinstance(one, Tensor) and one.ndim)


def describe(outputs: Any) -> str:
    """Return what a model has returned in words, for messages.

    >>> import torch
    >>> describe((torch.zeros(2, 3), None))
    'a tuple of a tensor (2, 3) and None'
    """
    if isinstance(outputs, Tensor):
        return f"a tensor {tuple(outputs.shape)}" if outputs.ndim else "a scalar"
    parts = None if outputs is None else outer_parts(outputs)
    if parts is None:
        return "None" if outputs is None else f"a {type(outputs).__name__}"
    if isinstance(parts, Mapping):
        inside = [f"{name!s} ({_short(one)})" for name, one in parts.items()]
        return f"a {type(outputs).__name__} with {', '.join(inside) or 'nothing'}"
    inside = [describe(one) for one in parts]
    joined = " and ".join((", ".join(inside[:-1]), inside[-1])) if len(inside) > 1 else "".join(inside)
    return f"a {type(outputs).__name__} of {joined or 'nothing'}"


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return " x ".join(map(str, value.shape)) if value.ndim else "a scalar"
    return "None" if value is None else type(value).__name__
