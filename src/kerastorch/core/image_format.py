"""The order of the axes of images that `kerastorch` and `kerastorch.keras` give to what is made without `data_format=`.

The two settings are those of the process. While a module is made from a file or a config, they are those under which it
was made first, so that it computes the same in a program with other settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from kerastorch.core.errors import check_choice, mismatch

FORMATS = ("channels_first", "channels_last")
MAIN, KERAS = "main", "keras"  # `kerastorch` and `kerastorch.keras`; the names are those in files

_BUILT_IN: Mapping[str, str] = MappingProxyType({MAIN: "channels_first", KERAS: "channels_last"})
_settings = dict(_BUILT_IN)
_restored: ContextVar[Mapping[str, str] | None] = ContextVar("settings of the file that is read", default=None)


def image_data_format(package: str) -> str:
    """Return the order of axes of a package, `MAIN` or `KERAS`."""
    restored = _restored.get()
    return (_settings if restored is None else restored)[package]


def set_image_data_format(package: str, data_format: str) -> None:
    """Set the order of axes of a package.

    Args:
        package: `MAIN` or `KERAS`.
        data_format: `"channels_first"` or `"channels_last"`.

    Raises:
        ValueError: It is neither.
    """
    if data_format not in FORMATS:
        raise mismatch("data_format", data_format, "'channels_last' or 'channels_first'")
    _settings[package] = data_format


def chosen_image_format() -> str | None:
    """Return the order of axes that was set for `kerastorch`, `None` for the built-in one.

    Layers obey an order that was set, and question data that do not look like the built-in one.
    """
    found = image_data_format(MAIN)
    return None if found == _BUILT_IN[MAIN] else found


def is_channels_last(data_format: str | None) -> bool:
    """Return whether a data format has the channels last; `None` is that of `kerastorch`.

    Raises:
        ValueError: It is no data format.
    """
    given = image_data_format(MAIN) if data_format is None else check_choice("data_format", data_format, FORMATS)
    return given == "channels_last"


def changed_formats() -> dict[str, str]:
    """Return the settings that are not the built-in ones, for files; `{}` in most programs."""
    return {package: found for package in _BUILT_IN if (found := image_data_format(package)) != _BUILT_IN[package]}


@contextmanager
def restored_formats(changed: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Replace the settings by the built-in ones within the block, except for some.

    Args:
        changed: What `changed_formats` returned when the module was made.

    Raises:
        ValueError: It is something else.
    """
    is_known = isinstance(changed, Mapping) and set(changed) <= set(_BUILT_IN)
    if not is_known or not all(found in FORMATS for found in changed.values()):
        raise ValueError(f"the formats of images are unknown: {changed!r}.")
    token = _restored.set({**_BUILT_IN, **changed})
    try:
        yield
    finally:
        _restored.reset(token)
