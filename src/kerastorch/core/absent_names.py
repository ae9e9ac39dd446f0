"""Errors for names that a public module does not have, with what to use instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from kerastorch.core.errors import suggest


def absent_name(
    module: str, name: str, known: Collection[str], advice: Mapping[str, str] = MappingProxyType({})
) -> AttributeError:
    """Return the error for a name that a module does not have.

    Args:
        module: Name of the module.
        name: The name that was looked up.
        known: The public names of the module, of which the most similar one is suggested.
        advice: Sentences that say what to use, by names that users know from elsewhere.

    >>> print(absent_name("kerastorch.losses", "MSE", ["mae", "mse"]))
    kerastorch.losses has no 'MSE'. Did you mean 'mse'?
    """
    hint = f" {advice[name]}" if name in advice else "" if name.startswith("_") else suggest(name, known)
    return AttributeError(f"{module} has no {name!r}.{hint}")
