"""Where a callback writes: a path with numbers of the training in its name, checked before there are any."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from kerastorch.callbacks.log_values import monitored
from kerastorch.core.path_checks import parse_path


class Destination:
    """A path such as `runs/{epoch:02d}-{val_loss:.2f}.kt`.

    Args:
        who: for messages.
        template: text or a path, with `{epoch}`, `{batch}` and names of logs, and their formats.

    Attributes:
        names: what stands in braces.

    Raises:
        TypeError: no text and no path.
        ValueError: braces that stand for no name, or a format that no number has.
    """

    def __init__(self, who: str, template: Any) -> None:
        self._who = who
        self.template = str(parse_path("filepath", template))
        try:
            fields = [field for _, field, _, _ in Formatter().parse(self.template) if field is not None]
            self.names = [re.split(r"[.\[]", field)[0] for field in fields]
            self.template.format(**{name: 1 if name in _WHOLE else 0.5 for name in self.names})
        except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(
                f"filepath {self.template!r} cannot be filled in ({error}); write names in braces, such as "
                "'{epoch:02d}-{val_loss:.2f}'."
            ) from None

    def fill(self, numbers: Mapping[str, Any]) -> Path:
        """Fill in these numbers, and create the folders of the path.

        Raises:
            ValueError: what is filled in is neither a number nor text.
        """
        plain = {
            name: value if isinstance(value, (int, float, str)) else monitored(self._who, name, value)
            for name, value in numbers.items()
        }
        path = Path(self.template.format(**plain))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def check(self) -> None:
        """Refuse what cannot be written, before training; as far as the path is known then.

        Raises:
            OSError: it is a folder, or in something that is none, or where nothing may be written.
        """
        if not self.names and Path(self.template).is_dir():
            raise IsADirectoryError(f"{self._who}: {self.template} is a folder; give the name of a file in it.")
        folder = Path(self.template.split("{", 1)[0] + "x").parent
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            # the class goes by the number: PermissionError, NotADirectoryError ...
            raise OSError(
                error.errno, f"{self._who} cannot write {self.template}: {error.strerror}", str(folder)
            ) from None


_WHOLE = ("epoch", "batch")
