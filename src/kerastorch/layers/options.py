"""LayerOptions: constructor arguments as one object, for base classes that several layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Constructor arguments of a layer, as the caller passed them.

    A public constructor spells out Keras' signature and passes one options object to its base class:
    `super().__init__(SomeOptions.from_arguments(locals()))`. The base class validates each option and stores it as an
    attribute of the same name, from which `get_config` reads it.

    Args:
        name: Name of the layer.
        trainable: Whether the weights of the layer are trained.
        activity_regularizer: Penalty on the output, added to the training loss.

    >>> LayerOptions.from_arguments({"self": ..., "units": 3, "name": "first"})
    LayerOptions(name='first', trainable=True, activity_regularizer=None)
    """

    name: str | None = None
    trainable: bool = True
    activity_regularizer: Any = None

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Self:
        """Create the options from the arguments of a constructor; other names are ignored.

        Args:
            arguments: `locals()` of the constructor, before it assigns any variable. An option which the constructor
                does not have gets the default of this class.
        """
        return cls(**{field.name: arguments[field.name] for field in fields(cls) if field.name in arguments})
