"""Policies of dtypes under Keras' path: the three of mixed precision, and those of one dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import DTYPE_POLICIES
from kerastorch.core.precision_policy import Policy, current_policy

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

DTypePolicy = FloatDTypePolicy = Policy


def get(identifier: Any) -> Policy:
    """Return the policy of a name, a config or a policy; the global one for `None`.

    Args:
        identifier: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"`, what `serialize` returned, or a policy.

    Raises:
        ValueError: There is no such policy.

    >>> get("mixed_bfloat16")
    Policy('mixed_bfloat16')
    """
    if identifier is None:
        return current_policy()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    return identifier if isinstance(identifier, Policy) else Policy(identifier)


def serialize(dtype_policy: Policy) -> dict[str, Any]:
    """Return the config of a policy.

    Args:
        dtype_policy: The policy.

    >>> serialize(get("float32"))["config"]
    {'name': 'float32'}
    """
    return {
        "module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype_policy.name}, "registered_name": None,
    }  # fmt: skip


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Policy:  # noqa: ARG001
    """Return the policy of a config.

    Args:
        config: What `serialize` returned, here or in Keras.
        custom_objects: Is of no use: there are no other classes of policies.

    Raises:
        ValueError: The class is another one, or the name is unknown.
    """
    if config.get("class_name") not in ("DTypePolicy", "FloatDTypePolicy", "Policy"):
        raise ValueError(f"The only class of policies is DTypePolicy, got {config.get('class_name')!r}.")
    return Policy(config["config"]["name"])


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise absent_name(__name__, name, __all__, DTYPE_POLICIES)
