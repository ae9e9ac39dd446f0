"""SKLearnRegressor: a network as a regressor of scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import torch
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from kerastorch.losses.standardized import StandardizedSquaredError
from kerastorch.model import Model
from kerastorch.wrappers.default_networks import Moments, check_hidden, regressor_network
from kerastorch.wrappers.estimator import NetworkEstimator
from kerastorch.wrappers.inputs import check_inputs_and_targets
from kerastorch.wrappers.targets import Array, Targets, value_targets
from kerastorch.wrappers.training_rows import Rows


class SKLearnRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network as a regressor of scikit-learn.

    Without `model` and `module` it is a network of dense layers that standardizes its features, and gives values in the
    units of the targets.

    Args:
        model: A model of kerastorch or a module, which each `fit` copies, compiled or not; or a function
            `build_fn(X, y, **model_kwargs)` that returns one, where `y` has the shape `(rows, columns)`. Default: none.
        warm_start: Whether `fit` trains the network of the last `fit` further. Default `False`: a new one.
        model_kwargs: Further arguments of the function, which grids reach as `model_kwargs__name`.
        fit_kwargs: Arguments of `Model.fit`, which grids reach as `fit_kwargs__name`; those given to `fit` itself count
            first.
        module: The class of an `nn.Module` whose outputs are the values, one column for each of the targets. A
            parameter of its `__init__` called `n_features`, `in_features` or alike is filled with the number of
            features, one called `n_outputs`, `out_features` or alike with that of the columns. Default: none.
        hidden: Units of each hidden layer of the default network. Default `(100,)`.
        optimizer: A name, class or settings of an optimizer, for networks that are not compiled. Default: Adam.
        loss: A loss, for networks that are not compiled. Default: the mean squared error; for the default network
            divided by the variance of the targets, so that it is 1 minus R² of the training rows.
        learning_rate: Learning rate of the optimizer. Default: 0.01 for the default network, else the optimizer's own.
        metrics: Metrics that `history_` logs. Default: none.
        epochs: Number of epochs. Default `"auto"`: until the loss no longer falls, at most 200, or 500 if an epoch is
            one batch; with validation rows, until their loss has not fallen for 10 epochs, and the best weights are
            restored. With `model`, 1 as in Keras.
        batch_size: Rows of a batch. Default `"auto"`: all rows if there are at most 256, else 64 to 512, a hundredth of
            the rows. With `model`, 32 as in Keras.
        callbacks: Callbacks, which each `fit` copies. Default: none.
        validation_fraction: Fraction of the rows that each `fit` holds out for validation, in [0, 1). Default 0.
        random_state: Seed of weights, order and dropout, an integer or a `RandomState`. Default: the global generators.
        verbose: As for `Model.fit`. Default 0.
        device: Where to compute, as for `Model.compile`. Default `"auto"`.
        dtype: `"float32"`, `"float64"`, or `"auto"` (default): float64 for tables of float64 or of 32- and 64-bit
            integers, as in scikit-learn, if the network can compute in it; on an accelerator for at most 256 rows.
        **module__: Arguments of the class as `module__name`, and of the optimizer as `optimizer__name`.

    Attributes:
        model_: The fitted model.
        history_: The history of the last fit.
        loss_curve_: The loss of each epoch since the network was made.
        n_iter_: The number of these epochs.
        n_features_in_: Number of features.
        feature_names_in_: Names of the features, if `X` is a DataFrame.

    >>> import numpy as np
    >>> X = np.linspace(-3, 3, 100)[:, None]
    >>> estimator = SKLearnRegressor(random_state=0).fit(X, np.sin(X[:, 0]))
    >>> bool(estimator.score(X, np.sin(X[:, 0])) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_arguments: Any) -> Self:  # noqa: N803
        """Train a network, a new one unless `warm_start`.

        Args:
            X: Inputs of shape `(rows, features)`: an array, DataFrame, sparse array or list; for a module of images
                also `(rows, ...)`.
            y: Values of shape `(rows,)` or `(rows, columns)`.
            sample_weight: A weight >= 0 for each row: 2 counts as the row twice, 0 as if it were not there. Default: 1
                each.
            **fit_arguments: Arguments of `Model.fit`, such as `epochs` and `validation_data=(X, y)`.

        Returns:
            The estimator.

        Raises:
            ValueError: Data or parameters are invalid, or the network does not fit them.
            TypeError: `Model.fit` has no argument of a name.
        """
        continues = self._continues()
        x, values = check_inputs_and_targets(self, X, y, reset=not continues, are_numbers=True)
        return self._train(x, values, sample_weight, fit_arguments, None if continues else value_targets(values))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train the network for one epoch; a new one at the first call.

        The default network standardizes with the means and variances of the rows of the first call.

        Args:
            X: Inputs, as for `fit`.
            y: Values, as for `fit`.
            sample_weight: A weight for each row, as for `fit`.

        Returns:
            The estimator.
        """
        continues = self.__sklearn_is_fitted__()
        x, values = check_inputs_and_targets(self, X, y, reset=not continues, are_numbers=True)
        return self._train(x, values, sample_weight, {"epochs": 1}, None if continues else value_targets(values))

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the predicted values, in the shape of the targets.

        Args:
            X: Inputs, as for `fit`.
        """
        return self._predicted(X)

    def _default_network(self, rows: Rows, targets: Targets, dtype: torch.dtype) -> tuple[Model, object]:
        x, y = Moments(rows.x, rows.weights), Moments(rows.numbers, rows.weights)
        model = regressor_network(x, y, check_hidden(self.hidden), dtype)
        return model, StandardizedSquaredError(y.deviation.tolist())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = self.model is not None  # how well a user's model learns is unknown
        return tags
