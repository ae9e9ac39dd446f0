"""Symbols: tensors to come. What is done to one is recorded; its shape is known from fake tensors."""

from __future__ import annotations

import inspect
import itertools
import operator
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.graph import magic_methods, reflectable_magic_methods
from torch.overrides import get_default_nowrap_functions, is_tensor_method_or_property

from kerastorch.core.channel_tracking import Channels, building_for, channels_after, check_axis
from kerastorch.core.torch_private import CALL_CODE
from kerastorch.symbolic.fake_tensors import build_on_zeros, eval_on_fakes, is_data_dependent
from kerastorch.symbolic.masks import any_mask, mask_after, takes_mask

_serial = itertools.count()
_recorded: weakref.WeakKeyDictionary[nn.Module, list[weakref.ref[Symbol]]] = weakref.WeakKeyDictionary()


class Symbol:
    """A tensor to come, or a size of one. Any function, method or operator of torch on it makes another.

    `x.shape` has the sizes that are fixed as integers; one that varies, as the batch's, shows as `None` and is itself
    a symbol, so that `x.reshape(x.shape[0], -1)` means what it means on a tensor.

    Args:
        target: what is called: a module, a function, or the name of a method; `None` for an input.
        args: what it is called on, symbols among it.
        kwargs: the same by name.
        values: what comes out, computed twice with unlike numbers where a size varies.
    """

    mask: Symbol | None = None
    channels: Channels | None = None  # what is known of its channel axis

    def __init__(self, target: Any, args: Any, kwargs: Mapping[str, Any], values: tuple[Any, Any]) -> None:
        self.target, self.args, self.kwargs, self.values = target, args, kwargs, values
        self.serial = next(_serial)

    # --- what is known ----------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Any, ...]:
        """Sizes: a number, or a symbol that shows as `None`."""
        if not isinstance(self.values[0], Tensor):
            raise TypeError(f"{self.values[0]!r} is a size, and has no shape.")
        sizes = zip(*(value.shape for value in self.values), strict=True)
        return tuple(one if one == other else self.size(axis) for axis, (one, other) in enumerate(sizes))

    @property
    def dtype(self) -> torch.dtype:
        """As a tensor's."""
        return self.values[0].dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """How many axes."""
        return self.values[0].ndim  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        if not isinstance(self.values[0], Tensor):
            return "None"
        return f"Symbol(shape={self.shape}, dtype={self.dtype})"

    # --- what is recorded -------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "values" not in self.__dict__:
            raise AttributeError(name)
        try:
            found = getattr(self.values[0], name)
        except AttributeError:
            raise AttributeError(f"A symbol has what a tensor has, and no tensor has {name!r}.") from None
        if not callable(found):
            return record_call(getattr, (self, name), {})
        if name in _NEED_NUMBERS:
            raise self._no_numbers(f".{name}()")

        def method(*args: Any, **kwargs: Any) -> Any:
            return record_call(name, (self, *args), kwargs)

        return method

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in get_default_nowrap_functions() or is_tensor_method_or_property(func):
            func = getattr(func, "__name__", func)
        return record_call(func, args, kwargs or {})

    def __getitem__(self, index: Any) -> Any:
        return record_call(operator.getitem, (self, index), {})

    def __iter__(self) -> Iterator[Any]:
        return iter([self[index] for index in range(len(self))])

    def __len__(self) -> int:
        if isinstance(self.values[0], tuple):  # x.size()
            return len(self.values[0])
        size = self.shape[0]
        if isinstance(size, int):
            return size
        raise self._no_numbers("len(), or a loop over an axis that varies,")

    __hash__ = object.__hash__

    # --- what needs numbers -----------------------------------------------------------------------------------

    def _no_numbers(self, what: str) -> TypeError:
        return TypeError(
            f"{what} needs the numbers of {self!r}, and a functional model is put together before there are any. "
            "Use functions of torch (torch.where instead of if), or put this code into the forward of a module."
        )

    def __bool__(self) -> bool:
        raise self._no_numbers("if, and, or, not")

    def __float__(self) -> float:
        raise self._no_numbers("float()")

    def __int__(self) -> int:
        raise self._no_numbers("int()")

    def __index__(self) -> int:
        raise self._no_numbers("range(), or an index,")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_numbers("NumPy")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("A symbol cannot be changed in place; use torch.where, torch.cat or x.index_put(...).")


_NEED_NUMBERS = frozenset({"item", "tolist", "numpy", "backward", "cpu", "cuda", "data_ptr", "storage"})


def _operator(name: str, reflected: bool) -> Callable[..., Any]:
    function = getattr(operator, name, None) or getattr(operator, f"{name}_")

    def unary_or_binary(self: Symbol, *others: Any) -> Any:
        if name in ("eq", "ne") and others[0] is None:
            # `x.shape == (None, 3)`: a size that varies is None
            return (name == "eq") == (not isinstance(self.values[0], Tensor))
        if name in ("lt", "le", "gt", "ge") and isinstance(self.values[0], int):
            raise self._no_numbers(f"{name} of a size that varies")  # two sizes that agree say nothing of others
        return record_call(function, (*others, self) if reflected else (self, *others), {})

    return unary_or_binary


