"""The global precision policy, which `compile` uses by default."""

from __future__ import annotations

from kerastorch.core.errors import unknown

POLICIES = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}  # name -> compute dtype


class Policy:
    """A precision policy: weights in float32, and the number format that layers compute in.

    Args:
        name: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`, as in Keras.

    Attributes:
        name: The name.
        compute_dtype: Name of the number format that layers compute in.
        variable_dtype: Name of the number format of weights, `"float32"`.

    Raises:
        ValueError: The name is unknown.

    >>> Policy("mixed_bfloat16").compute_dtype
    'bfloat16'
    """

    def __init__(self, name: str) -> None:
        if name not in POLICIES:
            raise unknown("policy", str(name), POLICIES)
        self.name, self.compute_dtype, self.variable_dtype = name, POLICIES[name], "float32"

    def __repr__(self) -> str:
        return f"Policy({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


_current = [Policy("float32")]


def current_policy() -> Policy:
    """Return the global policy."""
    return _current[0]


def choose_policy(policy: Policy) -> None:
    """Replace the global policy."""
    _current[0] = policy
