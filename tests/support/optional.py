"""Packages that kerastorch does without: if one is absent, the tests that use it are skipped, and no others."""

import importlib
import importlib.util

import pytest


def is_installed(*packages):
    """Return whether all of these packages can be imported."""
    return all(importlib.util.find_spec(package) is not None for package in packages)


class _Absent:
    """Skip the test that is running as soon as it uses the package."""

    def __init__(self, package):
        self._package = package

    def __getattr__(self, name):
        pytest.skip(f"{self._package} is not installed")


def optional(name):
    """Return a module, or what skips the test that uses it.

    Args:
        name: of the module, such as `"safetensors.torch"`.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        return _Absent(name)