for _name in magic_methods:
    if _name not in ("getitem", "div"):  # the second is Python 2's
        setattr(Symbol, f"__{_name.strip('_')}__", _operator(_name, reflected=False))
for _name in reflectable_magic_methods:
    if _name != "div":
        setattr(Symbol, f"__r{_name.strip('_')}__", _operator(_name, reflected=True))


def has_symbols(value: Any) -> bool:
    """Whether there is a symbol among `value`, its items, or theirs."""
    if isinstance(value, Symbol):
        return True
    if isinstance(value, (tuple, list)):
        return any(map(has_symbols, value))
    return isinstance(value, Mapping) and any(map(has_symbols, value.values()))


def collect_symbols(value: Any) -> list[Symbol]:
    """The symbols among `value`, its items, and theirs, in order."""
    found: list[Symbol] = []
    map_symbols(value, lambda symbol: found.append(symbol))
    return found


def map_symbols(value: Any, by: Callable[[Symbol], Any]) -> Any:
    """`value` with another thing in the place of each symbol."""
    if isinstance(value, Symbol):
        return by(value)
    if isinstance(value, slice):
        return slice(map_symbols(value.start, by), map_symbols(value.stop, by), map_symbols(value.step, by))
    if isinstance(value, (tuple, list)):
        items = [map_symbols(one, by) for one in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, Mapping):
        return {key: map_symbols(one, by) for key, one in value.items()}
    return value


def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """`module(*args, **kwargs)`; on symbols it is recorded as one call of the module, for a functional model.

    kerastorch's own layers and models need no `call`; any other `nn.Module` does.

    >>> x = Symbol(None, (), {}, (torch.zeros(2, 3), torch.zeros(5, 3)))
    >>> call(nn.Linear(3, 4), x).shape
    (None, 4)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"call() takes a torch.nn.Module first, got {module!r}.")
    return record_call(module, args, kwargs) if has_symbols((args, kwargs)) else module(*args, **kwargs)


def record_call(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What `target` makes of symbols: symbols again, in the structure that it returns."""
    kwargs = dict(kwargs)
    given = [symbol.channels for symbol in collect_symbols((args, kwargs))]
    channels = channels_after(target, given, check_axis)
    masks = None
    if isinstance(target, nn.Module):
        masks = map_symbols(_first(args, kwargs), lambda symbol: symbol.mask)
        if any_mask(masks) and "mask" not in kwargs and takes_mask(target):
            kwargs["mask"] = masks
        kwargs |= _masks_by_name(target, args, kwargs)
        _refuse_weights(display_name(target), args, kwargs)
        with building_for(given):
            _build(target, args, kwargs)
    else:
        _refuse(target, args, kwargs)
    values = (_evaluated(target, args, kwargs, 0), _evaluated(target, args, kwargs, 1))
    whole = Symbol(target, args, kwargs, values)
    whole.channels = channels
    made = _symbolic(whole, *values)
    if isinstance(target, nn.Module):
        _recorded.setdefault(target, []).append(weakref.ref(whole))
        masks = mask_after(target, _first(args, kwargs), kwargs.get("mask", masks), used="mask" in kwargs)
        for symbol, mask in zip(
            collect_symbols(made), masks if isinstance(masks, (tuple, list)) else [masks], strict=False
        ):
            symbol.mask = mask
    return made


def recorded_calls(module: nn.Module) -> list[tuple[Any, Any]]:
    """First argument and outcome of each call of `module` on symbols that a model, or anybody, still holds."""
    held = [call for ref in _recorded.get(module, ()) if (call := ref()) is not None]
    return [(_first(call.args, call.kwargs), _symbolic(call, *call.values)) for call in held]


# --- how -------------------------------------------------------------------------------------------------------


def _symbolic(made: Symbol, one: Any, other: Any) -> Any:
    """`made`, taken apart where it is a structure; what is the same whatever the sizes is no symbol."""
    if isinstance(one, Tensor):
        return made
    if isinstance(one, Mapping):
        return {key: _part(made, key, one[key], other[key]) for key in one}
    if isinstance(one, (tuple, list)) and any(isinstance(part, (Tensor, tuple, list, Mapping)) for part in one):
        parts = [_part(made, index, *both) for index, both in enumerate(zip(one, other, strict=True))]
        return type(one)(*parts) if hasattr(one, "_fields") else type(one)(parts)
    return one if one == other else made


def _part(whole: Symbol, key: Any, one: Any, other: Any) -> Any:
    return _symbolic(Symbol(operator.getitem, (whole, key), {}, (one, other)), one, other)


