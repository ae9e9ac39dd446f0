"""The shape of one row that a model takes, and the feature axis of inputs with one number a row."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from kerastorch.core.module_tree import is_unbuilt
from kerastorch.core.nested import leaves, map_structure, map_tensors
from kerastorch.core.torch_class import declared_class
from kerastorch.functional.call_signature import CallSignature
from kerastorch.functional.functional_model import Functional
from kerastorch.layers.batch_normalization import BatchNormalization
from kerastorch.layers.core import Activation, Dense, Maxout
from kerastorch.layers.dropout import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from kerastorch.layers.feature_normalization import Normalization
from kerastorch.layers.rescaling import Rescaling
from kerastorch.layers.reshaping import Identity
from kerastorch.runtime.first_layers import is_plain_chain, unwrap_once

_DENSE = (nn.Linear, Dense, Maxout)
_CONVOLUTIONS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
# Layers whose output has the shape of the input. Layers derived from them may need further axes, and do not count.
_SAME_SHAPE = (
    nn.Identity, nn.Dropout, Identity, Dropout, AlphaDropout, GaussianDropout, GaussianNoise, Activation, Rescaling,
    BatchNormalization,
)  # fmt: skip


class RowShape(NamedTuple):
    """The shape of one row of an input.

    Attributes:
        sizes: The sizes, `None` for those that vary.
        is_open: Whether a dense layer that has no weights yet decides: it takes any number of features.
    """

    sizes: tuple[int | None, ...]
    is_open: bool = False

    @property
    def is_one_number(self) -> bool:
        """Return whether a row may have a single feature."""
        return self.is_open or self.sizes == (1,)


class InputRows:
    """The rows that a model takes, as far as its `Input`s or its first dense layer show it.

    Args:
        model: A model, which is not called.

    Attributes:
        n_axes: Number of axes of a row of the only input; -1 if it is unknown, or there are several inputs.
    """

    def __init__(self, model: nn.Module) -> None:
        self._plan: CallSignature | None = model._plan if isinstance(model, Functional) else None
        if self._plan is not None:
            self._shapes = [RowShape(sizes) for sizes in self._plan.sizes]
        else:
            found = _row_shape(model)
            self._shapes = [found] if isinstance(found, RowShape) else []
        self.n_axes = len(self._shapes[0].sizes) if len(self._shapes) == 1 else -1

    def __call__(self, x: Any) -> Any:
        """Return inputs in which rows of one number have a feature axis, `(rows,)` -> `(rows, 1)`.

        Args:
            x: Inputs: a tensor, or a tuple, list or dict of them.

        Raises:
            ValueError: A tensor has the shape of a single row, or one number a row where more features are needed.
        """
        if isinstance(x, Tensor):
            return _with_features(x, self._shapes[0]) if x.ndim == self.n_axes and x.ndim else x
        if len(self._shapes) == 1:
            return map_tensors(self, x) if sum(1 for _ in leaves(x)) == 1 else x
        if self._plan is None or not any(shape.is_one_number for shape in self._shapes):
            return x
        given = self._plan.inputs_in(x)
        if len(given) != len(self._shapes):
            return x  # the call of the model raises an error
        pairs = zip(given, self._shapes, strict=True)
        changed = {
            id(one): _with_features(one, shape)
            for one, shape in pairs
            if isinstance(one, Tensor) and one.ndim == 1 and shape.is_one_number
        }
        return map_structure(lambda one: changed.get(id(one), one), x) if changed else x


def _with_features(x: Tensor, row: RowShape) -> Tensor:
    """Return an input without a feature axis, or without a row axis, with that axis if it is a feature axis."""
    if row.is_one_number and x.ndim == 1:
        return x.unsqueeze(1)
    batch = f"(rows, {', '.join(map(str, row.sizes))})"
    if _has_sizes(x, row):
        raise ValueError(
            f"x has shape {tuple(x.shape)}, which is that of one sample; the model takes batches of shape {batch}. For "
            "one sample keep the row axis: x[:1] instead of x[0], or x[None]."
        )
    if x.ndim == 1 and row.sizes[0] is not None:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, one number for each row; the model takes {row.sizes[0]} features for each "
            f"row, {batch}."
        )
    return x


def _has_sizes(x: Tensor, row: RowShape) -> bool:
    """Return whether a tensor has the shape of one row, of which some sizes are known."""
    is_known = any(size is not None for size in row.sizes)
    return is_known and all(size in (None, given) for size, given in zip(row.sizes, x.shape, strict=True))


def _row_shape(module: nn.Module) -> RowShape | Literal["same"] | None:
    """Return the shape of a row that a module takes; `"same"` if the next layer decides, `None` if it is unknown."""
    inner = unwrap_once(module)
    if inner is not module:
        return _row_shape(inner)
    if isinstance(module, Functional) and module._plan is not None:
        return RowShape(module._plan.sizes[0]) if len(module._plan.sizes) == 1 else None
    if isinstance(module, nn.Sequential) or getattr(module, "is_chain", False):
        return _row_shape_of_chain(module) if is_plain_chain(module) else None
    if isinstance(module, _DENSE):
        return RowShape((None,), is_open=True) if is_unbuilt(module) else RowShape((int(module.weight.shape[-1]),))
    if type(module) in _CONVOLUTIONS:
        rank = _CONVOLUTIONS[type(module)]
        return RowShape((int(module.in_channels), *[None] * rank))  # type: ignore[arg-type]
    if isinstance(module, nn.BatchNorm1d):
        return RowShape((module.num_features,))
    if isinstance(module, Normalization):
        has_columns = module.axis == -1 and module.mean.numel() > 1
        return RowShape((module.mean.numel(),)) if has_columns else "same"
    return "same" if declared_class(type(module)) in _SAME_SHAPE else None


def _row_shape_of_chain(chain: nn.Module) -> RowShape | Literal["same"] | None:
    declared = vars(chain).get("_input")
    if declared is not None:
        return RowShape(declared.sample_shape)
    for child in chain._modules.values():
        found = "same" if child is None else _row_shape(child)
        if found != "same":
            return found
    return "same"
