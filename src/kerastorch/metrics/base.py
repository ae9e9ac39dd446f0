"""Metric: base of Keras' metrics, objects with `update_state`, `result` and `reset_state`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, ClassVar, Literal, Self

import torch

from kerastorch import initializers
from kerastorch.core.errors import mismatch
from kerastorch.core.name_lookup import snake_case
from kerastorch.core.representation import constructor_parameters
from kerastorch.core.serialization import Configurable, decode, init_arguments
from kerastorch.metrics.aggregation import AGGREGATIONS, aggregate, different_attributes
from kerastorch.metrics.variable import MetricVariable
from kerastorch.symbolic.fake_tensors import is_shape_inference

OutputFormat = Literal["raw", "scores", "values", "probabilities", "margins"]


class Metric(Configurable):
    """Base of the metrics. For a metric of your own, write `update_state` and `result`.

    The state is made of variables, which `add_variable` creates. They are tensors on the device of the outputs that
    `update_state` is called with. A pass over data resets the metric before its first batch. A metric of your own is
    updated with each batch, and with the outputs of the model as they are.

    Args:
        dtype: Dtype of the results, such as `"float32"`. Default: torch's default dtype.
        name: Name in the logs. Default: that of the class in snake case.

    Attributes:
        higher_is_better: Whether larger values are better; `None` if it is unknown. Callbacks with `mode="auto"` use
            it.

    >>> import kerastorch as kt
    >>> class LargestError(kt.metrics.Metric):
    ...     def __init__(self, name="largest_error", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.largest = self.add_variable(shape=(), initializer="zeros", name="largest")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.largest.assign(torch.maximum(self.largest, (y_pred - y_true).abs().max()))
    ...     def result(self):
    ...         return self.largest
    >>> metric = LargestError()
    >>> metric.update_state(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 5.0]))
    >>> metric.result()
    tensor(3.)
    """

    higher_is_better: ClassVar[bool | None] = None
    # how a pass over data prepares the outputs of a model for the metric; see `BuiltInMetric`
    output_format: OutputFormat = "raw"

    def __init__(self, dtype: str | torch.dtype | None = None, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.dtype = parse_dtype(dtype)
        self._variables: dict[str, MetricVariable] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "result" in vars(cls):
            cls.result = _as_result(cls.result)  # type: ignore[assignment,method-assign]
        if "update_state" in vars(cls):
            cls.update_state = _on_values(cls.update_state)  # type: ignore[method-assign]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add one batch, `(y_true, y_pred, sample_weight=None)`, to the state.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update_state(y_true, y_pred, sample_weight=None)."
        )

    def result(self) -> Any:
        """Return the value of all batches since the last reset: a scalar tensor, or a dict of them by name.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define result().")

    def reset_state(self) -> None:
        """Set all variables to zero, those of metrics in this one included."""
        for variable in self.variables:
            variable.assign(torch.zeros_like(variable))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Update the state with one batch, and return the result of all batches so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def add_variable(
        self,
        shape: Any,
        initializer: Any = None,
        dtype: str | torch.dtype | None = None,
        aggregation: str | None = None,
        name: str | None = None,
    ) -> MetricVariable:
        """Return a new variable of the state.

        Args:
            shape: Its shape; `()` for a number.
            initializer: Initial value, as in `Layer.add_weight`. Default: zeros. `reset_state` sets it to zero.
            dtype: Default: that of the metric.
            aggregation: How the values of several metrics, each of which has seen a part of the rows, are merged, as
                in training with several processes. `'sum'`; `'mean'`: of all parts alike; `'only_first_replica'`: the
                value of the first part. Default: unknown; then `merge_state` of the subclass does it, or the metric is
                updated again with the rows of all parts.
            name: Name in checkpoints. Default: `variable`, with a number if it is taken.

        Raises:
            RuntimeError: `super().__init__()` was not called before.
            ValueError: The aggregation is unknown.
        """
        if "_variables" not in vars(self):
            raise RuntimeError(f"{type(self).__name__}.__init__ must call super().__init__() before add_variable().")
        data = torch.zeros(tuple(shape), dtype=self.dtype if dtype is None else parse_dtype(dtype))
        if initializer is not None:
            data = initializers.get(initializer)(data)
        if aggregation not in (None, "none", *AGGREGATIONS):
            raise mismatch("aggregation", aggregation, f"one of {', '.join(map(repr, AGGREGATIONS))} or None")
        variable = MetricVariable(data, None if aggregation == "none" else aggregation)
        self._variables[_unused_name(name or "variable", self._variables)] = variable
        return variable

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: str | torch.dtype | None = None,
        name: str | None = None,
    ) -> MetricVariable:
        """Return a new variable of the state; see `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[MetricVariable]:
        """The variables of the state, those of metrics in this one included."""
        nested = [variable for metric in self.nested_metrics().values() for variable in metric.variables]
        return [*self._variables.values(), *nested]

    def merge_state(self, metrics: Iterable[Any]) -> None:
        """Add the states of other metrics of this class, which have seen other rows.

        The variables are merged as their `aggregation` says. Define it in a subclass whose state is merged differently.

        Args:
            metrics: The other metrics, which stay unchanged.

        Raises:
            ValueError: A variable has no `aggregation`; or an attribute that is no variable differs.

        >>> from kerastorch.metrics import Mean
        >>> one, other = Mean(), Mean()
        >>> one.update_state([1.0, 2.0])
        >>> other.update_state([6.0])
        >>> one.merge_state([other])
        >>> one.result()
        tensor(3.)
        """
        parts = [self, *metrics]
        n_variables = max(len(one._variables) for one in parts)
        parts = [one for one in parts if len(one._variables) == n_variables]  # the others wait for their first batch
        if parts[0] is not self:
            vars(self).update(copy.deepcopy(vars(parts[0])) | {"name": self.name})
        parts[0] = self
        if len(parts) == 1:
            return
        self._check_can_merge(parts)
        for name, variable in self._variables.items():
            variable.assign(aggregate([one._variables[name] for one in parts], variable.aggregation))
        for path, metric in self.nested_metrics().items():
            metric.merge_state([one.nested_metrics()[path] for one in parts[1:]])

    def _check_can_merge(self, parts: list[Any]) -> None:
        """Raise an error if the states of metrics of this class cannot be merged by the aggregations."""
        kind, known = type(self).__name__, ", ".join(map(repr, AGGREGATIONS))
        for name, variable in self._variables.items():
            if variable.aggregation is None:
                raise ValueError(
                    f"{kind}: nothing says how the variable {name!r} of several metrics is merged. Give "
                    f"add_variable(aggregation=...) one of {known}, or define merge_state(metrics)."
                )
        variables = {name: value for name, value in vars(self).items() if isinstance(value, MetricVariable)}
        for name in different_attributes(parts, {"name": None, **variables}):
            raise ValueError(
                f"{kind}: the attribute {name!r} differs between the metrics that are merged, and is no variable. Make "
                "it with add_variable(aggregation=...), or define merge_state(metrics)."
            )

    def nested_metrics(self) -> dict[str, Metric]:
        """Return the metrics that are attributes of this one, or in lists that are, by path."""
        return dict(metrics_in(vars(self)))

    def to(self, device: str | torch.device) -> Self:
        """Move the variables to a device; return the metric."""
        for variable in self.variables:
            variable.move(torch.device(device))
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__` that create an equal metric, in JSON types.

        A `get_config` of your own may start with this one; arguments that are not attributes are its own then.

        Raises:
            TypeError: An argument is not an attribute, or cannot be serialized.
        """
        names = constructor_parameters(type(self))
        has_own = type(self).get_config is not Metric.get_config
        missing = frozenset(name for name in names if has_own and not hasattr(self, name))
        config = init_arguments(self, missing)
        return config | ({"dtype": dtype_name(self.dtype)} if "dtype" in names else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create a metric from what `get_config` returned."""
        return cls(**{name: decode(value) for name, value in config.items()})


def metrics_in(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Metric]]:
    """Yield the metrics among attributes, and in the lists, tuples and dicts among them, with their paths."""
    for name, value in attributes.items():
        if isinstance(value, Metric):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from metrics_in({f"{name}.{index}": one for index, one in enumerate(value)})
        elif isinstance(value, Mapping) and name != "_variables":
            yield from metrics_in({f"{name}.{key}": one for key, one in value.items()})


def _as_result(result: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a `result` method that returns tensors, which share no memory with the state."""

    @wraps(result)
    def converted(self: Any) -> Any:
        value = result(self)
        if isinstance(value, Mapping):
            return {name: _to_tensor(one) for name, one in value.items()}
        return _to_tensor(value)

    return converted


def _on_values(update: Callable[..., None]) -> Callable[..., None]:
    """Return an `update_state` method that does nothing while a layer is called for the shapes of its outputs alone."""

    @wraps(update)
    def updated(self: Any, *args: Any, **kwargs: Any) -> None:
        if not is_shape_inference():
            update(self, *args, **kwargs)

    return updated


def _to_tensor(value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return torch.tensor(float(value))
    return value.value if isinstance(value, MetricVariable) else value


def parse_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """Return a dtype of torch; `None` means the default dtype.

    Raises:
        ValueError: There is no dtype of this name.
    """
    if dtype is None:
        return torch.get_default_dtype()
    found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype must be a dtype of torch or its name, such as 'float32', got {dtype!r}.")
    return found


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype, such as `"float32"`."""
    return str(dtype).removeprefix("torch.")


def _unused_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name, with a number if it is taken."""
    number, unused = 0, name
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    return unused
