"""`serialize` and `deserialize` of the modules of Keras, such as `keras.losses.serialize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from kerastorch.saving.keras_objects import deserialize_keras_object, serialize_keras_object

MODULES = (
    "activations", "constraints", "initializers", "losses", "metrics", "optimizers", "optimizers.schedules",
    "regularizers",
)  # fmt: skip


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return `serialize` and `deserialize` for the objects of a module.

    They are returned in this order.

    Args:
        module: The module of kerastorch, such as `kerastorch.losses`.
    """
    room = module.__name__.rpartition(".")[2]

    def serialize(obj: Any) -> Any:
        """Return the name of a function of the module, and the config of another object; names stay as they are."""
        written = serialize_keras_object(obj)
        name = written.get("function", "") if isinstance(written, dict) else ""
        return name.rpartition(".")[2] if name.startswith(f"{room}.") else written

    def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Return the object of a name, or of what `serialize` returned.

        Args:
            config: The name, or the dict.
            custom_objects: Classes and functions of your own by name. Default none.
        """
        if isinstance(config, str):
            return {**(custom_objects or {})}.get(config) or module.get(config)
        return deserialize_keras_object(config, custom_objects)

    return {"serialize": serialize, "deserialize": deserialize}
