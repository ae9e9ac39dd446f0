"""Checks for packages that only some callbacks need."""

from __future__ import annotations

from importlib.util import find_spec


def require_package(who: str, package: str, install: str | None = None) -> None:
    """Check that `package` is installed, without importing it.

    Args:
        who: Name of the class that needs the package.
        package: Import name of the package.
        install: Name of the package for pip, if it differs from the import name.

    Raises:
        ImportError: The package is missing; the message says how to install it.
    """
    if find_spec(package) is None:
        raise ImportError(f"{who} needs {package}: pip install {install or package}", name=package)
