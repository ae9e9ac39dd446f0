"""Mixed precision under Keras' names: the policy that `compile` uses by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import MIXED_PRECISION
from kerastorch.core.precision_policy import Policy, choose_policy, current_policy

__all__ = ["Policy", "global_policy", "set_global_policy"]


def set_global_policy(policy: Any) -> None:
    """Choose the precision of all models that are compiled afterwards without an argument `precision`.

    Args:
        policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`, or a `Policy`.

    Raises:
        ValueError: The name is unknown.

    >>> set_global_policy("mixed_bfloat16")
    >>> global_policy()
    Policy('mixed_bfloat16')
    >>> set_global_policy("float32")
    """
    choose_policy(policy if isinstance(policy, Policy) else Policy(policy))


def global_policy() -> Policy:
    """Return the policy of models that are compiled without an argument `precision`; at first `float32`.

    >>> global_policy().name
    'float32'
    """
    return current_policy()


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, MIXED_PRECISION)
