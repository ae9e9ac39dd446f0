"""FoldCheckpoint: the saved state of a fold, which is kept until all folds have ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kerastorch.callbacks.backup_and_restore import BackupAndRestore
from kerastorch.checkpoint.rotation import CheckpointRotation


class FoldCheckpoint(BackupAndRestore):
    """Saves the state of a fold while it is trained, and at its end.

    A fold that has ended is restored by the next run and not trained again.

    Args:
        folder: Folder of this fold alone.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(folder, delete_checkpoint=False)

    def _starts_anew(self, saved: Mapping[str, Any]) -> bool:
        return False


def delete_fold_checkpoint(folder: Path) -> None:
    """Delete the saved state of a fold, and the folders around it that are empty then.

    Args:
        folder: Folder of the fold.
    """
    CheckpointRotation(folder).delete()
    with suppress(OSError):  # it holds other folds, or files of the user
        folder.parent.rmdir()
