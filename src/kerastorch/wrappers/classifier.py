"""SKLearnClassifier: a network as a classifier of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import column_or_1d

from kerastorch.model import Model
from kerastorch.wrappers.default_networks import Moments, check_hidden, classifier_network
from kerastorch.wrappers.estimator import NetworkEstimator
from kerastorch.wrappers.inputs import check_inputs_and_targets
from kerastorch.wrappers.targets import Array, Targets, class_targets
from kerastorch.wrappers.training_rows import Rows


class SKLearnClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network as a classifier of scikit-learn.

    Without `model` and `module` it is a network of dense layers that standardizes its features.

    Args:
        model: A model of kerastorch or a module, which each `fit` copies, compiled or not; or a function
            `build_fn(X, y, **model_kwargs)` that returns one, where `y` has one-hot rows. Default: none.
        warm_start: Whether `fit` trains the network of the last `fit` further. Default `False`: a new one.
        model_kwargs: Further arguments of the function, which grids reach as `model_kwargs__name`.
        fit_kwargs: Arguments of `Model.fit`, which grids reach as `fit_kwargs__name`; those given to `fit` itself count
            first.
        module: The class of an `nn.Module` whose outputs are logits, one column for each class; one column is enough
            for two classes. A parameter of its `__init__` called `n_features`, `in_features` or alike is filled with
            the number of features, one called `n_classes`, `n_outputs`, `out_features` or alike with that of the
            classes. Default: none.
        hidden: Units of each hidden layer of the default network. Default `(100,)`.
        optimizer: A name, class or settings of an optimizer, for networks that are not compiled. Default: Adam.
        loss: A loss, for networks that are not compiled. Default: the crossentropy that fits.
        learning_rate: Learning rate of the optimizer. Default: 0.01 for the default network, else the optimizer's own.
        metrics: Metrics that `history_` logs. Default: none.
        class_weight: Label -> weight, or `"balanced"`: inversely proportional to the weight of the rows of a class. For
            several columns of labels also a list of these. Default: 1 each.
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
        classes_: The classes in ascending order; a list of such arrays for several columns of labels.
        model_: The fitted model.
        history_: The history of the last fit.
        loss_curve_: The loss of each epoch since the network was made.
        n_iter_: The number of these epochs.
        n_features_in_: Number of features.
        feature_names_in_: Names of the features, if `X` is a DataFrame.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = cross_val_score(SKLearnClassifier(epochs=40, random_state=0), X, y, cv=3)
    >>> bool(scores.mean() > 0.9)
    True
    """

    def __init__(
        self,
        model: Model | torch.nn.Module | Callable[..., torch.nn.Module] | None = None,
        warm_start: bool = False,
        model_kwargs: Mapping[str, object] | None = None,
        fit_kwargs: Mapping[str, object] | None = None,
        *,
        module: type[torch.nn.Module] | Callable[..., torch.nn.Module] | None = None,
        hidden: tuple[int, ...] | int = (100,),
        optimizer: object = None,
        loss: object = None,
        learning_rate: float | None = None,
        metrics: object = None,
        class_weight: object = None,
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
        self.class_weight = class_weight

    @property
    def classes_(self) -> Any:
        """The classes in ascending order; a list of such arrays for several columns of labels."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError("classes_ exists after fit().")
        targets = self._plan.targets
        if targets.kind == "labels":
            return np.arange(targets.n_columns)
        return targets.classes[0] if targets.kind == "classes" else list(targets.classes)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_arguments: Any) -> Self:  # noqa: N803
        """Train a network, a new one unless `warm_start`.

        Args:
            X: Inputs of shape `(rows, features)`: an array, DataFrame, sparse array or list; for a module of images
                also `(rows, ...)`.
            y: Labels of any kind, shape `(rows,)`; or `(rows, columns)`: zeros and ones, of which a row may have
                several ones, else a class for each column.
            sample_weight: A weight >= 0 for each row: 2 counts as the row twice, 0 as if it were not there. Default: 1
                each.
            **fit_arguments: Arguments of `Model.fit`, such as `epochs` and `validation_data=(X, y)`.

        Returns:
            The estimator.

        Raises:
            ValueError: Data or parameters are invalid, `y` has one class alone, or the network does not fit them.
            TypeError: `Model.fit` has no argument of a name.
        """
        continues = self._continues()
        x, labels = check_inputs_and_targets(self, X, y, reset=not continues)
        labels = _column(labels)
        return self._train(x, labels, sample_weight, fit_arguments, None if continues else class_targets(labels))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train the network for one epoch; a new one at the first call.

        Args:
            X: Inputs, as for `fit`.
            y: Labels, as for `fit`.
            classes: All classes that any call gets; needed in the first call.
            sample_weight: A weight for each row, as for `fit`.

        Returns:
            The estimator.

        Raises:
            ValueError: `classes` is missing in the first call, or differs from that of the first call.
        """
        continues = self.__sklearn_is_fitted__()
        x, labels = check_inputs_and_targets(self, X, y, reset=not continues)
        labels = _column(labels)
        if not continues and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit: all labels of all calls.")
        if continues and classes is not None and not _are_same(class_targets(labels, classes), self._plan.targets):
            raise ValueError(f"classes={classes!r} differs from the classes of the first call, {self.classes_!r}.")
        encoding = None if continues else class_targets(labels, classes)
        return self._train(x, labels, sample_weight, {"epochs": 1}, encoding, all_classes=True)

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most probable class of each row, shape `(rows,)`; for several columns `(rows, columns)`.

        Args:
            X: Inputs, as for `fit`.
        """
        return self._predicted(X)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the probabilities of the classes, shape `(rows, classes)`, in the order of `classes_`.

        For columns of zeros and ones, the probability of each one; for several columns of classes, a list of arrays.

        Args:
            X: Inputs, as for `fit`.
        """
        outputs = self._outputs(X)
        found = self._plan.probabilities(outputs)
        return found if self._plan.targets.kind == "several" else found[0]

    def predict_log_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the logarithms of what `predict_proba` returns.

        Args:
            X: Inputs, as for `fit`.
        """
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(one) for one in found] if isinstance(found, list) else np.log(found)

    def decision_function(self, X: Any) -> Any:  # noqa: N803
        """Return the logits of the classes, shape `(rows, classes)`; for two classes that of the second, `(rows,)`.

        For columns of zeros and ones, the logit of each one; for several columns of classes, a list of arrays.

        Args:
            X: Inputs, as for `fit`.
        """
        outputs = self._outputs(X)
        found = self._plan.scores(outputs)
        return found if self._plan.targets.kind == "several" else found[0]

    def _class_weight(self, given: dict[str, Any]) -> Any:
        of_fit = super()._class_weight(given)
        return self.class_weight if of_fit is None else of_fit

    def _default_network(self, rows: Rows, targets: Targets, dtype: torch.dtype) -> tuple[Model, object]:
        widths = [1 if targets.kind != "labels" and width == 2 else width for width in targets.widths]
        model = classifier_network(Moments(rows.x, rows.weights), widths, check_hidden(self.hidden), dtype)
        return model, None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.poor_score = self.model is not None  # how well a user's model learns is unknown
        return tags


def _column(labels: Array) -> Array:
    """Return labels `(rows, 1)` as `(rows,)`, with scikit-learn's warning; others as they are."""
    return column_or_1d(labels, warn=True) if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _are_same(first: Targets, second: Targets) -> bool:
    pairs = zip(first.classes, second.classes, strict=False)
    return first.kind == second.kind and all(np.array_equal(one, other) for one, other in pairs)
