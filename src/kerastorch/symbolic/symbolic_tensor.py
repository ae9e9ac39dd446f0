"""Symbol: a tensor without values; calls on it are recorded, and their shapes computed on fake tensors.

A symbol is no `torch.fx.Proxy`, which belongs to one graph from its creation: two inputs could not meet in a call. It
refers to its own call and the arguments of that call. So a model may begin and end at any symbol, and calls that no
model needs are freed. Each shape is computed twice, with different numbers for the sizes of the inputs that vary; sizes
that then differ vary, too. Therefore functions of torch need no rules for symbolic sizes.
"""

from __future__ import annotations

import copy
import itertools
import operator
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.channel_tracking import Channels, building_for, channels_after, check_axis
from kerastorch.symbolic.constant_outputs import with_constants
from kerastorch.symbolic.fake_tensors import build_on_zeros, eval_on_fakes, eval_on_numbers, is_data_dependent
from kerastorch.symbolic.masks import first_input, mask_after, mask_of, missing_masks
from kerastorch.symbolic.recording_errors import check_function, check_no_weights, display_name, explain_failure
from kerastorch.symbolic.tensor_operators import TensorOperators

_serial = itertools.count()
_recorded: weakref.WeakKeyDictionary[nn.Module, list[weakref.ref[Symbol]]] = weakref.WeakKeyDictionary()


class Symbol(TensorOperators):
    """A symbolic tensor, or a symbolic size of one: it has a shape and a dtype, but no values.

    Any function, method or operator of torch on a symbol records a call and returns another symbol. `x.shape` has
    fixed sizes as integers; a size that varies, as the batch's, shows as `None` and is itself a symbol, so that
    `x.reshape(x.shape[0], -1)` means what it means on a tensor.

    Args:
        target: What is called: a module, a function, or the name of a tensor method; `None` for an input.
        args: Its positional arguments, symbols among them.
        kwargs: Its keyword arguments.
        values: Two examples of the result, computed on fake tensors; they differ exactly in the sizes that vary.

    Attributes:
        serial: The position of the call in the order of recording.
        mask: The symbol of the mask of the time steps, if there is one.
        channels: What is known of the channel axis, if anything.
    """

    mask: Symbol | None = None
    channels: Channels | None = None

    def __init__(self, target: Any, args: Any, kwargs: Mapping[str, Any], values: tuple[Any, Any]) -> None:
        self.target, self.args, self.kwargs, self.values = target, args, kwargs, values
        self.serial = next(_serial)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes: integers, or symbols that show as `None` if they vary."""
        if not isinstance(self.values[0], Tensor):
            raise TypeError(f"{self.values[0]!r} is a size, and has no shape.")
        sizes = zip(*(value.shape for value in self.values), strict=True)
        return tuple(one if one == other else self.size(axis) for axis, (one, other) in enumerate(sizes))

    @property
    def _keras_mask(self) -> Symbol | None:
        """The mask, under the name that it has in Keras."""
        return self.mask

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the tensor will have."""
        return self.values[0].dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes, the batch axis included."""
        return self.values[0].ndim  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        if not isinstance(self.values[0], Tensor):
            return "None"
        return f"Symbol(shape={self.shape}, dtype={self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Symbol:
        """Copy the call and its arguments; the values are shared, as nothing changes them and torch warns of a copy."""
        memo[id(self)] = duplicate = type(self).__new__(type(self))
        for name, value in vars(self).items():
            vars(duplicate)[name] = value if name == "values" else copy.deepcopy(value, memo)
        return duplicate

    @classmethod
    def _record(cls, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return record_call(target, args, kwargs)


# --- symbols in nested structures ------------------------------------------------------------------------------


def has_symbols(value: Any) -> bool:
    """Return whether a value is a symbol, or a list, tuple or dict that contains one at any depth."""
    if isinstance(value, Symbol):
        return True
    if isinstance(value, (tuple, list)):
        return any(map(has_symbols, value))
    return isinstance(value, Mapping) and any(map(has_symbols, value.values()))


def collect_symbols(value: Any) -> list[Symbol]:
    """Return the symbols in a nested structure, depth first."""
    symbols: list[Symbol] = []
    map_symbols(value, lambda symbol: symbols.append(symbol))
    return symbols


def flat_symbols(value: Any) -> list[Symbol]:
    """Return the symbols in a nested structure in Keras' order: those of a dict in the order of its sorted keys."""
    if isinstance(value, Mapping):
        return [symbol for key in sorted(value, key=str) for symbol in flat_symbols(value[key])]
    if isinstance(value, (tuple, list)):
        return [symbol for item in value for symbol in flat_symbols(item)]
    return [value] if isinstance(value, Symbol) else []


