"""`Config`: named values, as attributes and as in a dict."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any


class Config:
    """Named values that are attributes and items at once, and can be frozen.

    Args:
        **values: The first values.

    >>> config = Config(rate=0.1)
    >>> config.seed = 123
    >>> config["rate"], config.seed
    (0.1, 123)
    >>> config.to_json()
    '{"rate": 0.1, "seed": 123}'
    """

    _values: dict[str, Any]
    _frozen: bool

    def __init__(self, **values: Any) -> None:
        vars(self)["_values"] = {}
        vars(self)["_frozen"] = False
        self.update(values)

    @property
    def frozen(self) -> bool:
        """Whether changes are errors."""
        return self._frozen

    def freeze(self) -> None:
        """Let each change be an error from now on."""
        vars(self)["_frozen"] = True

    def unfreeze(self) -> None:
        """Allow changes again."""
        vars(self)["_frozen"] = False

    def as_dict(self) -> dict[str, Any]:
        """Return the values in a new dict."""
        return dict(self._values)

    def to_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self._values)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._values.keys()

    def values(self) -> ValuesView[Any]:
        """Return the values."""
        return self._values.values()

    def items(self) -> ItemsView[str, Any]:
        """Return pairs of a name and a value."""
        return self._values.items()

    def get(self, keyname: str, value: Any = None) -> Any:
        """Return a value, or another one if there is none of that name.

        Args:
            keyname: The name.
            value: What to return for a name that does not exist. Default `None`.
        """
        return self._values.get(keyname, value)

    def pop(self, *args: Any) -> Any:
        """Remove a value and return it, as `dict.pop` does.

        Raises:
            ValueError: The config is frozen.
        """
        return self._changed().pop(*args)

    def update(self, *args: Any, **values: Any) -> None:
        """Set several values, as `dict.update` does.

        Raises:
            ValueError: The config is frozen.
        """
        self._changed().update(*args, **values)

    def _changed(self) -> dict[str, Any]:
        if self._frozen:
            raise ValueError("The config is frozen; call its unfreeze() before you change it.")
        return self._values

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(
                f"{name} is a method of Config; write config[{name!r}] = value, or choose another name."
            )
        self._changed()[name] = value

    def __getattr__(self, name: str) -> Any:
        values = vars(self).get("_values", {})  # none in an object that is being copied
        if name in values:
            return values[name]
        raise AttributeError(f"The config has no value {name!r}. It has {', '.join(values) or 'none'}.")

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"The config has no value {name!r}. It has {', '.join(self._values) or 'none'}.")
        del self._changed()[name]

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._changed()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._changed()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"
