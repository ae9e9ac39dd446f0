"""SKLearnTransformer: a network as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from kerastorch.core.errors import check_choice, check_int
from kerastorch.losses.standardized import StandardizedSquaredError
from kerastorch.model import Model
from kerastorch.wrappers.default_networks import CODE, Moments, autoencoder, check_hidden
from kerastorch.wrappers.estimator import NetworkEstimator, is_auto
from kerastorch.wrappers.inputs import check_inputs, check_inputs_and_targets
from kerastorch.wrappers.layer_outputs import outputs_of_layer
from kerastorch.wrappers.outputs import output_list
from kerastorch.wrappers.targets import Array, Targets, class_targets, value_targets
from kerastorch.wrappers.training_rows import Rows


class SKLearnTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):  # type: ignore[misc]
    """A network as a transformer of scikit-learn: it is trained, and gives its outputs or those of a layer.

    Without `model` and `module` it is an autoencoder: dense layers with few units in the middle, which are trained to
    give back the standardized features. The transformed rows are the outputs of the layer in the middle.

    Args:
        model: A model of kerastorch or a module, which each `fit` copies, compiled or not; or a function
            `build_fn(X, y, **model_kwargs)` that returns one. Default: none.
        warm_start: Whether `fit` trains the network of the last `fit` further. Default `False`: a new one.
        model_kwargs: Further arguments of the function, which grids reach as `model_kwargs__name`.
        fit_kwargs: Arguments of `Model.fit`, which grids reach as `fit_kwargs__name`; those given to `fit` itself count
            first.
        module: The class of an `nn.Module`. A parameter of its `__init__` called `n_features`, `in_features` or alike
            is filled with the number of features, one called `n_outputs`, `out_features` or alike with that of the
            columns of the target. Default: none.
        n_components: Columns of the transformed rows, for the default network. Default 2.
        layer: Name of the layer whose outputs are the transformed rows, or its number, from 0, -2 for the last but one.
            Default: the outputs of the network; of the default network, those of the layer in the middle.
        target: What the network is trained to give: `"X"` or `"y"`. Default `"auto"`: `X` for the default network and
            if there is no `y`, else `y`.
        hidden: Units of each hidden layer before the middle one of the default network. Default `(64,)`.
        optimizer: A name, class or settings of an optimizer, for networks that are not compiled. Default: Adam.
        loss: A loss, for networks that are not compiled. Default: the mean squared error; a crossentropy for labels.
        learning_rate: Learning rate of the optimizer. Default: 0.01 for the default network, else the optimizer's own.
        metrics: Metrics that `history_` logs. Default: none.
        epochs: Number of epochs. Default `"auto"`: as for `SKLearnRegressor`.
        batch_size: Rows of a batch. Default `"auto"`: as for `SKLearnRegressor`.
        callbacks: Callbacks, which each `fit` copies. Default: none.
        validation_fraction: Fraction of the rows that each `fit` holds out for validation, in [0, 1). Default 0.
        random_state: Seed of weights, order and dropout, an integer or a `RandomState`. Default: the global generators.
        verbose: As for `Model.fit`. Default 0.
        device: Where to compute, as for `Model.compile`. Default `"auto"`.
        dtype: `"float32"`, `"float64"`, or `"auto"` (default): as for `SKLearnRegressor`.
        **module__: Arguments of the class as `module__name`, and of the optimizer as `optimizer__name`.

    Attributes:
        model_: The fitted model.
        history_: The history of the last fit.
        loss_curve_: The loss of each epoch since the network was made.
        n_iter_: The number of these epochs.
        n_features_in_: Number of features.
        feature_names_in_: Names of the features, if `X` is a DataFrame.

    >>> from sklearn.datasets import load_iris
    >>> X, _ = load_iris(return_X_y=True)
    >>> SKLearnTransformer(n_components=2, epochs=5, random_state=0).fit_transform(X).shape
    (150, 2)
    """

    _n_features_out: int
    _layer: str | int | None

    def __init__(
        self,
        model: Model | torch.nn.Module | Callable[..., torch.nn.Module] | None = None,
        warm_start: bool = False,
        model_kwargs: Mapping[str, object] | None = None,
        fit_kwargs: Mapping[str, object] | None = None,
        *,
        module: type[torch.nn.Module] | Callable[..., torch.nn.Module] | None = None,
        n_components: int = 2,
        layer: str | int | None = None,
        target: str = "auto",
        hidden: tuple[int, ...] | int = (64,),
        optimizer: object = None,
        loss: object = None,
        learning_rate: float | None = None,
        metrics: object = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        callbacks: object = None,
        validation_fraction: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = 0,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        **module__: object,
    ) -> None:
        super().__init__(
            model, warm_start, model_kwargs, fit_kwargs, module=module, hidden=hidden, optimizer=optimizer, loss=loss,
            learning_rate=learning_rate, metrics=metrics, epochs=epochs, batch_size=batch_size, callbacks=callbacks,
            validation_fraction=validation_fraction, random_state=random_state, verbose=verbose, device=device,
            dtype=dtype, **module__,
        )  # fmt: skip
        self.n_components = n_components
        self.layer = layer
        self.target = target

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **fit_arguments: Any) -> Self:  # noqa: N803
        """Train a network, a new one unless `warm_start`.

        Args:
            X: Inputs of shape `(rows, features)`: an array, DataFrame, sparse array or list.
            y: Targets, as for `SKLearnRegressor`, or labels; used if `target` says so.
            sample_weight: A weight >= 0 for each row: 2 counts as the row twice, 0 as if it were not there. Default: 1
                each.
            **fit_arguments: Arguments of `Model.fit`, such as `epochs`.

        Returns:
            The estimator.

        Raises:
            ValueError: Data or parameters are invalid, or the network does not fit them.
            TypeError: `Model.fit` has no argument of a name.
        """
        return self._fit(X, y, sample_weight, fit_arguments, self._continues())

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train the network for one epoch; a new one at the first call.

        Args:
            X: Inputs, as for `fit`.
            y: Targets, as for `fit`.
            sample_weight: A weight for each row, as for `fit`.

        Returns:
            The estimator.
        """
        return self._fit(X, y, sample_weight, {"epochs": 1}, self.__sklearn_is_fitted__())

    def transform(self, X: Any) -> Array:  # noqa: N803
        """Return the transformed rows, shape `(rows, columns)`; outputs of more axes are flattened.

        Args:
            X: Inputs, as for `fit`.
        """
        check_is_fitted(self)
        return self._transformed(check_inputs(self, X, reset=False))

    def _fit(self, x: Any, y: Any, sample_weight: Any, given: Mapping[str, Any], continues: bool) -> Self:
        target = check_choice("target", self.target, ("auto", "x", "y"))
        if target == "y" and y is None:
            raise ValueError("target='y' requires y to be passed, but the target y is None.")
        is_default = self.model is None and self.module is None
        uses_y = target == "y" or (target == "auto" and y is not None and not is_default)
        if uses_y:
            inputs, targets = check_inputs_and_targets(self, x, y, reset=not continues)
            encoding = self._encoding(targets)
        else:
            inputs = check_inputs(self, x, reset=not continues)
            dense = inputs.toarray() if issparse(inputs) else inputs
            targets = dense.reshape(len(dense), -1)
            encoding = value_targets(targets)
        self._train(inputs, targets, sample_weight, given, None if continues else encoding)
        self._layer = CODE if is_default and self.layer is None else self.layer
        self._n_features_out = self._transformed(inputs[:1]).shape[1]
        return self

    def _transformed(self, inputs: Any) -> Array:
        outputs = self.model_.predict(inputs, verbose=0) if self._layer is None else None
        found = output_list(outputs_of_layer(self.model_, self._layer, inputs) if outputs is None else outputs)
        return np.concatenate([one.reshape(len(one), -1) for one in found], axis=1)

    def _encoding(self, y: Array) -> Targets:
        """Return the encoding of `y`: classes for text and bools, and for integers if the loss is up to the task."""
        are_labels = y.dtype.kind in "OUSb" or (y.dtype.kind in "iu" and self.module is not None and self.loss is None)
        return class_targets(y) if are_labels else value_targets(y)

    def _default_network(self, rows: Rows, targets: Targets, dtype: torch.dtype) -> tuple[Model, object]:
        x = Moments(rows.x, rows.weights)
        n_components = check_int("n_components", self.n_components)
        model = autoencoder(x, n_components, check_hidden(self.hidden), dtype)
        return model, StandardizedSquaredError(x.deviation.tolist())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if is_auto(self.dtype) else []
        return tags
