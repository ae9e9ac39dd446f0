"""The event files of one training, which a resumed one goes on with."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastorch.core.errors import warn

PROJECTOR = "train/projector_config.pbtxt"


class BoardFiles:
    """Writers into `folder/train` and `folder/validation`, each made when something is written there.

    The names of the files end in the number of the training. So a training that is resumed knows its own, and takes
    from them what was written after its checkpoint: TensorBoard's own way of hiding that, `purge_step`, has one step
    for all curves, where epochs and batches are counted differently.

    Args:
        folder: TensorBoard's `log_dir`.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """Another training."""
        self.close()
        self._training = uuid.uuid4().hex[:12]
        self.projects = False  # whether the list of embeddings is this training's

    def writer(self, part: str) -> Any:
        """The `SummaryWriter` of `'train'` or `'validation'`."""
        if part not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[part] = SummaryWriter(self.folder / part, filename_suffix=f".{self._training}")
        return self._writers[part]

    def flush(self) -> None:
        """What was written is in the files."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """No file is open any more."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def state_dict(self) -> dict[str, Any]:
        """The files of this training and their sizes."""
        self.flush()
        return {
            "training": self._training,
            "sizes": {name: (self.folder / name).stat().st_size for name in self._own()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these files as they were then."""
        self.close()
        self._training, sizes = state["training"], state["sizes"]
        self.projects = PROJECTOR in sizes
        for name in self._own():
            path = self.folder / name
            if name not in sizes:
                path.unlink()
            elif path.stat().st_size > sizes[name]:
                os.truncate(path, sizes[name])
        lost = [name for name, size in sizes.items() if self._size(name) < size]
        if lost:
            warn(
                f"TensorBoard: {', '.join(lost)} in {self.folder} is gone or shorter than when training was "
                "interrupted; the curves before that are not whole."
            )

    def _own(self) -> list[str]:
        files = sorted(self.folder.glob(f"*/events.out.tfevents.*.{self._training}"))
        projector = [PROJECTOR] if self.projects and (self.folder / PROJECTOR).exists() else []
        return [path.relative_to(self.folder).as_posix() for path in files] + projector

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0
