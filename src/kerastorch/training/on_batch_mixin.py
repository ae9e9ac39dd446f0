"""OnBatchMixin: `train_on_batch` and `test_on_batch`."""

from __future__ import annotations

from typing import Any, Literal, overload

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.batches import Batches, Resumable
from kerastorch.data.class_weight import ClassWeight, class_weights
from kerastorch.data.data_adapter import only_batch
from kerastorch.data.rank_slices import RankSlices, RankTurns
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training import loops
from kerastorch.training.compile_mixin import CompileMixin
from kerastorch.training.log_names import in_keras_order
from kerastorch.training.trainer import Trainer


class OnBatchMixin(CompileMixin):
    """A model that can be trained and evaluated on single batches."""

    @overload
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ClassWeight = None,
        *,
        return_dict: Literal[True],
    ) -> dict[str, float]: ...

    @overload
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ClassWeight = None,
        return_dict: bool = False,
    ) -> Any: ...

    @public_api
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ClassWeight = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch: one step of the optimizer. The arrays are not searched for NaN and infinity.

        Args:
            x: Inputs: an array or tensor of shape `(batch, ...)`, or a tuple, list or dict of them.
            y: Targets, one row for each row of `x`; several in the structure of the outputs.
            sample_weight: A weight for each row, shape `(batch,)`; for several outputs also a dict or list of them.
                Default: 1 each.
            class_weight: Class number -> weight, or a list of the weights of all classes; for several outputs a dict or
                list of these. Default: 1 each.
            return_dict: Whether to return a dict of values by name. Default `False`.

        Returns:
            The loss, or a list `[loss, *metrics]` if there are metrics, in the order of `metrics_names`; with
            `return_dict=True` a dict of them. All are of this batch alone, before the step.

        Raises:
            RuntimeError: The model is not compiled.
            ValueError: There is no loss; the arrays do not fit the model, the loss, or each other.

        >>> import kerastorch as kt
        >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.train_on_batch([[1.0], [1.0]], [[2.0], [2.0]])
        4.0
        """
        trainer = self._compiled("train_on_batch", x, y)
        with trainer.joined("train_on_batch()", one_batch=True) as parallel, model_lock(self, "train_on_batch"):
            feed = trainer.batch_transfer(class_weights(class_weight, trainer.compiled_loss.outputs, of_one_batch=True))
            batch = self._only_batch(trainer, "train_step", x, y, sample_weight)
            batch = batch if parallel.shard is None else RankSlices(batch, parallel.shard)
            logs = loops.train_on_batch(trainer, batch, feed)
        return logs if return_dict else in_keras_order(logs)

    @overload
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, return_dict: Literal[True]
    ) -> dict[str, float]: ...

    @overload
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any: ...

    @public_api
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return loss and metrics of one batch, in evaluation mode and without gradients.

        Args:
            x: Inputs: an array or tensor of shape `(batch, ...)`, or a tuple, list or dict of them.
            y: Targets, one row for each row of `x`; several in the structure of the outputs.
            sample_weight: A weight for each row, shape `(batch,)`; for several outputs also a dict or list of them.
                Default: 1 each.
            return_dict: Whether to return a dict of values by name. Default `False`.

        Returns:
            The loss, or a list `[loss, *metrics]` if there are metrics, in the order of `metrics_names`; with
            `return_dict=True` a dict of them.

        Raises:
            RuntimeError: The model is not compiled.
            ValueError: There is no loss; the arrays do not fit the model, the loss, or each other.
        """
        trainer = self._compiled("test_on_batch", x, y)
        with trainer.joined("test_on_batch()", one_batch=True) as parallel, model_lock(self, "evaluate"):
            batch: Batches = self._only_batch(trainer, "test_step", x, y, sample_weight)
            batch = batch if parallel.shard is None else RankTurns(batch, parallel.shard)
            logs = loops.evaluate(trainer, batch, trainer.batch_transfer(), CallbackList([], self, {}))
        return logs if return_dict else in_keras_order(logs)

    def _only_batch(self, trainer: Trainer, step: str, x: Any, y: Any, sample_weight: Any) -> Resumable:
        """Return the batch that a method was given: arrays, or a batch as a loader yields it."""
        return only_batch(x, y, sample_weight, self._batch_reader(trainer, step))