def map_symbols(value: Any, function: Callable[[Symbol], Any]) -> Any:
    """Return a nested structure with each symbol replaced by the result of `function`."""
    if isinstance(value, Symbol):
        return function(value)
    if isinstance(value, slice):
        return slice(*(map_symbols(part, function) for part in (value.start, value.stop, value.step)))
    if isinstance(value, (tuple, list)):
        items = [map_symbols(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, Mapping):
        return {key: map_symbols(item, function) for key, item in value.items()}
    return value


def _leaves(value: Any) -> list[Tensor | Symbol]:
    """Return the tensors and symbolic tensors, but not symbolic sizes, in a nested structure."""
    if isinstance(value, Tensor) or (isinstance(value, Symbol) and isinstance(value.values[0], Tensor)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [leaf for item in value.values() for leaf in _leaves(item)] if isinstance(value, Mapping) else []


def _example(value: Any, which: int) -> Any:
    """Return a nested structure with each symbol replaced by its first (0) or second (1) example."""
    return map_symbols(value, lambda symbol: symbol.values[which])


# --- recording calls -------------------------------------------------------------------------------------------


def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Call a module; if an argument is symbolic, record the call as one step of a functional model.

    On tensors this is `module(*args, **kwargs)`. kerastorch's own layers and models record themselves and need no
    `call`; any other `nn.Module` needs it, because its `forward` would run on the symbol.

    Args:
        module: An `nn.Module`.
        *args: Its inputs, symbolic or not.
        **kwargs: Its inputs by name.

    Returns:
        What the module returns, with symbols in the place of tensors if an argument is symbolic.

    Raises:
        TypeError: `module` is not a module, or needs the values of its inputs.
        ValueError: The module cannot take inputs of these shapes.

    >>> x = Symbol(None, (), {}, (torch.zeros(2, 3), torch.zeros(5, 3)))
    >>> call(nn.Linear(3, 4), x).shape
    (None, 4)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"call() takes a torch.nn.Module first, got {module!r}.")
    return record_call(module, args, kwargs) if has_symbols((args, kwargs)) else module(*args, **kwargs)


def record_call(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Record a call on symbols and return its result, with symbols in the place of tensors.

    Args:
        target: A module (built first if it is lazy), a function, or the name of a tensor method.
        args: Its positional arguments, symbols among them.
        kwargs: Its keyword arguments.

    Raises:
        TypeError: The call needs values, changes a tensor in place, or uses weights that belong to no module.
        ValueError: `target` cannot take inputs of these shapes.
    """
    args, given = with_constants((args, dict(kwargs)), display_name(target))
    kwargs = dict(given)
    input_channels = [symbol.channels for symbol in collect_symbols((args, kwargs))]
    channels = channels_after(target, input_channels, check_axis)
    masks = None
    if isinstance(target, nn.Module):
        masks = mask_of(first_input(args, kwargs))
        kwargs |= missing_masks(target, args, kwargs)
        check_no_weights(display_name(target), _tensors((args, kwargs)))
        with building_for(input_channels):
            _build(target, args, kwargs)
    else:
        check_function(target, kwargs, _tensors((args, kwargs)))
    examples = (_evaluate(target, args, kwargs, 0), _evaluate(target, args, kwargs, 1))
    node = Symbol(target, args, kwargs, examples)
    node.channels = channels
    result = _split(node, *examples)
    if isinstance(target, nn.Module):
        _recorded.setdefault(target, []).append(weakref.ref(node))
        masks = mask_after(target, first_input(args, kwargs), kwargs.get("mask", masks), used="mask" in kwargs)
        masks = masks if isinstance(masks, (tuple, list)) else [masks]
        for symbol, mask in zip(collect_symbols(result), masks, strict=False):
            symbol.mask = mask
    return result


def recorded_calls(module: nn.Module) -> list[tuple[Any, Any]]:
    """Return the first argument and the result of each recorded call of `module` that is still referenced."""
    calls = [node for ref in _recorded.get(module, ()) if (node := ref()) is not None]
    return [(first_input(node.args, node.kwargs), _split(node, *node.values)) for node in calls]


def _split(node: Symbol, one: Any, other: Any) -> Any:
    """Return the result of a call in the structure that it has, with a symbol for each tensor.

    Args:
        node: The symbol of the whole result.
        one: Its first example.
        other: Its second example; what is the same in both and no tensor is returned as it is.
    """
    if isinstance(one, Tensor):
        return node
    if isinstance(one, Mapping):
        return {key: _item(node, key, one[key], other[key]) for key in one}
    if isinstance(one, (tuple, list)) and any(isinstance(part, (Tensor, tuple, list, Mapping)) for part in one):
        parts = [_item(node, index, *both) for index, both in enumerate(zip(one, other, strict=True))]
        return type(one)(*parts) if hasattr(one, "_fields") else type(one)(parts)
    return one if one == other else node


def _item(node: Symbol, key: Any, one: Any, other: Any) -> Any:
    return _split(Symbol(operator.getitem, (node, key), {}, (one, other)), one, other)


def _evaluate(target: Any, args: Any, kwargs: Any, which: int) -> Any:
    """Return the result of a call on the first (0) or second (1) examples of its arguments."""
    examples = _example((args, kwargs), which)
    try:
        return eval_on_fakes(target, *examples)
    except Exception as error:
        if isinstance(target, nn.Module) and is_data_dependent(error):
            found = eval_on_numbers(target, *examples)
            if found is not None:
                return found
        shapes = [tuple(leaf.shape) for leaf in _leaves((args, kwargs))]
        raise explain_failure(error, target, shapes) from error


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in _leaves(value) if isinstance(leaf, Tensor)]


def _build(module: nn.Module, args: Any, kwargs: Any) -> None:
    """Create and initialize the parameters of a module that is lazy, or contains lazy modules."""
    ensure_built = getattr(module, "ensure_built", None)
    if ensure_built is not None:
        ensure_built(*(_sizes(value) for value in (*args, *kwargs.values()) if _has_shape(value)))
    build_on_zeros(module, _example((args, kwargs), 0), _example((args, kwargs), 1))


def _has_shape(value: Any) -> bool:
    """Return whether a value is a symbol, or a list or dict of symbols and tensors.

    A list of masks may contain `None`.
    """
    if isinstance(value, (tuple, list)):
        return has_symbols(value) and all(isinstance(item, (Symbol, Tensor)) for item in value)
    return isinstance(value, Symbol) or (isinstance(value, Mapping) and has_symbols(value))


def _sizes(value: Any) -> Any:
    """Return the sizes of a tensor or symbol, -1 for a size that varies; or the sizes of those in a list or dict."""
    if isinstance(value, Mapping):
        return {name: _sizes(one) for name, one in value.items() if isinstance(one, Tensor) or _has_shape(one)}
    if isinstance(value, (tuple, list)):
        return tuple(map(_sizes, value))
    if isinstance(value, Tensor):
        return tuple(value.shape)
    return tuple(a if a == b else -1 for a, b in zip(*(one.shape for one in value.values), strict=True))
