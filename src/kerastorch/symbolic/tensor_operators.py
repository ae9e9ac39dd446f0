"""TensorOperators: torch functions, methods and Python operators, each passed on to be recorded."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.fx.graph import magic_methods, reflectable_magic_methods
from torch.overrides import get_default_nowrap_functions, is_tensor_method_or_property

from kerastorch.symbolic.recording_errors import needs_values

# tensor methods that return values, or copy them to where a tensor without values cannot be
_METHODS_THAT_READ_VALUES = frozenset({"item", "tolist", "numpy", "backward", "cpu", "cuda", "data_ptr", "storage"})


class TensorOperators(ABC):
    """Base of a class that behaves like a tensor without values: what is done to an instance is recorded.

    Code that needs values (`if`, `float()`, `range()`, NumPy) raises a `TypeError` that says what to use instead.

    Attributes:
        values: Two examples of the value; they differ exactly in the sizes that vary.
    """

    values: tuple[Any, Any]

    @property
    @abstractmethod
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes, as integers if they are fixed."""

    @classmethod
    @abstractmethod
    def _record(cls, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Record one call of `target`, a function or the name of a tensor method, and return its symbolic result."""

    # --- functions, methods, attributes and indexing of tensors -----------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "values" not in self.__dict__:
            raise AttributeError(name)
        try:
            example = getattr(self.values[0], name)
        except AttributeError:
            raise AttributeError(f"A symbol has what a tensor has, and no tensor has {name!r}.") from None
        if not callable(example):
            return self._record(getattr, (self, name), {})
        if name in _METHODS_THAT_READ_VALUES:
            raise needs_values(f".{name}()", self)

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._record(name, (self, *args), kwargs)

        return method

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in get_default_nowrap_functions() or is_tensor_method_or_property(func):
            func = getattr(func, "__name__", func)
        return cls._record(func, args, kwargs or {})

    def __getitem__(self, index: Any) -> Any:
        return self._record(operator.getitem, (self, index), {})

    def __iter__(self) -> Iterator[Any]:
        return iter([self[index] for index in range(len(self))])

    def __len__(self) -> int:
        if isinstance(self.values[0], tuple):  # x.size()
            return len(self.values[0])
        size = self.shape[0]
        if isinstance(size, int):
            return size
        raise needs_values("len(), or a loop over an axis that varies,", self)

    __hash__ = object.__hash__

    # --- what needs values ------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        raise needs_values("if, and, or, not", self)

    def __float__(self) -> float:
        raise needs_values("float()", self)

    def __int__(self) -> int:
        raise needs_values("int()", self)

    def __index__(self) -> int:
        raise needs_values("range(), or an index,", self)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise needs_values("NumPy", self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("A symbol cannot be changed in place; use torch.where, torch.cat or x.index_put(...).")


def _operator(name: str, reflected: bool) -> Callable[..., Any]:
    """Return the method for a Python operator.

    Args:
        name: The operator's name in the module `operator`, as `"add"`; `"and"` and `"or"` stand for `and_` and `or_`.
        reflected: Whether the symbol is the right operand, as in `__radd__`.
    """
    function = getattr(operator, name, None) or getattr(operator, f"{name}_")

    def unary_or_binary(self: TensorOperators, *others: Any) -> Any:
        if name in ("eq", "ne") and others[0] is None:
            # `x.shape == (None, 3)`: a size that varies equals None
            return (name == "eq") == (not isinstance(self.values[0], Tensor))
        if name in ("lt", "le", "gt", "ge") and isinstance(self.values[0], int):
            # that the two example sizes agree says nothing about other sizes
            raise needs_values(f"{name} of a size that varies", self)
        return self._record(function, (*others, self) if reflected else (self, *others), {})

    return unary_or_binary


for _name in magic_methods:
    if _name not in ("getitem", "div"):  # "div" is Python 2's; torch.fx lists it beside "truediv"
        setattr(TensorOperators, f"__{_name.strip('_')}__", _operator(_name, reflected=False))
for _name in reflectable_magic_methods:
    if _name != "div":
        setattr(TensorOperators, f"__r{_name.strip('_')}__", _operator(_name, reflected=True))
