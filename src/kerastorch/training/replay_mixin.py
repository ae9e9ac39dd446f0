"""ReplayMixin: `replay`, which repeats a training step that was saved because it was not finite."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.runtime.model_lock import model_lock
from kerastorch.runtime.nonfinite_report import NonFiniteReport
from kerastorch.training.failed_step import replay
from kerastorch.training.step_mixin import StepMixin


class ReplayMixin(StepMixin):
    """A model that can repeat a saved training step."""

    @public_api
    def replay(self, folder: str | os.PathLike[str], verbose: int = 1) -> NonFiniteReport:
        """Repeat the step that `fit(nan_report=folder)` has saved, and show where it was not finite.

        The saved batch is trained on once more, with the saved weights, optimizer and random states, while hooks
        observe each layer. Afterwards the model is as it was before the call. A finding of the kind `'none'` says that
        the step is finite now, for example because the loss was corrected.

        Args:
            folder: The folder that was given to `fit`.
            verbose: 1 prints the report with a table of the layers, 0 prints nothing. Default 1.

        Returns:
            The report: `finding`, `loss`, `epoch`, `batch`, `learning_rates`, `remedies`, and `layers` with the
            minimum, maximum and share of finite values of each layer's outputs and gradients.

        Raises:
            CheckpointError: The file is damaged, or was written by another model, optimizer or loss.
            FileNotFoundError: There is no saved step in the folder.
            RuntimeError: The model is not compiled.

        >>> import contextlib, tempfile
        >>> import kerastorch as kt
        >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", lambda y_true, y_pred: (y_pred.log() - y_true).square().mean())
        >>> folder = tempfile.mkdtemp()
        >>> with contextlib.suppress(RuntimeError):
        ...     model.fit([[1.0]], [[1.0]], verbose=0, nan_report=folder)
        >>> report = model.replay(folder, verbose=0)
        >>> report.finding.kind, report.finding.value, report.finding.operation
        ('loss', 'inf', 'log')
        """
        trainer = self._compiled("replay")
        with model_lock(self, "train_on_batch"):
            report = replay(trainer, folder)
        if verbose:
            print(report)
        return report
