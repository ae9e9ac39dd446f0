"""MLflowLogger: log a training as a run of MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.callbacks.experiment_logger import ExperimentLogger
from kerastorch.callbacks.global_step import UpdateFreq


class MLflowLogger(ExperimentLogger):
    """A callback that logs the parameters of `fit` and the metrics to MLflow (`pip install mlflow-skinny`).

    If an MLflow run is active, it is used and left open. If not, a run is started with the first batch and ended with
    training: as `FINISHED`, after an error as `FAILED`, after Ctrl-C as `KILLED`. `mlflow.set_tracking_uri` or
    `MLFLOW_TRACKING_URI` sets where runs are stored. Errors of the MLflow server end training.

    A resumed training continues its run. MLflow cannot remove values, so what was logged after the checkpoint is in
    the run twice.

    Args:
        experiment_name: Name of the experiment of a new run, created if it does not exist. Default `None`: chosen by
            MLflow.
        run_name: Name of a new run. Default `None`: chosen by MLflow.
        update_freq: `'epoch'` (default): metrics are logged after each epoch. `'batch'` or an integer n: the means
            over the epoch so far are logged after each or every nth batch, too, as `batch_loss` and so on. Reading
            them makes a GPU wait.

    Attributes:
        run_id: Identifier of the run; `None` before the first batch.

    Raises:
        ImportError: MLflow is not installed.
        ValueError: A name is not text, or `update_freq` is not one of these.
    """

    def __init__(
        self, experiment_name: str | None = None, run_name: str | None = None, update_freq: UpdateFreq = "epoch"
    ) -> None:
        names = {"experiment_name": experiment_name, "run_name": run_name}
        super().__init__("mlflow", names, update_freq, install="mlflow-skinny")
        self.experiment_name, self.run_name = experiment_name, run_name

    def _active_run(self) -> Any:
        import mlflow

        return mlflow.active_run()

    def _start_run(self, parameters: Mapping[str, Any]) -> Any:
        import mlflow

        if self.run_id is not None:
            return mlflow.start_run(run_id=self.run_id)
        return mlflow.start_run(experiment_id=self._experiment_id(), run_name=self.run_name)

    def _experiment_id(self) -> str | None:
        """Return the identifier of the experiment, which is created if it does not exist; `None` without a name."""
        import mlflow

        if self.experiment_name is None:
            return None
        found = mlflow.get_experiment_by_name(self.experiment_name)
        identifier: str = mlflow.create_experiment(self.experiment_name) if found is None else found.experiment_id
        return identifier

    def _run_id(self, run: Any) -> str:
        return str(run.info.run_id)

    def _add_parameters(self, parameters: Mapping[str, Any]) -> None:
        import mlflow

        client = mlflow.MlflowClient()
        known = client.get_run(self.run_id).data.params  # MLflow raises an error if a parameter gets another value
        for name, value in parameters.items():
            if name not in known:
                client.log_param(self.run_id, name, value)

    def _log_metrics(self, metrics: Mapping[str, float], axis: Literal["epoch", "batch"], step: int) -> None:
        import mlflow

        mlflow.log_metrics(dict(metrics), step=step, run_id=self.run_id)

    def _finish_run(self, run: Any, error: BaseException | None) -> None:
        import mlflow

        status = "FINISHED" if error is None else "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        active = mlflow.active_run()
        if active is not None and active.info.run_id == self.run_id:
            mlflow.end_run(status)
        else:
            mlflow.MlflowClient().set_terminated(self.run_id, status)
