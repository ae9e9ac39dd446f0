"""ModelCheckpoint: the model, or its weights, to a file while it is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.filepath_template import Destination
from kerastorch.callbacks.monitor import check_mode, is_improvement, monitor_sign, never_logged, read_monitor
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, check_int, mismatch, warn
from kerastorch.core.overridable_property import overridable_property


class ModelCheckpoint(Callback):
    """Saves the model after each epoch, or every so many batches.

    Args:
        filepath: where: `{epoch}` and `{batch}`, both from 1, and names of logs are filled in, with Python's formats:
            `"{epoch:02d}-{val_loss:.2f}.kt"`. It ends in `.kt`, or with `save_weights_only` in `.safetensors`. Folders
            are made.
        monitor: with `save_best_only`, what says which is the best.
        verbose: 1 says what it saves, and with `save_best_only` what it does not.
        save_best_only: save only what is better than all before. The best value, as the count of batches, is kept from
            one `fit` to the next.
        save_weights_only: `model.save_weights` instead of `model.save`.
        mode: `'min'`, `'max'`, or `'auto'`: told from the name.
        save_freq: `'epoch'`, or after how many batches; then logs are the running means of the epoch, without
            validation.
        initial_value_threshold: with `save_best_only`, the value that the first has to beat.

    NaN is never best, with a warning. Where validation does not take place in each epoch, those without it have no
    `val_` log: what needs one is not saved then.

    Raises:
        ValueError: another ending of the path, a name in it that nothing fills in, or other arguments out of range.
        OSError: before the first epoch, if the path cannot be written.
    """

    first_process_only = True
    state_attributes = ("best", "_seen", "_since", "_batch")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | Literal["epoch"] = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        self._where = Destination("ModelCheckpoint", filepath)
        self.filepath = self._where.template
        self.monitor: str = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.mode = check_mode(mode)
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise mismatch("save_freq", save_freq, "'epoch' or a number of batches")
        self.save_freq: Any = save_freq if save_freq == "epoch" else check_int("save_freq", save_freq)
        start = initial_value_threshold
        self.best: float | None = None if start is None else check_float("initial_value_threshold", start)
        self._check_suffix()
        self._check_names()
        self._seen = False
        self._since = 0  # batches since the last time
        self._batch = -1  # the last heard of in this epoch

    def _check_suffix(self) -> None:
        right = ".safetensors" if self.save_weights_only else ".kt"
        if self.filepath.endswith(right):
            return
        what = "weights are saved" if self.save_weights_only else "the whole model is saved"
        wrong = next((end for end in _ENDINGS if self.filepath.endswith(end)), "")
        example = self.filepath.removesuffix(wrong) + right
        advice = f"Write {example!r}."
        if not self.save_weights_only and wrong == ".safetensors":
            advice = f"Write {example!r}, or pass save_weights_only=True."
        raise ValueError(f"filepath must end in {right!r}, as which {what}, got {self.filepath!r}. {advice}")

    def _check_names(self) -> None:
        if self.save_freq == "epoch":
            if "batch" in self._where.names:
                raise ValueError(f"filepath {self.filepath!r}: {{batch}} is known only with save_freq=<batches>.")
            return
        late = [name for name in self.required_logs if name.startswith("val_")]
        if late:
            raise ValueError(
                f"save_freq={self.save_freq}: batches have no {late[0]!r}. Monitor, or name, a log of training such "
                "as 'loss', or pass save_freq='epoch'."
            )

    @overridable_property
    def required_logs(self) -> list[str]:
        names = [name for name in self._where.names if name not in ("epoch", "batch")]
        return [self.monitor, *names] if self.save_best_only else names

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._seen = False
        if self.save_best_only:
            self._sign = monitor_sign(self.monitor, self.mode, self.model)
        self._where.check()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since += batch - self._batch  # more than one where steps are executed together
        self._batch = batch
        if self._since >= self.save_freq:
            self._since = 0
            self._save(self._epoch, batch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if logs and self.save_best_only and self.save_freq == "epoch" and not self._seen:
            never_logged("ModelCheckpoint", self.monitor, logs)

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> None:
        current = None
        if self.save_best_only:
            current = read_monitor("ModelCheckpoint", self.monitor, epoch, logs)
            if current is None:
                return
            self._seen = True
            if not is_improvement(current, self.best, self._sign):
                self._say(epoch, f"{self.monitor} did not improve from {_short(self.best)}")
                return
        path = self._path(epoch, batch, logs)
        if path is None:
            return
        why = "" if current is None else f"{self.monitor} improved from {_short(self.best)} to {_short(current)}, "
        self._say(epoch, f"{why}saving model to {path}")
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if current is not None:
            self.best = current

    def _path(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> Path | None:
        numbers = {"epoch": epoch + 1} if batch is None else {"epoch": epoch + 1, "batch": batch + 1}
        for name in self._where.names:
            if name in numbers:
                continue
            if name not in logs:
                if not name.startswith("val_"):
                    raise ValueError(f"filepath {self.filepath!r}: {name!r} is not logged; logged are {list(logs)}.")
                warn(f"ModelCheckpoint: epoch {epoch + 1} has no {name} and is not saved.")
                return None
            numbers[name] = logs[name]
        return self._where.fill(numbers)

    def _say(self, epoch: int, sentence: str) -> None:
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: {sentence}")


_ENDINGS = (
    ".weights.h5",
    ".keras",
    ".h5",
    ".hdf5",
    ".safetensors",
    ".kt",
    ".pth",
    ".pt",
    ".ckpt",
    ".pt2",
    ".onnx",
    ".pkl",
)


def _short(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"
