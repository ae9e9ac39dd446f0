"""TensorBoard: curves, histograms, the graph and more for TensorBoard to show."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.global_step import GlobalStep, UpdateFreq
from kerastorch.callbacks.log_values import as_float
from kerastorch.callbacks.tensorboard.event_files import BoardFiles
from kerastorch.callbacks.tensorboard.graph import event_of
from kerastorch.callbacks.tensorboard.profiler import Window
from kerastorch.callbacks.tensorboard.weights import (
    Metadata,
    check_metadata,
    find_embeddings,
    write_embeddings,
    write_weights,
)
from kerastorch.core.errors import check_int, mismatch, warn
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_parent_folder


class TensorBoard(Callback):
    """Writes what `tensorboard --logdir logs` shows (needs `pip install tensorboard`).

    Curves are `epoch_loss` and so on, in `log_dir/train` and, of validation, in `log_dir/validation`, with
    `epoch_learning_rate`, or one for each group of the optimizer's parameters. The numbers of each validation, and of
    `evaluate` with this callback, are `evaluation_loss_vs_iterations` over the batches trained so far.

    Args:
        log_dir: the folder, for this callback alone; made when something is written.
        histogram_freq: a histogram of every parameter and buffer every so many epochs; 0: none.
        write_graph: the operations of torch that the model is made of, in the first epoch; it is called once for
            this, on zeros. A model that cannot be, is left out with a warning.
        write_images: with each histogram a picture of the weight, where it makes one.
        write_steps_per_second: batches a second, for each epoch and at each `update_freq`.
        update_freq: `'epoch'`; `'batch'` or a number: the running numbers are written every so many batches too, as
            `batch_loss`. Reading them makes a GPU wait.
        profile_batch: a batch or `(first, last)`, from 1 over all epochs, for `torch.profiler`; 0: none.
        embeddings_freq: the vectors of embedding layers for the projector every so many epochs; 0: none.
        embeddings_metadata: a file with a line for each row of the embeddings; or layer name -> file.

    Raises:
        ImportError: tensorboard is not installed.
        ValueError: an argument that is none of these.

    A training that is resumed takes away what was written after its checkpoint: no step is there twice. A TensorBoard
    that has read it before shows it until it is started again.
    """

    first_process_only = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: UpdateFreq = "epoch",
        profile_batch: int | tuple[int, int] | str = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Metadata = None,
    ) -> None:
        require_package("TensorBoard", "tensorboard")
        if not isinstance(log_dir, (str, os.PathLike)) or not os.fspath(log_dir):
            raise mismatch("log_dir", log_dir, "the path of a folder")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = check_int("histogram_freq", histogram_freq, 0)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq
        self.embeddings_freq = check_int("embeddings_freq", embeddings_freq, 0)
        self.embeddings_metadata = embeddings_metadata
        if write_images and not histogram_freq:
            warn("TensorBoard: write_images writes nothing without histogram_freq.")
        self._labels = check_metadata(embeddings_metadata)
        self._steps = GlobalStep(update_freq)
        folder = os.path.abspath(os.path.expanduser(self.log_dir))  # wherever the working folder goes meanwhile
        self._window = Window(profile_batch, os.path.join(folder, "train"))
        self._files = BoardFiles(folder)
        self._fitting, self._drawn = False, not write_graph
        self._embeddings: dict[str, tuple[Any, Path | None]] = {}
        self._mark()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps.state_dict(), "files": self._files.state_dict(), "graph": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._steps.load_state_dict(state["steps"])
        self._files.load_state_dict(state["files"])
        self._drawn = state["graph"]
        self._window.begin(self._steps.value)
        self._mark()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._fitting, self._drawn = True, not self.write_graph
        self._steps.begin()
        check_parent_folder(self._files.folder / "train")
        self._files.begin()
        self._window.begin(0)
        self._embeddings = find_embeddings(self.model, self._labels) if self.embeddings_freq else {}

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._fitting = False
        self._window.end()
        self._files.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._mark()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._window.before(self._steps.number(batch))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._steps.is_due(batch):
            self._write("train", "batch", logs or {}, self._steps.value)
            if self.write_steps_per_second:
                self._write("train", "batch", {"steps_per_second": self._pace("batch")}, self._steps.value)
        self._window.after(self._steps.value)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._fitting:
            self._epoch_pace = self._pace("epoch")

    def on_test_end(self, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            self._scalar("validation", f"evaluation_{name}_vs_iterations", value, self._steps.value)
        if not self._fitting:
            self._files.close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        trained = {name: value for name, value in logs.items() if not name.startswith("val_")}
        if self.write_steps_per_second:
            trained["steps_per_second"] = self._epoch_pace or self._pace("epoch")
        self._write("train", "epoch", self._rates() | trained, epoch)
        self._write("validation", "epoch", {n[4:]: v for n, v in logs.items() if n.startswith("val_")}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            write_weights(self._files.writer("train"), self.model, epoch, self.write_images)
        if self._embeddings and epoch % self.embeddings_freq == 0:
            write_embeddings(self._files, self._embeddings, epoch)
        if not self._drawn:
            self._drawn = True
            self._draw()
        self._steps.end_epoch()
        self._files.flush()

    def _write(self, part: str, prefix: str, logs: Mapping[str, Any], step: int) -> None:
        for name, value in logs.items():
            self._scalar(part, f"{prefix}_{name}", value, step)

    def _scalar(self, part: str, tag: str, value: Any, step: int) -> None:
        writer = self._files.writer(part)
        number = as_float(value)
        if number is not None:
            writer.add_scalar(tag, number, step)
        else:
            writer.add_text(tag, str(value), step)

    def _rates(self) -> dict[str, float]:
        groups = [] if self.model.optimizer is None else self.model.optimizer.param_groups
        if len(groups) == 1:
            return {"learning_rate": groups[0]["lr"]}
        return {f"learning_rate_{index}": group["lr"] for index, group in enumerate(groups)}

    def _mark(self) -> None:
        """Steps and time as they are, to count from."""
        now = self._steps.value, time.perf_counter()
        self._marks = {"epoch": now, "batch": now}
        self._epoch_pace = 0.0  # not known yet

    def _pace(self, since: str) -> float:
        """Batches a second since the last look; of an epoch, without its validation."""
        steps, began = self._marks[since]
        now = time.perf_counter()
        self._marks[since] = self._steps.value, now
        return (self._steps.value - steps) / max(now - began, 1e-9)

    def _draw(self) -> None:
        seen = self.model.trainer.state.input_specs
        try:
            if seen is None:
                raise TypeError("its inputs are not tensors")
            self._files.writer("train").file_writer.add_event(event_of(self.model, seen))
        except Exception as error:
            warn(
                f"TensorBoard: there is no graph, the model could not be called on zeros: {error}. "
                "write_graph=False leaves it out."
            )