def _evaluated(target: Any, args: Any, kwargs: Any, at: int) -> Any:
    """What `target` gives on the values number `at`."""
    given = (args, kwargs)
    try:
        return eval_on_fakes(target, *_values(given, at))
    except Exception as error:
        name = display_name(target)
        if is_data_dependent(error):
            raise TypeError(
                f"{name} goes by the numbers in its input, and a functional model is put together before there are "
                "any. Put it into a module with a forward of its own, and that into Model(module)."
            ) from error
        shapes = ", ".join(str(tuple(leaf.shape)) for leaf in _leaves(given))
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{name} cannot take inputs of shape {shapes}: {said}") from error


def _values(given: Any, at: int) -> Any:
    return map_symbols(given, lambda symbol: symbol.values[at])


def _first(args: Any, kwargs: Mapping[str, Any]) -> Any:
    return args[0] if args else next(iter(kwargs.values()))


def _leaves(value: Any) -> list[Any]:
    """The tensors and symbols among `value`."""
    if isinstance(value, Tensor) or (isinstance(value, Symbol) and isinstance(value.values[0], Tensor)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [leaf for one in value for leaf in _leaves(one)]
    return [leaf for one in value.values() for leaf in _leaves(one)] if isinstance(value, Mapping) else []


def display_name(target: Any) -> str:
    """What is called, for a message."""
    if isinstance(target, nn.Module):
        name = getattr(target, "name", None)
        return f"{type(target).__name__} {name!r}" if isinstance(name, str) else type(target).__name__
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def _build(module: nn.Module, args: Any, kwargs: Any) -> None:
    """Make the parameters of lazy layers, with the numbers that they start from."""
    ensure = getattr(module, "ensure_built", None)
    if ensure is not None:
        shapes = [
            tuple(map(_sizes, value)) if isinstance(value, (tuple, list)) else _sizes(value)
            for value in (*args, *kwargs.values())
            if _has_shape(value)
        ]
        ensure(*shapes)
    build_on_zeros(module, _values((args, kwargs), 0), _values((args, kwargs), 1))


def _has_shape(value: Any) -> bool:
    """Whether it is a tensor to come, or a list of tensors with one to come among them; masks may be `None`."""
    if isinstance(value, (tuple, list)):
        return has_symbols(value) and all(isinstance(one, (Symbol, Tensor)) for one in value)
    return isinstance(value, Symbol)


def _sizes(symbol: Symbol | Tensor) -> tuple[int, ...]:
    if isinstance(symbol, Tensor):
        return tuple(symbol.shape)
    return tuple(a if a == b else -1 for a, b in zip(*(value.shape for value in symbol.values), strict=True))


def _refuse(target: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
    """What a graph of functions cannot hold: parameters, and changes in place."""
    name = display_name(target)
    _refuse_weights(name, args, kwargs)
    in_place = kwargs.get("inplace") or kwargs.get("out") is not None
    underscored = name.endswith("_") and not name.endswith("__") and getattr(operator, name, None) is not target
    if in_place or underscored:
        raise TypeError(
            f"{name} changes a tensor in place, which a symbol cannot be; use the function that returns a new one."
        )
    module = _called_module()
    if module is not None:
        raise TypeError(f"{type(module).__name__} was called on a symbol; call it as kerastorch.call(module, x).")


def _refuse_weights(name: str, args: Any, kwargs: Mapping[str, Any]) -> None:
    """Beside symbols: they would be copied into the graph, and learn nothing."""
    given = [leaf for leaf in _leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if any(isinstance(leaf, nn.Parameter) for leaf in given):
        raise TypeError(
            f"{name} was called on a symbol together with a parameter, which would belong to no module. "
            "Call a torch module as kerastorch.call(module, x); put a parameter of your own into a module."
        )
    if given:
        raise TypeError(
            f"{name} was called on a symbol together with a tensor made of weights, which would learn nothing there. "
            "Call the layer that made it on a symbol: Embedding(n, d)(torch.arange(n).expand_as(x))."
        )


def _called_module() -> nn.Module | None:
    """The module of torch's whose forward is running: it was called on a symbol directly, and would be taken apart."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code is CALL_CODE and isinstance(frame.f_locals.get("self"), nn.Module):
            return frame.f_locals["self"]  # type: ignore[no-any-return]
        frame = frame.f_back
    return None


def _masks_by_name(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What attention takes as `query_mask`, `value_mask`, ... beside `query`, `value`, where nobody has given it."""
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # a forward that is no Python
        return {}
    given = dict(zip(parameters, args, strict=False)) | dict(kwargs)
    found = {f"{name}_mask": value.mask for name, value in given.items() if isinstance(value, Symbol)}
    return {
        name: mask for name, mask in found.items() if name in parameters and given.get(name) is None and any_mask(mask)
    }
