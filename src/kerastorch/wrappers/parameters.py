"""NestedParameters: parameters of a module, an optimizer or a dict that grids reach by names with two underscores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from sklearn.base import BaseEstimator

from kerastorch.core.errors import suggest

PREFIXES = ("module__", "optimizer__")  # arguments of a class
DICTS = ("model_kwargs__", "fit_kwargs__")  # entries of a parameter that is a dict


class NestedParameters(BaseEstimator):  # type: ignore[misc]
    """An estimator with the parameters `module__...` and `optimizer__...`, and with the entries of its dicts.

    `get_params`, `set_params`, `clone` and searches treat them as the parameters of a nested estimator.
    """

    _nested: dict[str, Any]

    def nested(self, prefix: str) -> dict[str, Any]:
        """Return the parameters with a prefix, under their names without it."""
        return {name.removeprefix(prefix): value for name, value in self._nested.items() if name.startswith(prefix)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Args:
            deep: Whether entries of `model_kwargs` and `fit_kwargs` are among them, as `model_kwargs__name`. Default
                `True`.
        """
        found = {**super().get_params(deep=deep), **self._nested}
        for prefix in DICTS if deep else ():
            held = found.get(prefix.removesuffix("__"))
            found |= {f"{prefix}{name}": value for name, value in held.items()} if isinstance(held, Mapping) else {}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, and return the estimator.

        Args:
            **params: Names as `get_params` returns them, and any `module__`, `optimizer__`, `model_kwargs__` and
                `fit_kwargs__` name.

        Raises:
            ValueError: There is no parameter of a name.
        """
        nested = {name: value for name, value in params.items() if name.startswith(PREFIXES)}
        entries = {name: value for name, value in params.items() if name.startswith(DICTS)}
        super().set_params(**{name: value for name, value in params.items() if name not in nested | entries})
        self._nested = {**self._nested, **nested}
        for name, value in entries.items():
            held, _, key = name.partition("__")
            setattr(self, held, {**(getattr(self, held) or {}), key: value})  # not in place: clones may share it
        return self

    def _checked_nested(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments of the constructor that are parameters of a class.

        Raises:
            TypeError: There is no parameter of a name.
        """
        for name in given:
            if not name.startswith(PREFIXES):
                known = [*self._get_param_names(), *PREFIXES]
                hint = suggest(name, known)
                if not hint and not name.startswith(DICTS):
                    hint = f" Is it an argument of the module? Then its name is module__{name}."
                raise TypeError(f"{type(self).__name__}() has no parameter {name!r}.{hint}")
        return dict(given)
