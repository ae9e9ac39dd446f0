"""BackupAndRestore: training that goes on after a crash as if there had been none."""

from __future__ import annotations

import os
import time
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.checkpoint.async_writer import AsyncWriter
from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.checkpoint.state_json import Packed, pack
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, mismatch
from kerastorch.core.path_checks import parse_path


class BackupAndRestore(Callback):
    """Keeps all that a training is made of in a folder; the same script, run again, goes on from there.

    The run that was killed and gone on with ends with the bits of one that never was: weights, buffers, optimizer,
    random states, the order of batches and the place in it, callbacks, metrics and history. That holds on the same
    machine and number of threads, for arrays, map-style datasets and `DataLoader`s; what a generator gives again is
    not in our hands, and a step under `jit_compile=True` is chosen by the clock.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: `'epoch'`; an integer: every so many batches; a float: when so many seconds have passed, after the
            batch that is running then.
        double_checkpoint: keep three generations instead of two.
        delete_checkpoint: delete them when training has ended as it should. Kept ones are never gone on with: they
            are of a training that has ended.

    Raises:
        ValueError: another `save_freq`.
        CheckpointError: at the start of `fit`: the newest is damaged and so is the one before; it is of another model,
            optimizer or data.

    A save within an epoch takes the time of a copy; it is written in the background, and an error of that is raised at
    the next save or at the end of the epoch, which waits for it. Ctrl-C and SIGTERM save where training stops.
    """

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
        self._generations = CheckpointRotation(self.backup_dir.absolute(), keep=3 if double_checkpoint else 2)
        self._background = AsyncWriter()
        self._since = 0  # batches
        self._batch = -1  # the last heard of in this epoch
        self._saved_at = 0.0  # seconds

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._background = AsyncWriter()
        self._since, self._saved_at = 0, time.monotonic()
        session = self.model.trainer.session
        session.kept_by(self)
        self._generations.prepare()
        found = self._generations.load()
        if found is None or found.get("ended"):
            return
        position = session.resume(found, os.fspath(self.backup_dir))
        if self.params.get("verbose"):
            batch = f", batch {position.done + 1}" if position.done else ""
            print_message(f"Going on from {os.fspath(self.backup_dir)}: epoch {position.epoch + 1}{batch}.")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = self.model.trainer.session.position.done - 1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since += batch - self._batch  # more than one where steps are executed together
        self._batch = batch
        if isinstance(self.save_freq, int):
            due = self._since >= self.save_freq
        else:
            due = time.monotonic() - self._saved_at >= float(self.save_freq)
        if due:
            self.model.trainer.session.stop(batch + 1)
            self._save()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._background.wait()  # a loader forks its workers now, and no thread should be in the midst of something

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save()
        self._background.wait()  # as the next epoch forks workers

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._background.wait()

    def finish(self) -> None:
        """All is done, by the other callbacks too: an error of theirs leaves the checkpoint."""
        if self.delete_checkpoint:
            self._generations.delete()
        else:
            self._generations.save({**self.model.trainer.session.state_dict(), "ended": True})

    def keep(self) -> None:
        """Somebody ends training here, between two batches."""
        self._save()
        self._background.wait()
        if self.params.get("verbose"):
            print_message(f"Stopped; the same script goes on from {os.fspath(self.backup_dir)}.")

    def _save(self) -> None:
        """Copy everything now, write it meanwhile."""
        self._since, self._saved_at = 0, time.monotonic()
        sections = {name: _copied(state) for name, state in self.model.trainer.session.state_dict().items()}
        self._background.run(lambda: self._generations.save(sections))


def _copied(state: Any) -> Packed:
    packed = pack(state)
    return Packed(packed.json, {name: tensor.detach().to("cpu", copy=True) for name, tensor in packed.tensors.items()})
