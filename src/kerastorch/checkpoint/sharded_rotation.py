"""ShardedRotation: a folder that holds the newest checkpoints that several processes wrote together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import distributed

from kerastorch.checkpoint import archive_format, rotation, sharded
from kerastorch.core.collectives import from_first
from kerastorch.core.errors import CheckpointError, check_int, warn

T = TypeVar("T")


class ShardedRotation:
    """Numbered checkpoints in a folder: `checkpoint-000001`, `checkpoint-000002`, ..., a folder each.

    All methods but `stage` are called on all ranks, which wait for each other. A checkpoint is valid once its last
    file is written; until then, the one before it is. Archives that a single process wrote are loaded, too.

    Args:
        folder: Path of the folder, which all ranks see. `prepare` creates it with its parents.
        group: A group of processes with a backend for the CPU, for these checkpoints alone.
        keep: Maximum number of checkpoints, at least 2.
        place: Chooses tensors that are divided when they are loaded, as for `sharded.read`.
    """

    def __init__(
        self,
        folder: Path,
        group: distributed.ProcessGroup,
        keep: int = 2,
        place: sharded.Place = lambda name, shape: None,
    ) -> None:
        self.folder, self._group, self._keep, self._place = folder, group, check_int("keep", keep, 2), place

    def prepare(self) -> None:
        """Create the folder.

        Raises:
            CheckpointError: It cannot be created, or `folder` is a file.
        """
        self._on_first_rank(self._create)

    def stage(self, sections: Mapping[str, Any]) -> sharded.StagedState:
        """Copy the state of this rank, for `save`.

        Args:
            sections: State by section name.
        """
        return sharded.stage(sections)

    def save(self, staged: sharded.StagedState) -> Path:
        """Write the next checkpoint, then delete those that are too old.

        Args:
            staged: What `stage` returned.

        Returns:
            The folder of the new checkpoint.

        Raises:
            CheckpointError: A rank could not write; the checkpoints before it stay.
        """
        path = self._on_first_rank(self._create_next)
        sharded.write(path, staged, self._group)
        self._on_first_rank(lambda: rotation.delete_old(self.folder, self._keep))
        return path

    def load(self) -> dict[str, Any] | None:
        """Return the sections of this rank of the newest checkpoint that is intact; `None` if there is none.

        Warns:
            UserWarning: A newer checkpoint is damaged; on rank 0.

        Raises:
            CheckpointError: All checkpoints are damaged.
        """
        paths = self._on_first_rank(lambda: rotation.checkpoints(self.folder))
        is_first = distributed.get_rank(self._group) == 0
        return rotation.load_newest(self.folder, paths, self._read, warn if is_first else _say_nothing)

    def agree(self, is_due: bool) -> bool:
        """Return whether to save now, as rank 0 decides. Training must not send other messages meanwhile."""
        return bool(from_first(is_due))

    def delete(self) -> None:
        """Delete all checkpoints, after all ranks have called this."""
        distributed.barrier(self._group)
        self._on_first_rank(lambda: rotation.delete_all(self.folder))

    def _create(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise CheckpointError(f"{self.folder} is no folder; give one for this training alone.")
        rotation.create_folder(self.folder)

    def _create_next(self) -> Path:
        self._create()
        path = self.folder / rotation.NAME.format(rotation.next_number(self.folder))
        path.mkdir()
        return path

    def _read(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint; if one rank cannot, all ranks raise its error."""
        if path.suffix:
            loaded = sharded.LoadedState(sharded.together(lambda: archive_format.read(path), self._group), 1)
        else:
            loaded = sharded.read(path, self._group, self._place)
        world, rank = distributed.get_world_size(self._group), distributed.get_rank(self._group)
        return rotation.with_ranks(loaded.state, loaded.world_size, world, rank)

    def _on_first_rank(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0 and return its result, or raise its error, on all ranks."""
        answer: list[Any] = [None, None]
        if distributed.get_rank(self._group) == 0:
            try:
                answer[0] = function()
            except (CheckpointError, OSError) as error:
                answer[1] = error
        distributed.broadcast_object_list(answer, group=self._group, group_src=0)
        if answer[1] is not None:
            raise answer[1]
        result: T = answer[0]
        return result


def _say_nothing(sentence: str) -> None:
    """Ignore a warning, which rank 0 gives."""
