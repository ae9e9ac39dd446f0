"""Event files of one training, which a resumed training continues."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastorch.core.errors import warn

PROJECTOR = "train/projector_config.pbtxt"


class EventFiles:
    """The writers of event files in `folder/train` and `folder/validation`, opened at the first write.

    The file names end in an identifier of the training. A resumed training finds its files by it and cuts off what
    was written after its checkpoint. TensorBoard's own way to hide such events, `purge_step`, has one step for all
    curves, but epochs and batches are counted differently.

    Args:
        folder: TensorBoard's `log_dir`.

    Attributes:
        folder: The folder as a path.
        has_projector: Whether this training has written the list of embeddings.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """Close all files and choose the identifier of a new training."""
        self.close()
        self._training = uuid.uuid4().hex[:12]
        self.has_projector = False

    def writer(self, part: str) -> Any:
        """Return the `SummaryWriter` of the part `'train'` or `'validation'`."""
        if part not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[part] = SummaryWriter(self.folder / part, filename_suffix=f".{self._training}")
        return self._writers[part]

    def flush(self) -> None:
        """Write all events to the files."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the identifier of the training, and its files with their sizes in bytes."""
        self.flush()
        return {
            "training": self._training,
            "sizes": {name: (self.folder / name).stat().st_size for name in self._own_files()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the files of a state, cut off at their sizes then; delete files that were opened later.

        Warns:
            UserWarning: A file is missing or shorter than it was.
        """
        self.close()
        self._training, sizes = state["training"], state["sizes"]
        self.has_projector = PROJECTOR in sizes
        for name in self._own_files():
            path = self.folder / name
            if name not in sizes:
                path.unlink()
            elif path.stat().st_size > sizes[name]:
                os.truncate(path, sizes[name])
        lost = [name for name, size in sizes.items() if self._size(name) < size]
        if lost:
            warn(
                f"TensorBoard: {', '.join(lost)} in {self.folder} is missing or shorter than when training was "
                "interrupted, so curves of the time before are incomplete."
            )

    def _own_files(self) -> list[str]:
        """Return the existing files of this training, relative to the folder."""
        files = sorted(self.folder.glob(f"*/events.out.tfevents.*.{self._training}"))
        projector = [PROJECTOR] if self.has_projector and (self.folder / PROJECTOR).exists() else []
        return [path.relative_to(self.folder).as_posix() for path in files] + projector

    def _size(self, name: str) -> int:
        """Return the size of a file in bytes, 0 if it does not exist."""
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0
