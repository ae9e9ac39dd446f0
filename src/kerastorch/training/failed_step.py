"""NaNReport: save the first training step that is not finite to a folder, and repeat it from there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.terminate_on_nan import TerminateOnNaN
from kerastorch.checkpoint import archive_format, atomic_file
from kerastorch.checkpoint.module_state import capture_eval_modules, check_module_state, restore_eval_modules
from kerastorch.core.errors import CheckpointError
from kerastorch.core.module_tree import is_built
from kerastorch.core.nested import map_structure
from kerastorch.core.path_checks import check_exists, check_parent_folder, parse_path
from kerastorch.core.train_mode import training_mode
from kerastorch.data.batches import Batch
from kerastorch.runtime.nonfinite_report import NonFiniteReport
from kerastorch.training.eager_step import eager_step
from kerastorch.training.fused_activation import find_final_activation
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.step_repetition import capture_state, repeat_step, restore_state, unchanged_state
from kerastorch.training.trainer import Trainer

ARCHIVE, JSON_FILE, TEXT_FILE = "failed_step.kt", "report.json", "report.txt"


class NaNReport(TerminateOnNaN):
    """A callback that saves the first step whose loss or gradient is not finite, and stops training before it.

    Args:
        folder: Receives the batch, the state before the step, and a report.
        raise_error: Raise a `RuntimeError` instead of printing the message.

    Raises:
        NotADirectoryError: The path of the folder is that of a file.
        PermissionError: Nothing can be written there.
    """

    copies_weights = True

    def __init__(self, folder: str | os.PathLike[str], raise_error: bool = True) -> None:
        super().__init__(raise_error)
        self._folder = parse_path("nan_report", folder).absolute()
        check_parent_folder(self._folder)

    def _undo_step(self) -> bool:
        trainer = self.model.trainer
        if trainer.recorded_step is None or trainer.recorded_step.state is None:
            return False
        restore_state(trainer, trainer.recorded_step.state)
        return True

    def _repeat_step(self, batch: int, before_step: bool) -> str:
        self._undo_step()  # a train_step with several backward passes has made the steps of the first ones
        return super()._repeat_step(batch, before_step)

    def _save(self, report: NonFiniteReport) -> str:
        try:
            write_report(self._folder, self.model.trainer, report)
        except (OSError, TypeError, CheckpointError) as error:
            return f"\nThe step could not be saved in {self._folder}: {error}"
        return f"\nBatch, weights and a report are in {self._folder}: model.replay({str(self._folder)!r}) shows them."


def nan_report_callbacks(folder: str | os.PathLike[str] | None, callbacks: Any) -> list[Callback]:
    """Return the callback for the argument `nan_report` of `fit`, in a list; an empty list for `None`.

    Args:
        folder: The argument.
        callbacks: The other callbacks. A `TerminateOnNaN` among them decides whether an error is raised.
    """
    if folder is None:
        return []
    deciding = [one for one in to_list(callbacks) if isinstance(one, TerminateOnNaN)]
    return [NaNReport(folder, raise_error=all(one.raise_error for one in deciding))]


def write_report(folder: Path, trainer: Trainer, report: NonFiniteReport) -> None:
    """Write the failed step and its report to a folder; each file is replaced as a whole.

    Args:
        folder: It is created if it does not exist.
        trainer: Its model is in the state from before the failed step.
        report: What the repetition of the step has shown.

    Raises:
        CheckpointError: The state cannot be saved.
        OSError: The system refuses to write.
        TypeError: The batch has a value that cannot be saved.
    """
    recorded = trainer.recorded_step
    state = capture_state(trainer)
    step = {
        "batch": tuple(recorded.batch),
        "random": recorded.random,
        "autocast": recorded.autocast,
        "eval": capture_eval_modules(trainer.model),
        "losses": state["losses"],
        "update": state["update"],
        "others": state["others"],
    }
    sections = {"model": state["model"], "optimizer": state["optimizer"], "step": step, "report": report.to_json()}
    folder.mkdir(parents=True, exist_ok=True)
    archive_format.write(folder / ARCHIVE, sections)
    for name, text in ((JSON_FILE, json.dumps(report.to_json(), indent=2)), (TEXT_FILE, str(report))):
        atomic_file.write(folder / name, [f"{text}\n".encode()])


def replay(trainer: Trainer, folder: str | os.PathLike[str]) -> NonFiniteReport:
    """Repeat a saved step under observation; afterwards the model is as before.

    Args:
        trainer: Parts that train a model with the architecture of the saved one.
        folder: Folder that `fit(nan_report=folder)` has written.

    Raises:
        CheckpointError: The file is damaged, or of another model, loss or optimizer.
        FileNotFoundError: There is no report in the folder.
    """
    path = parse_path("folder", folder) / ARCHIVE
    check_exists(path)
    saved = archive_format.read(path)
    if not {"model", "optimizer", "step", "report"} <= saved.keys():
        raise CheckpointError(f"{path} holds no step; was it written by fit(nan_report=...)?")
    model, device = trainer.model, trainer.batch_transfer().device
    batch = Batch(*(map_structure(lambda leaf: _moved(leaf, device), part) for part in saved["step"]["batch"]))
    if not is_built(model):
        trainer.build(batch.x)
    trainer.setup()
    try:
        check_module_state(model, saved["model"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error} Build and compile the model by the script that wrote it.") from error
    with unchanged_state(trainer), _restored_step(trainer, saved):
        report = repeat_step(trainer, eager_step(trainer), batch, saved["step"]["random"])
    written = saved["report"]
    return replace(
        report,
        epoch=written["epoch"],
        batch=written["batch"],
        learning_rates=tuple(written["learning_rates"]),
        remedies=tuple(written["remedies"]) if written["finding"]["kind"] == report.finding.kind else report.remedies,
    )


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


@contextmanager
def _restored_step(trainer: Trainer, saved: Mapping[str, Any]) -> Iterator[None]:
    """Prepare the step of a saved report: state, modes of the layers, hooks of the loss and autocast."""
    model, step = trainer.model, saved["step"]
    autocast = step["autocast"]
    with (
        trainer.using(MetricsTracker({})),
        trainer.compiled_loss.attach(model, find_final_activation(model), None),
        training_mode(model),
        nullcontext() if autocast is None else torch.autocast(autocast[0], autocast[1]),
    ):
        restore_eval_modules(model, step["eval"])
        restore_state(trainer, {**step, "model": saved["model"], "optimizer": saved["optimizer"]})
        yield
