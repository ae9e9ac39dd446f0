"""CheckMixin: `check`, a report about data and model before a training."""

from __future__ import annotations

from typing import Any

from kerastorch.core.traceback_filter import public_api
from kerastorch.data.class_weight import ClassWeight
from kerastorch.model_check.report import CheckReport
from kerastorch.training.compile_mixin import CompileMixin
from kerastorch.training.fit_data import Split


class CheckMixin(CompileMixin):
    """A model that can be checked before it is trained."""

    @public_api
    def check(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: ClassWeight = None,
        sample_weight: Any = None,
        validation_stratify: Any = None,
        validation_shuffle: bool = False,
        validation_seed: int | None = None,
    ) -> CheckReport:
        """Look for mistakes in data, model, loss and optimizer, and estimate memory and time, before `fit`.

        A compiled model makes some training steps on the first batch. A model that is not compiled is called on it.
        Afterwards weights, buffers, gradients, the optimizer, metrics, modes and random generators are what they were,
        bit for bit; a model that is not built stays so. On an accelerator, a built model is moved there, as by `fit`.
        Steps run uncompiled.

        These are errors: what `fit` would refuse, a loss that is not finite. These are warnings: inputs that are not
        scaled, constant data, unbalanced or missing classes, a last activation that does not fit the loss, parameters
        without a gradient, ReLU units that are 0 for all rows, a first loss far above that of a guess, a learning rate
        that makes the loss rise, rows that are in the training and the validation data, sorted data with
        `validation_split`. Shapes, memory and the time of an epoch are notes.

        Args:
            x: Inputs, or data that yield batches, as for `fit`; no generator. Of arrays, 4096 random rows are examined
                closely, of other data the batches up to 256 rows.
            y: Targets, one row for each row of `x`; not given if `x` yields them.
            batch_size: Rows of a batch. Default 32; not used if `x` yields batches.
            validation_split: As for `fit`. Default 0.
            validation_data: As for `fit`. Default: none.
            shuffle: As for `fit`. Default `True`.
            class_weight: As for `fit`. Default: 1 each.
            sample_weight: As for `fit`. Default: 1 each.
            validation_stratify: As for `fit`. Default: no stratification.
            validation_shuffle: As for `fit`. Default `False`.
            validation_seed: As for `fit`. Default 0.

        Returns:
            The report. Its truth value is whether there is no error; `findings` has `level`, `name`, `message` and
            `advice` of each finding; `raise_if_errors()` raises an error with all of them.

        Raises:
            ValueError: `x` or `validation_data` is a generator.
            RuntimeError: The model is being trained.

        >>> import numpy as np
        >>> import kerastorch as kt
        >>> x, y = np.eye(8, 4), np.arange(8) % 2
        >>> model = kt.Sequential([kt.layers.Dense(4, "relu"), kt.layers.Dense(3)])
        >>> model.compile("adam", "cross_entropy")
        >>> report = model.check(x, y)
        >>> bool(report), [one.name for one in report.of_level("warning")]
        (True, ['missing classes'])
        >>> print(report.of_level("warning")[0].message)
        The model has 3 outputs, and y has the classes 0..1 alone.
        """
        from kerastorch.model_check.checker import Arguments, check_model  # rarely used, so imported late

        split = Split(validation_split, validation_stratify, validation_shuffle, validation_seed)
        return check_model(
            self, Arguments(x, y, batch_size, split, validation_data, class_weight, sample_weight, shuffle)
        )
