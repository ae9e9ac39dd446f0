"""BackupAndRestore: training that resumes after a crash, with the result of an uninterrupted run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.checkpoint.async_writer import AsyncWriter
from kerastorch.checkpoint.rotation import CheckpointRotation, MakeRotation, Rotation
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.path_checks import parse_path


class BackupAndRestore(Callback):
    """Saves the state of a training to a folder. If the process is killed, the same script resumes from it.

    A resumed training ends with exactly the weights of an uninterrupted one. The state holds weights, buffers, the
    optimizer, random states, the position in the data, callbacks, metrics and history. Results are equal bit for bit on
    the same machine with the same number of threads, for arrays, map-style datasets and `DataLoader`s. They are not if
    a generator yields different data in the second run, or with `jit_compile=True`, which chooses the faster step by
    measured times.

    Args:
        backup_dir: Folder, for this training alone.
        save_freq: `'epoch'`; an integer: number of batches between two saves; a float: seconds between two saves, each
            made after the running batch.
        double_checkpoint: Store the last three states instead of two.
        delete_checkpoint: Delete the states when training has ended normally. If they are not deleted, the next run
            starts from the beginning.

    Raises:
        ValueError: Another `save_freq`.
        CheckpointError: At the start of `fit`: all stored states are damaged, or they are of a different model,
            optimizer or data.

    A save within an epoch copies the state and writes it in the background. An error of writing is raised at the next
    save or at the end of the epoch. Ctrl-C and SIGTERM save the state before training stops.

    Processes that train one model together save together, to a folder that all of them see. What is equal in all of
    them is written once, and each writes its part of divided weights and its own random states. With the same number of
    processes, a resumed training has the bits of an uninterrupted one. With another number it resumes at the same batch
    with the same weights and optimizer. Random numbers are others then, and the means of a begun epoch are those of its
    rest.
    """

    every_rank = True
    is_checkpointer = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int | float = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int | float)):
            raise mismatch("save_freq", save_freq, "'epoch', a number of batches (an integer) or of seconds (a float)")
        # of one place, wherever the working folder is while training runs
        self.backup_dir, self.save_freq = parse_path("backup_dir", backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        if save_freq != "epoch":
            check_float("save_freq", save_freq, above=0)
        self._keep = 3 if double_checkpoint else 2
        self._rotation: Rotation = CheckpointRotation(self.backup_dir.absolute(), self._keep)
        self._writer = AsyncWriter()
        self._capture: Callable[[], Mapping[str, Any]] = dict
        self._batches = 0  # since the last save
        self._batch = -1  # the last one of this epoch
        self._saved_at = 0.0  # seconds

    @property
    def location(self) -> str:
        return os.fspath(self.backup_dir)

    def load(self, capture: Callable[[], Mapping[str, Any]], rotation: MakeRotation) -> Mapping[str, Any] | None:
        """Return the last saved state, unless its fit has ended.

        Args:
            capture: Returns the present state of the fit.
            rotation: Makes what writes and reads the files.
        """
        self._capture = capture
        self._rotation = rotation(self.backup_dir.absolute(), self._keep)
        self._rotation.prepare()
        saved = self._rotation.load()
        return None if saved is None or self._starts_anew(saved) else saved

    def announce_resume(self, epoch: int, batch: int) -> None:
        """Report where training resumes."""
        self._batch = batch - 1
        if self.params.get("verbose"):
            where = f"epoch {epoch + 1}, batch {batch + 1}" if batch else f"epoch {epoch + 1}"
            print_message(f"Resuming from {self.location}: {where}.")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._writer = AsyncWriter()
        self._batches, self._saved_at = 0, time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += batch - self._batch  # more than one if steps are executed together
        self._batch = batch
        if isinstance(self.save_freq, int):
            is_due = self._batches >= self.save_freq
        else:
            is_due = self._rotation.agree(time.monotonic() - self._saved_at >= float(self.save_freq))
        if is_due:
            self._save(self._capture())

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._writer.wait()  # a loader forks its workers now, and a fork copies no thread that writes

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(self._capture())
        self._writer.wait()  # the next epoch forks workers

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._writer.wait()

    def save_now(self, state: Mapping[str, Any]) -> None:
        """Save because training is interrupted between two batches."""
        self._save(state)
        self._writer.wait()
        if self.params.get("verbose"):
            print_message(f"Stopped; run the same script again to resume from {self.location}.")

    def finish(self) -> None:
        """Delete the checkpoint, or mark it as that of a fit that has ended; errors of other callbacks prevent it."""
        if self.delete_checkpoint:
            self._rotation.delete()
        else:
            self._rotation.save(self._rotation.stage({**self._capture(), "ended": True}))
        self._capture = dict

    def _starts_anew(self, saved: Mapping[str, Any]) -> bool:
        """Return whether a saved fit has ended, so that the next one starts from the beginning."""
        return bool(saved.get("ended"))

    def _save(self, state: Mapping[str, Any]) -> None:
        """Copy a state now, and write it in the background."""
        self._batches, self._saved_at = 0, time.monotonic()
        staged = self._rotation.stage(state)
        self._writer.run(lambda: self._rotation.save(staged))
