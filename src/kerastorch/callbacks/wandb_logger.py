"""WandbLogger: log a training as a run of Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.callbacks.experiment_logger import ExperimentLogger
from kerastorch.callbacks.global_step import UpdateFreq
from kerastorch.core.errors import mismatch


class WandbLogger(ExperimentLogger):
    """A callback that logs the parameters of `fit` and the metrics to Weights & Biases (`pip install wandb`).

    If a W&B run is active, it is used and left open. If not, a run is started with the first batch and finished with
    training, after an error or Ctrl-C as failed. `WANDB_MODE=offline` keeps W&B from using the network.

    The x-axis of curves over epochs is `epoch`, from 0; that of curves over batches is `batch`, from 1 over all epochs.
    A resumed training continues its run; what was logged after the checkpoint is in the run twice.

    Args:
        project: Project of a new run. Default `None`: chosen by W&B.
        name: Name of a new run. Default `None`: chosen by W&B.
        config: Further parameters to store with the run, by name. Default `None`.
        update_freq: `'epoch'` (default): metrics are logged after each epoch. `'batch'` or an integer n: the means
            over the epoch so far are logged after each or every nth batch, too, as `batch_loss` and so on. Reading
            them makes a GPU wait.

    Attributes:
        run_id: Identifier of the run; `None` before the first batch.

    Raises:
        ImportError: W&B is not installed.
        ValueError: A name is not text, `config` is not a dict, or `update_freq` is not one of these.
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        update_freq: UpdateFreq = "epoch",
    ) -> None:
        super().__init__("wandb", {"project": project, "name": name}, update_freq)
        if config is not None and not isinstance(config, Mapping):
            raise mismatch("config", config, "a dict or None")
        self.project, self.name = project, name
        self.config = None if config is None else dict(config)

    def _parameters(self) -> dict[str, Any]:
        return super()._parameters() | (self.config or {})

    def _active_run(self) -> Any:
        import wandb

        return wandb.run

    def _start_run(self, parameters: Mapping[str, Any]) -> Any:
        import wandb

        resume = None if self.run_id is None else "allow"
        run = wandb.init(project=self.project, name=self.name, config=dict(parameters), id=self.run_id, resume=resume)
        run.define_metric("batch_*", step_metric="batch")
        run.define_metric("*", step_metric="epoch")
        return run

    def _run_id(self, run: Any) -> str:
        return str(run.id)

    def _add_parameters(self, parameters: Mapping[str, Any]) -> None:
        known = self._run.config
        known.update({name: value for name, value in parameters.items() if name not in known})

    def _log_metrics(self, metrics: Mapping[str, float], axis: Literal["epoch", "batch"], step: int) -> None:
        self._run.log({axis: step, **metrics})

    def _finish_run(self, run: Any, error: BaseException | None) -> None:
        run.finish(exit_code=0 if error is None else 1)
