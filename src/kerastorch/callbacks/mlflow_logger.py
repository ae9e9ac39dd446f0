"""MLflowLogger: the numbers of a training as a run of MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.experiment_logger import Outcome, numbers, settings
from kerastorch.callbacks.global_step import GlobalStep, UpdateFreq
from kerastorch.core.errors import mismatch
from kerastorch.core.optional_dependency import require_package


class MLflowLogger(Callback):
    """Logs what `fit` was asked to do and the numbers of each epoch to MLflow (`pip install mlflow-skinny`).

    A run that is active is used and left open. Otherwise one is started with the first batch and closed when training
    ends: as `FINISHED`, after an error as `FAILED`, after Ctrl-C as `KILLED`. Where runs are kept is MLflow's to say:
    `mlflow.set_tracking_uri` or `MLFLOW_TRACKING_URI`. An error of the server's ends training.

    Args:
        experiment_name: of a new run, made if there is none of this name; MLflow's own choice if `None`.
        run_name: of a new run; MLflow makes one up if `None`.
        update_freq: `'epoch'`; `'batch'` or a number: the running numbers every so many batches too, as `batch_loss`.
            Reading them makes a GPU wait.

    A training that is resumed goes on in its run; what was logged after its checkpoint is there a second time, since
    MLflow takes nothing back.
    """

    first_process_only = True

    def __init__(
        self, experiment_name: str | None = None, run_name: str | None = None, update_freq: UpdateFreq = "epoch"
    ) -> None:
        require_package("MLflowLogger", "mlflow", install="mlflow-skinny")
        for name, given in (("experiment_name", experiment_name), ("run_name", run_name)):
            if given is not None and (not isinstance(given, str) or not given):
                raise mismatch(name, given, "a name or None")
        self.experiment_name, self.run_name, self.update_freq = experiment_name, run_name, update_freq
        self._steps = GlobalStep(update_freq)
        self._outcome = Outcome()
        self._reset()

    def _reset(self) -> None:
        self.run_id: str | None = None
        self._open = False  # whether the run is known, here and now
        self._ours = True  # whether it was started here

    def state_dict(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "ours": self._ours, "steps": self._steps.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.run_id, self._ours = state["run_id"], state["ours"]
        self._steps.load_state_dict(state["steps"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._steps.begin()
        self._outcome.begin()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if not self._open:  # not before, so that a training that is resumed can say which run it is
            self._start()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._steps.is_due(batch):
            self._log(numbers(logs, "batch_"), self._steps.value)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._log(numbers(logs), epoch)
        self._steps.end_epoch()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not (self._open and self._ours):
            return
        import mlflow

        error = self._outcome.error
        status = "FINISHED" if error is None else "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        self._open = False
        active = mlflow.active_run()
        if active is not None and active.info.run_id == self.run_id:
            mlflow.end_run(status)
        else:
            mlflow.MlflowClient().set_terminated(self.run_id, status)

    def _start(self) -> None:
        import mlflow

        run = mlflow.active_run()
        if run is not None:
            self._ours = False
        elif self.run_id is not None:
            run, self._ours = mlflow.start_run(run_id=self.run_id), True
        else:
            run = mlflow.start_run(experiment_id=self._experiment(), run_name=self.run_name)
        self.run_id, self._open = run.info.run_id, True
        client = mlflow.MlflowClient()
        known = client.get_run(self.run_id).data.params  # MLflow refuses another value
        for name, value in settings(self.model, self.params).items():
            if name not in known:
                client.log_param(self.run_id, name, value)

    def _experiment(self) -> str | None:
        import mlflow

        if self.experiment_name is None:
            return None
        found = mlflow.get_experiment_by_name(self.experiment_name)
        made: str = mlflow.create_experiment(self.experiment_name) if found is None else found.experiment_id
        return made

    def _log(self, found: dict[str, float], step: int) -> None:
        import mlflow

        mlflow.log_metrics(found, step=step, run_id=self.run_id)
