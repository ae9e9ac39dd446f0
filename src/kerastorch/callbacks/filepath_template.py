"""Paths of files that a callback writes, with numbers of the training in their names."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from kerastorch.callbacks.log_values import monitored_value
from kerastorch.core.path_checks import parse_path

_INTEGERS = ("epoch", "batch")


class FilepathTemplate:
    """A path such as `runs/{epoch:02d}-{val_loss:.2f}.kt`, with names in braces to be filled in.

    Args:
        who: Class name of the callback, for messages.
        template: Text or path with `{epoch}`, `{batch}` and names of logs, each with an optional format.

    Attributes:
        text: The template as text, in which `~` has been replaced by the home folder.
        names: Names in braces, in order.

    Raises:
        TypeError: The template is neither text nor a path.
        ValueError: Braces contain no name, or a format does not fit a number.
    """

    def __init__(self, who: str, template: Any) -> None:
        self._who = who
        self.text = str(parse_path("filepath", template))
        try:
            fields = [field for _, field, _, _ in Formatter().parse(self.text) if field is not None]
            self.names = [re.split(r"[.\[]", field)[0] for field in fields]
            self.text.format(**{name: 1 if name in _INTEGERS else 0.5 for name in self.names})
        except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(
                f"filepath {self.text!r} cannot be filled in ({error}); write names in braces, such as "
                "'{epoch:02d}-{val_loss:.2f}'."
            ) from None

    def fill(self, values: Mapping[str, Any]) -> Path:
        """Return the path with these values filled in, after its folders were created.

        Raises:
            ValueError: A value is neither a number nor text.
        """
        plain = {
            name: value if isinstance(value, (int, float, str)) else monitored_value(self._who, name, value)
            for name, value in values.items()
        }
        path = Path(self.text.format(**plain))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def check_writable(self) -> None:
        """Check before training that files can be written, as far as the path is known then.

        Raises:
            OSError: The path is a folder, a parent of it is a file, or there is no permission to write.
        """
        if not self.names and Path(self.text).is_dir():
            raise IsADirectoryError(f"{self._who}: {self.text} is a folder; give the name of a file in it.")
        folder = Path(self.text.split("{", 1)[0] + "x").parent
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            # OSError picks its subclass by the number: PermissionError, NotADirectoryError, ...
            raise OSError(error.errno, f"{self._who} cannot write {self.text}: {error.strerror}", str(folder)) from None
