"""WandbLogger: the numbers of a training as a run of Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.experiment_logger import Outcome, numbers, settings
from kerastorch.callbacks.global_step import GlobalStep, UpdateFreq
from kerastorch.core.errors import mismatch
from kerastorch.core.optional_dependency import require_package


class WandbLogger(Callback):
    """Logs what `fit` was asked to do and each epoch's numbers to Weights & Biases (`pip install wandb`).

    A run that is active is used and left open. Otherwise one is begun with the first batch and finished when training
    ends, after an error or Ctrl-C as failed. Whether it goes over the network is W&B's to say: `WANDB_MODE=offline`.

    Args:
        project: of a new run; W&B's own choice if `None`.
        name: of a new run; W&B makes one up if `None`.
        config: what else to keep with the run, by name.
        update_freq: `'epoch'`; `'batch'` or a number: the running numbers every so many batches too, as `batch_loss`.
            Reading them makes a GPU wait.

    The curves are over `epoch`, from 0, and those of batches over `batch`, from 1. A training that is resumed goes on
    in its run; what was logged after its checkpoint is there a second time.
    """

    first_process_only = True

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        update_freq: UpdateFreq = "epoch",
    ) -> None:
        require_package("WandbLogger", "wandb")
        for what, given in (("project", project), ("name", name)):
            if given is not None and (not isinstance(given, str) or not given):
                raise mismatch(what, given, "a name or None")
        if config is not None and not isinstance(config, Mapping):
            raise mismatch("config", config, "a dict or None")
        self.project, self.name, self.config, self.update_freq = project, name, dict(config or {}), update_freq
        self._steps = GlobalStep(update_freq)
        self._outcome = Outcome()
        self._reset()

    def _reset(self) -> None:
        self.run_id: str | None = None
        self._run: Any = None
        self._ours = True  # whether it was begun here

    def state_dict(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "steps": self._steps.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.run_id = state["run_id"]
        self._steps.load_state_dict(state["steps"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._steps.begin()
        self._outcome.begin()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._run is None:  # not before, so that a training that is resumed can say which run it is
            self._run = self._begun()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._steps.is_due(batch):
            self._run.log({"batch": self._steps.value, **numbers(logs, "batch_")})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._run.log({"epoch": epoch, **numbers(logs)})
        self._steps.end_epoch()

    def on_train_end(self, logs: Logs | None = None) -> None:
        run, self._run = self._run, None
        if run is not None and self._ours:
            run.finish(exit_code=0 if self._outcome.error is None else 1)

    def _begun(self) -> Any:
        import wandb

        about = settings(self.model, self.params) | self.config
        run = wandb.run
        self._ours = run is None
        if run is None:
            resume = None if self.run_id is None else "allow"
            run = wandb.init(project=self.project, name=self.name, config=about, id=self.run_id, resume=resume)
            run.define_metric("batch_*", step_metric="batch")
            run.define_metric("*", step_metric="epoch")
        else:
            run.config.update({name: value for name, value in about.items() if name not in run.config})
        self.run_id = run.id
        return run
