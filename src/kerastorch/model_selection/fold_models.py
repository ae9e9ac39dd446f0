"""FoldBuilder: calls `build_fn` for each fold, and checks that the model is a new one."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from kerastorch.core.errors import shown
from kerastorch.model import Model
from kerastorch.model_selection.rows import count_rows, is_dataset

Transform = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class FoldModel:
    """The model of a fold.

    Attributes:
        model: Compiled model.
        transform: What the inputs go through first; `None` if they are used as they are.
    """

    model: Model
    transform: Transform | None

    def inputs(self, x: Any) -> Any:
        """Return the inputs of the model for some rows.

        Raises:
            ValueError: The transform returns another number of rows.
        """
        if self.transform is None:
            return x
        found, rows = self.transform(x), count_rows(x=x)
        if found is None:
            raise ValueError("the transform that build_fn returned gives None; it must return the transformed inputs.")
        n_found = count_rows(**{"what the transform of build_fn returns": found})
        if n_found != rows:
            raise ValueError(
                f"the transform that build_fn returned gives {n_found} rows for {rows}. It must give one for each, "
                "so that inputs and targets belong together."
            )
        return found


class FoldBuilder:
    """Builds the model of each fold.

    Args:
        owner: Name of the function that was given `build_fn`, for messages.
        build_fn: Called with the training rows of a fold and the `extra` values; returns a compiled model, or the
            model and what transforms its inputs.
        extra: Further values that `build_fn` is called with.

    Raises:
        TypeError: `build_fn` cannot be called with these arguments.
    """

    def __init__(self, owner: str, build_fn: Any, *extra: Any) -> None:
        self._owner, self._build_fn, self._extra = owner, build_fn, extra
        self._seen: dict[int, weakref.ref[Any]] = {}
        self._check_callable()

    def __call__(self, x: Any, y: Any) -> FoldModel:
        """Return a new model for the training rows of a fold.

        Raises:
            TypeError: `build_fn` returned something else.
            ValueError: The model is not compiled, or an earlier fold has it, or weights of it.
        """
        found = self._build_fn(x, y, *self._extra)
        transform = None
        if isinstance(found, tuple) and len(found) == 2:
            found, transform = found[0], _parse_transform(found[1], x)
        if not isinstance(found, Model):
            raise TypeError(f"build_fn must return a compiled model, got {shown(found)}.{_advice(found)}")
        if vars(found).get("_trainer") is None:
            raise ValueError(
                "build_fn returned a model that is not compiled; call model.compile(...) before it returns."
            )
        self._check_is_new(found)
        return FoldModel(found, transform)

    def _check_callable(self) -> None:
        names = ", ".join(["x", "y", *(["value"] if self._extra else [])])
        if isinstance(self._build_fn, nn.Module) or hasattr(self._build_fn, "fit") or not callable(self._build_fn):
            raise TypeError(
                f"{self._owner}() needs a function that builds a new model for each fold: def build_fn({names}), got "
                f"{shown(self._build_fn)}.{_advice_for(self._build_fn, self._owner)}"
            )
        try:
            inspect.signature(self._build_fn).bind(None, None, *self._extra)
        except ValueError:  # a function without a signature
            return
        except TypeError as error:
            raise TypeError(
                f"build_fn is called as build_fn({names}), with the training rows of a fold: {error}. Write "
                f"def build_fn({names})."
            ) from None

    def _check_is_new(self, model: Model) -> None:
        """Raise if a model, or a weight of it, belongs to an earlier fold."""
        for one in (model, *model.parameters()):
            earlier = self._seen.get(id(one))
            if earlier is not None and earlier() is one:
                what = "the same model" if one is model else "a model with weights that it has returned"
                raise ValueError(
                    f"build_fn returned {what} before, so a fold would know the held-out rows of another one. Build "
                    "the layers within build_fn."
                )
            self._seen[id(one)] = weakref.ref(one)


def _parse_transform(given: Any, x: Any) -> Transform:
    """Return what transforms inputs: a function, or the method `transform` of an object."""
    transform = getattr(given, "transform", given)
    if getattr(given, "__name__", None) == "fit_transform":
        raise TypeError(
            "build_fn returned fit_transform, which would be fitted to the held-out rows. Fit the transformer to x in "
            "build_fn, and return it: return model, scaler.fit(x)."
        )
    if not callable(transform):
        raise TypeError(f"build_fn may return (model, transform), where transform is a function, got {shown(given)}.")
    if is_dataset(x):
        raise TypeError("build_fn returned a transform, which is for arrays; let the dataset transform its samples.")
    return transform  # type: ignore[no-any-return]


def _advice_for(build_fn: Any, owner: str) -> str:
    """Return what to do with an estimator that is given instead of a function."""
    if isinstance(build_fn, nn.Module) or not hasattr(build_fn, "get_params"):
        return ""
    return f" Estimators and pipelines go to sklearn.model_selection.{owner}."


def _advice(found: Any) -> str:
    if found is None:
        return " Does it end with return model?"
    if isinstance(found, nn.Module):
        return " Wrap the module: model = kt.Model(module), then model.compile(...)."
    return ""
