"""FindLRMixin: `find_lr`, the learning-rate range test of a compiled model."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.callbacks.progress_bar import Verbose, style
from kerastorch.core.errors import check_float, check_int
from kerastorch.core.module_tree import is_built
from kerastorch.core.rng_state import RandomStates
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.class_weight import class_weights
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training.fit_data import Split, adapt, assemble, check_limits
from kerastorch.training.fit_loop import fit_epochs
from kerastorch.training.learning_rate_curve import LearningRateCurve, RunningMean
from kerastorch.training.on_batch_mixin import OnBatchMixin
from kerastorch.training.parallel import SINGLE_PROCESS
from kerastorch.training.rate_finder import FinderProgress, RateFinder


class FindLRMixin(OnBatchMixin):
    """A model whose learning rate can be found by a range test."""

    @public_api
    def find_lr(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
        *,
        min_lr: float = 1e-7,
        max_lr: float = 10.0,
        steps: int = 100,
        smoothing: float = 0.9,
        divergence: float = 4.0,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        check_finite: bool = True,
    ) -> LearningRateCurve:
        """Train on some batches with growing learning rates, and suggest one (range test of Smith 2017).

        Batch `i` of `n` is trained on with the rate `min_lr * (max_lr / min_lr) ** (i / (n - 1))`. The test ends early
        when the loss diverges. Afterwards weights, buffers, the optimizer, losses, metrics, random generators and the
        progress of training are what they were, bit for bit. Only a generator, which cannot be rewound, continues
        after the batches that were used; and a model that was not built is built, as by `fit`. Steps run uncompiled.
        If parameter groups have different rates, they keep their ratios, and the suggestion is for the largest.

        Args:
            x: Inputs, or data that yield batches, as for `fit`. Passes over the data are repeated if they have fewer
                batches than `steps`.
            y: Targets, one row for each row of `x`; not given if `x` yields them.
            batch_size: Rows of a batch. Default 32. Use that of the training: the best rate depends on it.
            verbose: 0 prints nothing; 1 and the default `"auto"` show a progress bar if the output can draw one, else a
                line of text; 2 prints a line of text.
            min_lr: Rate of the first batch, > 0. Default 1e-7.
            max_lr: Rate of the last batch, > `min_lr`. Default 10.
            steps: Number of batches, >= 5. Default 100.
            smoothing: How much neighbors count in the smoothed loss, from 0 for not at all to below 1. Default 0.9.
            divergence: The test ends when the running mean of the losses is this multiple of its lowest value, > 1.
                Default 4.
            shuffle: As for `fit`.
            class_weight: As for `fit`.
            sample_weight: As for `fit`.
            check_finite: As for `fit`.

        Returns:
            The rates and losses, with a suggestion: the rate at which the smoothed loss falls fastest. `plot()` draws
            them.

        Raises:
            RuntimeError: The model is not compiled, or is being trained.
            ValueError: An argument is out of its range; the optimizer has no learning rate, or there are several
                optimizers; or the loss diverged at once, or did not fall at any rate.

        >>> import kerastorch as kt
        >>> x = [[float(row % 7)] for row in range(64)]
        >>> model = kt.Sequential([kt.layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> curve = model.find_lr(x, x, verbose=0)
        >>> 0.001 < curve.suggestion < 0.1
        True
        >>> model.optimizer.learning_rate = curve.suggestion
        """
        trainer = self._compiled("find_lr", x, y)
        check_float("min_lr", min_lr, above=0)
        check_float("max_lr", max_lr, above=min_lr)
        check_int("steps", steps, 5)
        mean = RunningMean(
            check_float("smoothing", smoothing, least=0, below=1), check_float("divergence", divergence, above=1)
        )
        rates = np.geomspace(min_lr, max_lr, steps).tolist()
        weights = class_weights(class_weight, trainer.compiled_loss.outputs)
        transfer = trainer.batch_transfer(weights)
        unweighted = trainer.batch_transfer()
        reader = self._batch_reader(trainer, "train_step")
        source = adapt(x, y, sample_weight, unweighted, reader, finite=check_finite)
        held: dict[str, Any] = {"model": self, "losses": trainer.compiled_loss}
        finder = RateFinder(rates, mean, RandomStates(True, data=source.holder, **held), is_built(self))
        data = assemble(
            self, source, None, Split(0.0, None, False, None), check_limits(None, None, None, None),
            batch_size=batch_size, shuffle=shuffle, validation_batch_size=None, can_grow=bool,
            generators_in=held, callbacks=[finder], validation_reader=reader, parallel=SINGLE_PROCESS,
        )  # fmt: skip
        if weights is not None:
            weights.count(data.targets, source.kind)
        progress = [] if style(verbose) == "none" else [FinderProgress(verbose, finder)]
        callbacks = CallbackList([finder, *progress], self, {"verbose": verbose, "epochs": steps, "steps": steps})
        with model_lock(self, "fit"), trainer.state.preserved(), trainer.new_metrics().protected(), finder.testing():
            for _ in fit_epochs(trainer, data, callbacks, range(steps), transfer, unweighted, 1):
                pass  # nothing is yielded: all epochs are trained
        return LearningRateCurve(rates[: len(finder.losses)], finder.losses, smoothing)
