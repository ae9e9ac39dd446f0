"""TensorBoard: curves, histograms, the graph and more for TensorBoard to display."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.global_step import GlobalStep, UpdateFreq
from kerastorch.callbacks.log_values import as_float
from kerastorch.callbacks.tensorboard.event_files import EventFiles
from kerastorch.callbacks.tensorboard.graph import graph_event
from kerastorch.callbacks.tensorboard.profiler import ProfilerWindow
from kerastorch.callbacks.tensorboard.weights import (
    LabelledLayers,
    Metadata,
    check_metadata,
    find_embeddings,
    write_embeddings,
    write_weights,
)
from kerastorch.core.errors import check_int, mismatch, warn
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.path_checks import check_parent_folder
from kerastorch.core.tensor_spec import has_values


class TensorBoard(Callback):
    """A callback that writes what `tensorboard --logdir logs` displays (needs `pip install tensorboard`).

    Curves over epochs are `epoch_loss` and so on, in `log_dir/train` for training and in `log_dir/validation` for
    validation. `epoch_learning_rate` is among them, or one curve for each parameter group if they have different rates.
    The results of each validation, and of `evaluate` with this callback, are `evaluation_loss_vs_iterations` over the
    batches trained so far.

    A resumed training removes what was written after its checkpoint, so that no step occurs twice. A running
    TensorBoard that has already read it displays it until it is restarted.

    Args:
        log_dir: Folder for this callback alone, created at the first write. Default `"logs"`.
        histogram_freq: Number of epochs from one histogram of every parameter and buffer to the next. Default 0: no
            histograms.
        write_graph: Write the torch operations of the model in the first epoch. The model is called once on zeros;
            if that fails, the graph is left out with a warning. Default `True`.
        write_images: Write an image of each weight with its histogram, if its shape allows one. Default `False`.
        write_steps_per_second: Write batches per second for each epoch, and at each `update_freq`. Default `False`.
        update_freq: `'epoch'` (default): only curves over epochs. `'batch'` or an integer n: the means over the epoch
            so far are written after each or every nth batch, too, as `batch_loss` and so on. Reading them makes a
            GPU wait.
        profile_batch: Batch, or pair `(first, last)` of batches, counted from 1 over all epochs, that
            `torch.profiler` records. Default 0: none.
        embeddings_freq: Number of epochs from one writing of the vectors of embedding layers, for the projector, to
            the next. Default 0: none.
        embeddings_metadata: File with a label on each line for the rows of the embeddings, or dict from layer names
            to files. Default `None`.

    Raises:
        ImportError: Tensorboard is not installed.
        ValueError: An argument is out of range.
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
        self.update_freq, self.profile_batch = update_freq, profile_batch
        self.embeddings_freq = check_int("embeddings_freq", embeddings_freq, 0)
        self.embeddings_metadata = embeddings_metadata
        if write_images and not histogram_freq:
            warn("TensorBoard: write_images writes nothing without histogram_freq.")
        self._labels = check_metadata(embeddings_metadata)
        self._step = GlobalStep(update_freq)
        folder = os.path.abspath(os.path.expanduser(self.log_dir))  # training may change the working folder
        self._profiler = ProfilerWindow(profile_batch, os.path.join(folder, "train"))
        self._files = EventFiles(folder)
        self._is_fitting, self._has_graph = False, not write_graph
        self._embeddings: LabelledLayers = {}
        self._reset_clock()

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._step.state_dict(), "files": self._files.state_dict(), "graph": self._has_graph}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._step.load_state_dict(state["steps"])
        self._files.load_state_dict(state["files"])
        self._has_graph = state["graph"]
        self._profiler.begin(self._step.value)
        self._reset_clock()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._is_fitting, self._has_graph = True, not self.write_graph
        self._step.reset()
        check_parent_folder(self._files.folder / "train")
        self._files.begin()
        self._profiler.begin(0)
        self._embeddings = find_embeddings(self.model, self._labels) if self.embeddings_freq else {}

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._is_fitting = False
        self._profiler.end()
        self._files.close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._reset_clock()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._profiler.before_batch(self._step.number_of(batch))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._step.is_due(batch):
            self._write("train", "batch", logs or {}, self._step.value)
            if self.write_steps_per_second:
                self._write("train", "batch", {"steps_per_second": self._pace("batch")}, self._step.value)
        self._profiler.after_batch(self._step.value)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._is_fitting:
            self._epoch_pace = self._pace("epoch")

    def on_test_end(self, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            self._write_value("validation", f"evaluation_{name}_vs_iterations", value, self._step.value)
        if not self._is_fitting:
            self._files.close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        trained = {name: value for name, value in logs.items() if not name.startswith("val_")}
        if self.write_steps_per_second:
            trained["steps_per_second"] = self._epoch_pace or self._pace("epoch")
        self._write("train", "epoch", trained, epoch)
        self._write("validation", "epoch", {n[4:]: v for n, v in logs.items() if n.startswith("val_")}, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            write_weights(self._files.writer("train"), self.model, epoch, self.write_images)
        if self._embeddings and epoch % self.embeddings_freq == 0:
            write_embeddings(self._files, self._embeddings, epoch)
        if not self._has_graph:
            self._has_graph = True
            self._write_graph()
        self._step.end_epoch()
        self._files.flush()

    def _write(self, part: str, prefix: str, logs: Mapping[str, Any], step: int) -> None:
        """Write logs as curves whose names begin with `prefix`.

        Args:
            part: `'train'` or `'validation'`.
            prefix: `'epoch'` or `'batch'`.
            logs: Names and values.
            step: Number of the epoch or batch.
        """
        for name, value in logs.items():
            self._write_value(part, f"{prefix}_{name}", value, step)

    def _write_value(self, part: str, tag: str, value: Any, step: int) -> None:
        """Write one value, a number as a scalar and everything else as text."""
        writer = self._files.writer(part)
        number = as_float(value)
        if number is not None:
            writer.add_scalar(tag, number, step)
        else:
            writer.add_text(tag, str(value), step)

    def _reset_clock(self) -> None:
        """Measure batches per second from here."""
        now = self._step.value, time.perf_counter()
        self._marks = {"epoch": now, "batch": now}
        self._epoch_pace = 0.0  # unknown until the last training batch of the epoch

    def _pace(self, since: str) -> float:
        """Return batches per second since the last call with this key.

        Args:
            since: `'epoch'` or `'batch'`.
        """
        steps, began = self._marks[since]
        now = time.perf_counter()
        self._marks[since] = self._step.value, now
        return (self._step.value - steps) / max(now - began, 1e-9)

    def _write_graph(self) -> None:
        """Write the graph of the model; warn if the model cannot be called on zeros."""
        input_specs = self.model.trainer.state.input_specs
        try:
            if input_specs is None or has_values(input_specs):
                raise TypeError("its inputs are not tensors")
            self._files.writer("train").file_writer.add_event(graph_event(self.model, input_specs))
        except Exception as error:
            warn(
                f"TensorBoard: there is no graph, as the model could not be called on zeros: {error}. "
                "write_graph=False leaves it out."
            )
