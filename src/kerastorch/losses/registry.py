"""Lookup of losses by name, and conversion of classes, functions and torch modules to a `Loss`."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from torch import nn

from kerastorch.core.name_lookup import advice_by_name, look_up, spellings
from kerastorch.losses import circle_loss, classification, crossentropy, ctc_loss, focal, functions, overlap, regression
from kerastorch.losses.base import Loss
from kerastorch.losses.torch_losses import FUNCTIONS, MODULES, TorchLoss, wrap

_NAMES: dict[str, Any] = MODULES | FUNCTIONS
for _file in (regression, classification, focal, overlap, circle_loss, ctc_loss):
    _NAMES |= _file.table()
NAMES = tuple(_NAMES)
_KNOWN = _NAMES | dict.fromkeys(crossentropy.NAMES)  # `compile` chooses a loss for the latter

_PROBABILITIES_OR_LOGITS = (
    "After a softmax it is 'sparse_categorical_crossentropy' ('categorical_crossentropy' if y is one-hot), after a "
    "sigmoid 'binary_crossentropy', for logits 'cross_entropy'."
)
_ADVICE = advice_by_name({  # for names that users try
    f"{_PROBABILITIES_OR_LOGITS} compile(loss='crossentropy') chooses by the last layer.":
        "softmax_crossentropy softmax_cross_entropy log_loss logloss logistic logistic_loss",
    "Its name is 'sparse_categorical_crossentropy'.": "sparse sparse_crossentropy sparse_cross_entropy",
    "Its name is 'categorical_crossentropy'.": "categorical",
    "Its name is 'binary_crossentropy'.": "binary",
    "After a sigmoid it is 'binary_focal_crossentropy', after a softmax 'categorical_focal_crossentropy'.":
        "focal focal_loss focal_crossentropy",
    "Its name is 'dice'.": "dice_loss dice_coefficient dice_score f1_loss",
    "Its name is 'tversky'.": "tversky_loss",
    "Its name is 'circle'.": "circle_loss",
    "Its name is 'ctc'; it takes logits (batch, steps, classes), and labels padded with 0.": "ctc_loss",
    "Its name is 'categorical_generalized_cross_entropy'.":
        "generalized_cross_entropy categorical_generalized_crossentropy generalized_crossentropy gce",
    "Its name is 'cosine_similarity'.": "cosine",
    "Its name is 'mse'.": "quadratic euclidean least_squares squared_error",
    "'nll_loss' takes log-probabilities, after a log_softmax.": "nll negative_log_likelihood",
    "Take 'mse', which has the same minimum, and metrics=['rmse'].": "rmse root_mean_squared_error",
    "Take 'mse', the mean of the squares, or losses.MeanSquaredError(reduction='sum').":
        "sse rss sum_of_squares sum_squared_error",
    "It is for compile(loss='model') alone: the loss that the model returns itself.": "model",
    "It is a metric, compile(metrics=[...]), and has no gradient.": "accuracy acc precision recall f1 f1_score auc",
})  # fmt: skip


def is_name(name: str) -> bool:
    """Return whether `get` knows a name."""
    return any(spelling in _KNOWN for spelling in spellings(name))


def get(identifier: Any) -> Loss:
    """Return the loss for a name, class, instance, partial or callable.

    Keras' names mean what Keras means (`'sparse_categorical_crossentropy'` expects probabilities), torch's names mean
    what torch means (`'cross_entropy'` expects logits). `'l1'` is the mean absolute error, `'l2'` the mean squared
    error. `'ce'` and `'crossentropy'` mean nothing without a model: `compile` chooses for them.

    Raises:
        ValueError: The name is unknown, or depends on the model.
        TypeError: The class requires arguments, or the identifier is none of these.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("crossentropi")
    Traceback (most recent call last):
    ValueError: Unknown loss 'crossentropi'. Did you mean 'crossentropy'? Known: ...
    """
    given = identifier = _class_of(identifier)
    name = None
    if isinstance(identifier, str):
        name, identifier = identifier, look_up("loss", identifier, _KNOWN, _ADVICE)
        if identifier is None:
            raise ValueError(f"{name!r} depends on what the model ends in. {_PROBABILITIES_OR_LOGITS}")
    if isinstance(identifier, type) or (
        isinstance(identifier, functools.partial) and isinstance(identifier.func, type)
    ):
        try:
            identifier = identifier()
        except TypeError as error:
            raise TypeError(f"loss: {given!r} needs arguments; pass an instance. {error}") from error
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, nn.Module) and name is not None:
        return TorchLoss(identifier, name, ignores=False)
    if not callable(identifier):
        raise TypeError(f"A loss is a name, a class, an instance or a callable, got {given!r}.")
    return wrap(identifier)


def _class_of(identifier: Any) -> Any:
    """Return the class for a function of `kerastorch.losses`, with the arguments of a partial; else the identifier."""
    is_partial = isinstance(identifier, functools.partial) and not identifier.args
    function = identifier.func if is_partial else identifier
    found = functions.CLASSES.get(function) if isinstance(function, FunctionType) else None
    if found is None:
        return identifier
    return functools.partial(found, **identifier.keywords) if is_partial else found
