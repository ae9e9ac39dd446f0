"""InputSpec: what a layer of your own expects of its inputs, checked at its calls."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Self

from torch import Tensor, nn

from kerastorch.core.tensor_spec import TRIAL_SIZES
from kerastorch.core.torch_private import pytree
from kerastorch.symbolic.fake_tensors import is_shape_inference
from kerastorch.symbolic.recording_errors import display_name
from kerastorch.symbolic.symbolic_call import Recordable
from kerastorch.symbolic.symbolic_tensor import Symbol, has_symbols

_is_recording: ContextVar[bool] = ContextVar("is_recording", default=False)


class InputSpec:
    """The dtype, the axes and the sizes that a layer expects of an input.

    Args:
        dtype: Name of the dtype, as `"float32"`. Default: any.
        shape: Sizes with the batch axis, `None` for any. Default: any shape.
        ndim: Number of axes. Default: that of `shape`, else any.
        max_ndim: Largest number of axes. Default: any.
        min_ndim: Smallest number of axes. Default: any.
        axes: Sizes by axis, as `{-1: 3}`; `None` for any. Default: none.
        allow_last_axis_squeeze: Whether a last axis of size 1 may be there or not, in the input and in `shape`. Default
            `False`.
        name: Name of the input, by which one of a dict is found. Default: none.
        optional: Whether the input may be `None`. Default `False`.

    Raises:
        TypeError: An axis is not an integer.
        ValueError: An axis is larger than the number of axes allows.

    >>> InputSpec(shape=(None, 3))
    InputSpec(shape=(None, 3), ndim=2)
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else str(dtype).removeprefix("torch.")
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError):
            raise TypeError(f"axes must be a dict of axes and sizes, as {{-1: 3}}, got {axes!r}.") from None
        largest = self.ndim if self.ndim is not None else max_ndim
        if self.axes and largest is not None and max(self.axes) >= largest:
            raise ValueError(f"axes names the axis {max(self.axes)}, but there are at most {largest}, counted from 0.")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return an equal spec.

        Args:
            config: What `get_config` returned.
        """
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InputSpec) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape, self.ndim, self.name))

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        given = [f"{name}={value}" for name in names if (value := getattr(self, name))]
        return f"InputSpec({', '.join(given)})"

    def difference(self, dtype: str, shape: tuple[int | None, ...]) -> str | None:
        """Return what is wrong with an input, `None` if nothing is.

        Args:
            dtype: Name of its dtype.
            shape: Its sizes, `None` for one that varies.
        """
        n = len(shape)
        wrong = [
            (self.ndim is not None and not self.allow_last_axis_squeeze and n != self.ndim, f"{self.ndim} axes"),
            (self.max_ndim is not None and n > self.max_ndim, f"at most {self.max_ndim} axes"),
            (self.min_ndim is not None and n < (self.min_ndim or 0), f"at least {self.min_ndim} axes"),
            (self.dtype is not None and dtype != self.dtype, f"the dtype {self.dtype}"),
            *(
                (not -n <= axis < n or not _fits(size, shape[axis]), f"size {size} on axis {axis}")
                for axis, size in self.axes.items()
            ),
            (not self._has_shape(shape), f"the shape {self.shape}"),
        ]
        return next((expected for is_wrong, expected in wrong if is_wrong), None)

    def _has_shape(self, shape: tuple[int | None, ...]) -> bool:
        if self.shape is None:
            return True
        wanted, found = self.shape, shape
        if self.allow_last_axis_squeeze:
            wanted, found = (one[:-1] if one and one[-1] == 1 else one for one in (wanted, found))
        return len(wanted) == len(found) and all(map(_fits, wanted, found))


class InputSpecMixin(Recordable):
    """A layer whose inputs are checked by `input_spec`, if it is set."""

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if "_input_spec" not in vars(self) or not has_symbols((args, kwargs)):
            return super()._call(*args, **kwargs)
        check_input_spec(self, args, kwargs)
        token = _is_recording.set(True)  # the sizes of symbols are those of trials, which the layer is called on now
        try:
            return super()._call(*args, **kwargs)
        finally:
            _is_recording.reset(token)

    @property
    def input_spec(self) -> Any:
        """What the layer expects: an `InputSpec`, or a list or dict of them, one for each input; `None` for no check.

        It is read at each call of the layer; the batch axis and sizes that vary fit everything.
        """
        return vars(self).get("_input_spec")

    @input_spec.setter
    def input_spec(self, spec: Any) -> None:
        if "_input_spec" not in vars(self):
            self.register_forward_pre_hook(check_input_spec, prepend=True, with_kwargs=True)
        vars(self)["_input_spec"] = spec


def check_input_spec(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise if the first argument of a call is not what the layer's `input_spec` says; a forward pre-hook.

    Raises:
        ValueError: An input is not as expected, or their number is not.
    """
    specs = _leaves(vars(layer)["_input_spec"])
    if not specs or _is_recording.get():
        return
    given = args[0] if args else next(iter(kwargs.values()), None)
    name = display_name(layer)
    names = [one.name for one in specs if isinstance(one, InputSpec)]
    if isinstance(given, Mapping) and len(names) == len(specs) and all(names):
        if missing := [one for one in names if one not in given]:
            raise ValueError(f"{name} expects inputs named {names}, and {missing[0]!r} is not in {list(given)}.")
        inputs = [given[one] for one in names]
    else:
        inputs = _leaves(given)
    if len(inputs) != len(specs):
        raise ValueError(f"{name} expects {len(specs)} inputs, as its input_spec says, got {len(inputs)}.")
    for index, (value, spec) in enumerate(zip(inputs, specs, strict=True)):
        if spec is None or (value is None and spec.optional):
            continue
        if not isinstance(value, (Tensor, Symbol)):
            raise ValueError(f"{name} expects tensors, input {index} is {type(value).__name__}.")
        varies = TRIAL_SIZES if is_shape_inference() else ()
        shape = tuple(size if isinstance(size, int) and size not in varies else None for size in value.shape)
        expected = spec.difference(str(value.dtype).removeprefix("torch."), shape)
        if expected is not None:
            raise ValueError(
                f"{name} expects {expected} for input {index}, as its input_spec says, got the shape "
                f"{tuple(value.shape)} and the dtype {str(value.dtype).removeprefix('torch.')}."
            )


def _leaves(structure: Any) -> list[Any]:
    return list(pytree.tree_leaves(structure, is_leaf=lambda one: one is None))


def _fits(wanted: int | None, found: int | None) -> bool:
    return wanted is None or found is None or wanted == found
