"""Errors for names that a module does not have."""

from __future__ import annotations

import dis
import sys
from collections.abc import Collection, Mapping
from types import FrameType, MappingProxyType

from kerastorch.core.errors import suggest


def absent_name(
    module: str, name: str, known: Collection[str], advice: Mapping[str, str] = MappingProxyType({})
) -> AttributeError | ImportError:
    """Return the error for a name that a module does not have; for the `__getattr__` of the module.

    Args:
        module: Name of the module.
        name: The name that was looked up.
        known: The public names of the module, of which the most similar one is suggested.
        advice: Sentences that say what to use, by names that users know from elsewhere.

    Returns:
        An `ImportError` in a line `from module import name`, which would replace the message of another error; else an
        `AttributeError`.

    >>> print(absent_name("kerastorch.losses", "MSE", ["mae", "mse"]))
    kerastorch.losses has no 'MSE'. Did you mean 'mse'?
    """
    hint = f" {advice[name]}" if name in advice else "" if name.startswith("_") else suggest(name, known)
    message = f"{module} has no {name!r}.{hint}"
    if hint and _imports(sys._getframe(2)):  # the frame that looked the name up
        return ImportError(message, name=module)
    return AttributeError(message)


def _imports(frame: FrameType) -> bool:
    """Return whether a frame executes the part of `from module import name` that reads the name."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"
