"""ModelCheckpoint: save the model, or its weights, to a file during training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kerastorch.callbacks.base import Logs
from kerastorch.callbacks.filepath_template import FilepathTemplate
from kerastorch.callbacks.kept_files import KeptFiles
from kerastorch.callbacks.monitor import MonitorCallback, is_improvement
from kerastorch.core.console import print_message
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.errors import check_float, check_int, mismatch, warn
from kerastorch.core.overridable_property import overridable_property
from kerastorch.module.evaluation_weights import evaluation_weights

if TYPE_CHECKING:
    from kerastorch.module.trainable_model import TrainableModel


class ModelCheckpoint(MonitorCallback):
    """A callback that saves the model after each epoch, or after every n batches.

    NaN is never the best value, with a warning. Epochs without validation have no `val_` logs: if one is needed, the
    model is not saved after that epoch.

    Args:
        filepath: Path of the file, in which `{epoch}` and `{batch}`, both from 1, and names of logs are filled in with
            Python's formats: `"{epoch:02d}-{val_loss:.2f}.kt"`. It ends in `.kt` or `.keras`, or with
            `save_weights_only=True` in `.safetensors` or `.weights.h5`. Folders are created.
        monitor: Name of the log that decides which model is the best, with `save_best_only=True`.
        verbose: 1 prints each save, and with `save_best_only=True` also each epoch that is not saved. Default 0.
        save_best_only: Save only models that are better than all before. The best value lasts from one `fit` to the
            next. Default `False`.
        save_weights_only: Call `model.save_weights` instead of `model.save`. Default `False`.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` (default) to infer it from the
            metric or name.
        save_freq: `'epoch'` (default), or a number of batches, counted over epochs and `fit` calls. Logs are then the
            means over the epoch so far, without validation.
        initial_value_threshold: Value that each saved model must beat, with `save_best_only=True` or `save_top_k`.
            Default `None`.
        save_top_k: Number of files to keep, those of the best models by `monitor`. A model is saved if it is better
            than one of them, or if there are fewer; then the file of the worst one is deleted. Only files that this
            callback has written, and that nobody has changed since, are deleted. With `save_best_only=True` the files
            of the last k improvements are kept. Default `None`: all files.

    Attributes:
        best: Best value so far, with `save_best_only=True` or `save_top_k`; `None` before the first value.
        best_files: Paths of the files that are kept, the best first, with `save_top_k`.

    Raises:
        ValueError: The path has another suffix or names that cannot be filled in, or lacks those that distinguish the
            files of `save_top_k`; or an argument is out of range.
        OSError: Before the first epoch, if the path cannot be written.

    >>> ModelCheckpoint("best.kt", save_best_only=True)
    ModelCheckpoint(filepath='best.kt', save_best_only=True)
    """

    first_process_only = True
    state_attributes = ("best", "_seen", "_since", "_batch", "_kept")

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
        *,
        save_top_k: int | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self._template = FilepathTemplate("ModelCheckpoint", filepath)
        self.filepath = self._template.text
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise mismatch("save_freq", save_freq, "'epoch' or a number of batches")
        self.save_freq: Any = save_freq if save_freq == "epoch" else check_int("save_freq", save_freq)
        self.initial_value_threshold = initial_value_threshold
        if initial_value_threshold is not None:
            self.best = check_float("initial_value_threshold", initial_value_threshold)
        self.save_top_k = None if save_top_k is None else check_int("save_top_k", save_top_k)
        self._kept = KeptFiles(self.save_top_k)
        self._check_suffix()
        self._check_names()
        self._since = 0  # batches since the last save
        self._batch = -1  # number of the last batch in this epoch

    def _check_suffix(self) -> None:
        """Raise a ValueError that names the right suffix, if the path has another one."""
        suffix, of_keras = (".safetensors", ".weights.h5") if self.save_weights_only else (".kt", ".keras")
        if self.filepath.endswith((suffix, of_keras)):
            return
        if not self.save_weights_only and self.filepath.endswith(".h5") and not self.filepath.endswith(".weights.h5"):
            return
        what = "the weights" if self.save_weights_only else "the whole model"
        wrong = next((one for one in _SUFFIXES if self.filepath.endswith(one)), "")
        example = self.filepath.removesuffix(wrong) + suffix
        advice = f"Write {example!r}."
        if not self.save_weights_only and wrong == ".safetensors":
            advice = f"Write {example!r}, or pass save_weights_only=True."
        raise ValueError(
            f"filepath must end in {suffix!r} or {of_keras!r} to save {what}, got {self.filepath!r}. {advice}"
        )

    def _check_names(self) -> None:
        """Raise a ValueError if a name in the path, or the monitored log, is unknown when files are saved."""
        if self.save_top_k is not None:
            self._check_distinguishes()
        if self.save_freq == "epoch":
            if "batch" in self._template.names:
                raise ValueError(f"filepath {self.filepath!r}: {{batch}} is known only with save_freq=<batches>.")
            return
        late = [name for name in self.required_logs if name.startswith("val_")]
        if late:
            raise ValueError(
                f"save_freq={self.save_freq}: batches have no {late[0]!r}. Monitor, or name, a log of training such "
                "as 'loss', or pass save_freq='epoch'."
            )

    def _check_distinguishes(self) -> None:
        """Raise a ValueError if the files that `save_top_k` keeps would have the same path."""
        needed = ("epoch",) if self.save_freq == "epoch" else ("epoch", "batch")
        missing = [f"{{{name}}}" for name in needed if name not in self._template.names]
        if missing:
            stem, suffix = os.path.splitext(self.filepath)
            raise ValueError(
                f"save_top_k={self.save_top_k} keeps several files, but filepath {self.filepath!r} would be the same "
                f"for them. Write {' and '.join(missing)} into it: {stem + '-' + '-'.join(missing) + suffix!r}."
            )

    @property
    def best_files(self) -> list[str]:
        return self._kept.paths

    @property
    def _compares(self) -> bool:
        """Return whether the monitored log decides what is saved."""
        return self.save_best_only or self.save_top_k is not None

    @overridable_property
    def required_logs(self) -> list[str]:
        """Names of the logs in the path and, if models are compared, of the monitored log."""
        names = [name for name in self._template.names if name not in ("epoch", "batch")]
        return [self.monitor, *names] if self._compares else names

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_kept": self._kept.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        kept, own = self._kept, {"_kept": [], **state}  # states of earlier releases have no files
        super().load_state_dict(own)
        self._kept = kept
        self._kept.load_state_dict(own["_kept"])

    def set_model(self, model: TrainableModel) -> None:
        super().set_model(model)
        trainer = vars(model).get("_trainer")  # none if the script has a loop of its own
        will_be_divided = trainer is not None and trainer.parallel.divides_weights
        # all ranks take part in gathering the weights
        self.every_rank = will_be_divided or any(map(is_distributed_tensor, model.parameters()))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._seen = False
        if self._compares:
            self._find_sign()
            self._kept.sign = self._sign
        self._template.check_writable()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._since += batch - self._batch  # more than 1 if several batches are executed together
        self._batch = batch
        if self._since >= self.save_freq:
            self._since = 0
            self._save(self._epoch, batch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._compares and self.save_freq == "epoch":
            self._warn_if_never_logged(logs)

    def _save(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> None:
        """Save the model or its weights, unless only better ones are to be saved and this one is not better.

        Args:
            epoch: Number of the epoch, from 0.
            batch: Number of the batch, from 0; `None` at the end of an epoch.
            logs: Logs of the batch or epoch.
        """
        value = None
        if self._compares:
            value = self._read(epoch, logs)
            if value is None:
                return
            if not self._is_wanted(value):
                self._print(epoch, self._reason_against(value))
                return
        path = self._fill_path(epoch, batch, logs)
        if path is None:
            return
        self._print(epoch, f"{self._reason_for(value)}saving model to {path}")
        with evaluation_weights(self.model):
            if self.save_weights_only:
                self.model.save_weights(path, overwrite=True)
            else:
                self.model.save(path, overwrite=True)
        if value is None:
            return
        if is_improvement(value, self.best, self._sign):
            self.best = value
        if self.save_top_k is not None:
            self._kept.add(path, value)

    def _is_wanted(self, value: float) -> bool:
        """Return whether a model with this value of the monitored log is to be saved."""
        if self.save_best_only:
            return is_improvement(value, self.best, self._sign)
        return is_improvement(value, self.initial_value_threshold, self._sign) and self._kept.has_place_for(value)

    def _reason_against(self, value: float) -> str:
        """Return why a model is not saved, for `verbose=1`."""
        if self.save_best_only:
            return f"{self.monitor} did not improve from {_five_digits(self.best)}"
        return f"{self.monitor}={_five_digits(value)} is not among the best {self.save_top_k}"

    def _reason_for(self, value: float | None) -> str:
        """Return why a model is saved, for `verbose=1`; an empty text if each one is."""
        if value is None:
            return ""
        if is_improvement(value, self.best, self._sign):
            return f"{self.monitor} improved from {_five_digits(self.best)} to {_five_digits(value)}, "
        return f"{self.monitor}={_five_digits(value)} is among the best {self.save_top_k}, "

    def _fill_path(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> Path | None:
        """Return the path with all names filled in; `None`, with a warning, if a validation log is missing.

        Raises:
            ValueError: A log of training is missing.
        """
        values = {"epoch": epoch + 1} if batch is None else {"epoch": epoch + 1, "batch": batch + 1}
        for name in self._template.names:
            if name in values:
                continue
            if name not in logs:
                if not name.startswith("val_"):
                    raise ValueError(f"filepath {self.filepath!r}: {name!r} is not logged; logged are {list(logs)}.")
                warn(f"ModelCheckpoint: epoch {epoch + 1} has no {name} and is not saved.")
                return None
            values[name] = logs[name]
        return self._template.fill(values)

    def _print(self, epoch: int, sentence: str) -> None:
        """Print a sentence about an epoch if `verbose` is positive."""
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: {sentence}")


_SUFFIXES = (
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


def _five_digits(value: float | None) -> str:
    """Format a value with five digits after the point."""
    return "None" if value is None else f"{value:.5f}"
