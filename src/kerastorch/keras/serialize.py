"""`serialize` and `deserialize` of the modules of Keras, such as `keras.losses.serialize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from kerastorch.keras.models import deserialize_keras_object
from kerastorch.saving.keras_objects import serialize_keras_object

MODULES = (
    "activations", "constraints", "initializers", "losses", "metrics", "optimizers", "optimizers.schedules",
    "regularizers",
)  # fmt: skip


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return `serialize` and `deserialize`, in this order, for the objects of a module.

    If the module has a function `get`, one that takes configs, too, comes after them.

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
        if isinstance(config, Mapping) and config.get("class_name") in dir(module):
            config = {**config, "class_name": f"{room}.{config['class_name']}"}  # as in Keras, without the module
        return deserialize_keras_object(config, custom_objects)

    def get(identifier: Any) -> Any:
        """Return the object of a name, a config, a class or an instance; `None` for `None` if the module has it."""
        is_config = isinstance(identifier, Mapping) and "class_name" in identifier
        return deserialize(identifier) if is_config else module.get(identifier)

    found: dict[str, Callable[..., Any]] = {"serialize": serialize, "deserialize": deserialize}
    return {**found, "get": get} if hasattr(module, "get") else found
