"""Losses: what `compile` is given, and what it means, as a formula in plain torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import kerastorch as kt


@dataclass(frozen=True)
class Meaning:
    """What a loss means.

    Attributes:
        give: makes what `compile` is given.
        values: `(y, outputs)` -> one value for each element, sample or place; a scalar if only that has a meaning. `y`
            has the outputs' shape and dtype; for `'classes'` it holds class numbers, int64, without axis 1.
        tasks: of the outputs that it fits.
        ends: of the models that it fits.
        takes: the targets of classes that it takes: `'numbers'`, `'one-hot'`, or `'both'`.
        reduce: `'mean'`, `'sum'` or `'weighted mean'`, divided by the sum of the sample weights.
        counts: `y` -> what each of `values` counts in the mean, if not 1.
        empty_is_nan: where nothing counts it is 0 / 0, as in torch, and not 0.
        plain_scalar: without sample weights it must be a scalar: a function in torch's order.
        ignored: a class number that counts nothing, in metrics neither.
        tells: says whether outputs are probabilities, logits or values.
        labels: of yes-or-no questions.
    """

    give: Callable[[], Any]
    values: Callable[[Tensor, Tensor], Tensor]
    tasks: tuple[str, ...]
    ends: tuple[str, ...]
    takes: str = "numbers"
    reduce: str = "mean"
    counts: Callable[[Tensor], Tensor] | None = None
    empty_is_nan: bool = False
    plain_scalar: bool = False
    ignored: int | None = None
    tells: str | None = None
    labels: tuple[int, int] = (0, 1)


def each(function: Callable[..., Tensor], **settings: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """One value for each element of a loss function of torch."""
    return lambda y, out: function(out, y, reduction="none", **settings)


# --- functions and a class of a user's own -----------------------------------------------------------------------


def keras_rows(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (y_true - y_pred).pow(2).reshape(len(y_true), -1).sum(1)


def keras_elements(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (1 - y_true + y_pred).pow(2)


def keras_root(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return (y_true - y_pred).pow(2).mean().add(0.01).sqrt()


def torch_scalar(logits: Tensor, target: Tensor) -> Tensor:
    return (logits - 2 * target).pow(2).mean()


def torch_rows(output: Tensor, target: Tensor) -> Tensor:
    return (output - 2 * target).pow(2).reshape(len(target), -1).sum(1)


def smooth_focal(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = torch.log_softmax(logits, 1).gather(1, labels.unsqueeze(1)).squeeze(1)
    return -((1 - log_p.exp()).pow(2) * log_p).mean()


def labelled_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return F.cross_entropy(y_pred, y_true, reduction="none")


class Quartic(kt.losses.Loss):
    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return (y_true - y_pred).pow(4).reshape(len(y_true), -1).mean(1)


# --- formulas -------------------------------------------------------------------------------------------------------


def quartic(y: Tensor, out: Tensor) -> Tensor:
    return (y - out).pow(4).reshape(len(y), -1).mean(1)


def log_cosh(y: Tensor, out: Tensor) -> Tensor:
    return torch.cosh(out - y).log()


def percentage(y: Tensor, out: Tensor) -> Tensor:
    return 100 * (y - out).abs() / y.abs().clamp(min=1e-7)


def logarithmic(y: Tensor, out: Tensor) -> Tensor:
    return (torch.log1p(out.clamp(min=1e-7)) - torch.log1p(y.clamp(min=1e-7))).pow(2)


def minus_cosine(y: Tensor, out: Tensor) -> Tensor:
    return -F.cosine_similarity(y, out, dim=-1)


def margin(y: Tensor, out: Tensor) -> Tensor:
    return (1 - (2 * y - 1) * out).clamp(min=0)


def signed_margin(y: Tensor, out: Tensor) -> Tensor:
    return (1 - y * out).clamp(min=0)


def surprise(y: Tensor, out: Tensor) -> Tensor:
    """Of probabilities on axis 1."""
    return -out.gather(1, y.unsqueeze(1)).squeeze(1).log()


def one_hot(y: Tensor, out: Tensor) -> Tensor:
    return F.one_hot(y, out.shape[1]).movedim(-1, 1).to(out.dtype)


def smoothed_surprise(y: Tensor, out: Tensor) -> Tensor:
    return -((0.9 * one_hot(y, out) + 0.1 / out.shape[1]) * out.log()).sum(1)


def smoothed_binary(y: Tensor, out: Tensor) -> Tensor:
    return F.binary_cross_entropy(out, 0.8 * y + 0.1, reduction="none")


def categorical_margin(y: Tensor, out: Tensor) -> Tensor:
    hot = one_hot(y, out)
    return (((1 - hot) * out).amax(1) - (hot * out).sum(1) + 1).clamp(min=0)


def without_zero(y: Tensor) -> Tensor:
    return (y != 0).double()


CLASS_WEIGHTS = (0.5, 1.5, 2.0, 0.25)


def weights_of(y: Tensor) -> Tensor:
    return torch.tensor(CLASS_WEIGHTS, dtype=torch.float64)[y]


def weighted_crossentropy(y: Tensor, out: Tensor) -> Tensor:
    return F.cross_entropy(out, y, reduction="none") * weights_of(y).to(out.dtype)


def _module(kind: Any, **settings: Any) -> Callable[[], Any]:
    return lambda: kind(**settings)


def _values(give: Any, values: Any, **more: Any) -> Meaning:
    return Meaning(lambda: give, values, ("values",), ("linear",), tells="values", **more)


def _binary(give: Any, values: Any, end: str, tells: str | None, **more: Any) -> Meaning:
    return Meaning(give if callable(give) else lambda: give, values, ("binary",), (end,), tells=tells, **more)


def _classes(give: Any, values: Any, end: str, takes: str = "numbers", **more: Any) -> Meaning:
    return Meaning(give if callable(give) else lambda: give, values, ("classes",), (end,), takes, **more)


CE, BCE, BCE_LOGITS = F.cross_entropy, F.binary_cross_entropy, F.binary_cross_entropy_with_logits
_L = kt.losses
LOSSES: dict[str, Meaning] = {
    # values, Keras' names
    "mse": _values("mse", each(F.mse_loss)),
    "mae": _values("mae", each(F.l1_loss)),
    "huber": _values("huber", each(F.huber_loss)),
    "log_cosh": _values("log_cosh", log_cosh),
    "mape": _values("mape", percentage),
    "msle": _values("mean_squared_logarithmic_error", logarithmic),
    "cosine_similarity": _values("cosine_similarity", minus_cosine),
    "MeanSquaredError(sum)": _values(_L.MeanSquaredError(reduction="sum"), lambda y, out: (y - out).pow(2).mean(-1)
                                     if out.ndim > 1 else (y - out).pow(2), reduce="sum"),
    "MeanAbsoluteError(weighted mean)": _values(_L.MeanAbsoluteError(reduction="mean_with_sample_weight"),
                                                each(F.l1_loss), reduce="weighted mean"),
    "Huber(0.5)": _values(_L.Huber(delta=0.5), each(F.huber_loss, delta=0.5)),
    # values, torch's
    "mse_loss": _values("mse_loss", each(F.mse_loss)),
    "l1_loss": _values("l1_loss", each(F.l1_loss)),
    "smooth_l1": _values("smooth_l1", each(F.smooth_l1_loss)),
    "F.mse_loss": _values(F.mse_loss, each(F.mse_loss)),
    "F.huber_loss": _values(F.huber_loss, each(F.huber_loss)),
    "partial(F.smooth_l1_loss)": _values(functools.partial(F.smooth_l1_loss, beta=0.5),
                                         each(F.smooth_l1_loss, beta=0.5)),
    "nn.MSELoss()": _values(nn.MSELoss(), each(F.mse_loss)),
    "nn.MSELoss": _values(nn.MSELoss, each(F.mse_loss)),
    "nn.MSELoss(sum)": _values(nn.MSELoss(reduction="sum"), each(F.mse_loss), reduce="sum"),
    "nn.SmoothL1Loss(0.5)": _values(nn.SmoothL1Loss(beta=0.5), each(F.smooth_l1_loss, beta=0.5)),
    # values, a user's own
    "keras_rows": _values(keras_rows, keras_rows),
    "keras_elements": _values(keras_elements, keras_elements),
    "keras_root": _values(keras_root, keras_root),
    "torch_scalar": _values(torch_scalar, lambda y, out: torch_scalar(out, y)),
    "torch_rows": _values(torch_rows, lambda y, out: torch_rows(out, y), plain_scalar=True),
    "Quartic": _values(Quartic(), quartic),
    # yes-or-no questions
    "binary_crossentropy": _binary("binary_crossentropy", each(BCE), "sigmoid", "probability"),
    "BinaryCrossentropy(smooth)": _binary(_module(_L.BinaryCrossentropy, label_smoothing=0.2), smoothed_binary,
                                          "sigmoid", "probability"),
    "bce": _binary("bce", each(BCE), "sigmoid", "probability"),
    "nn.BCELoss()": _binary(_module(nn.BCELoss), each(BCE), "sigmoid", "probability"),
    "F.binary_cross_entropy": _binary(lambda: BCE, each(BCE), "sigmoid", "probability"),
    "mse of probabilities": _binary("mse", each(F.mse_loss), "sigmoid", "probability"),
    "mse of yes or no": _binary("mse", each(F.mse_loss), "linear", "half"),
    "keras_elements of probabilities": _binary(lambda: keras_elements, keras_elements, "sigmoid", None),
    "bce_with_logits": _binary("bce_with_logits", each(BCE_LOGITS), "linear", "logit"),
    "nn.BCEWithLogitsLoss()": _binary(_module(nn.BCEWithLogitsLoss), each(BCE_LOGITS), "linear", "logit"),
    "nn.BCEWithLogitsLoss(2)": _binary(
        _module(nn.BCEWithLogitsLoss, pos_weight=torch.tensor([2.0])),
        lambda y, out: BCE_LOGITS(out, y, reduction="none", pos_weight=torch.tensor([2.0], dtype=out.dtype)),
        "linear", "logit"),
    "F.binary_cross_entropy_with_logits": _binary(lambda: BCE_LOGITS, each(BCE_LOGITS), "linear", "logit"),
    "BinaryCrossentropy(logits)": _binary(_module(_L.BinaryCrossentropy, from_logits=True), each(BCE_LOGITS),
                                          "linear", "logit"),
    "hinge": _binary("hinge", margin, "linear", "logit"),
    "signed hinge": _binary("hinge", signed_margin, "linear", "logit", labels=(-1, 1)),
    "soft_margin_loss": _binary("soft_margin_loss", each(F.soft_margin_loss), "linear", "logit", labels=(-1, 1)),
    # classes
    "sparse_categorical_crossentropy": _classes("sparse_categorical_crossentropy", surprise, "softmax"),
    "SparseCategoricalCrossentropy(ignore)": _classes(
        _module(_L.SparseCategoricalCrossentropy, ignore_class=0), lambda y, out: surprise(y, out) * (y != 0),
        "softmax", counts=without_zero, ignored=0),
    "categorical_crossentropy": _classes("categorical_crossentropy", surprise, "softmax", "one-hot"),
    "CategoricalCrossentropy(smooth)": _classes(_module(_L.CategoricalCrossentropy, label_smoothing=0.1),
                                                smoothed_surprise, "softmax", "one-hot"),
    "nll_loss": _classes("nll_loss", each(F.nll_loss), "log_softmax"),
    "nn.NLLLoss()": _classes(_module(nn.NLLLoss), each(F.nll_loss), "log_softmax"),
    "cross_entropy": _classes("cross_entropy", each(CE), "linear", "both"),
    "nn.CrossEntropyLoss()": _classes(_module(nn.CrossEntropyLoss), each(CE), "linear", "both"),
    "nn.CrossEntropyLoss(smooth)": _classes(_module(nn.CrossEntropyLoss, label_smoothing=0.1),
                                            each(CE, label_smoothing=0.1), "linear", "both"),
    "nn.CrossEntropyLoss(sum)": _classes(_module(nn.CrossEntropyLoss, reduction="sum"), each(CE), "linear", "both",
                                         reduce="sum"),
    "nn.CrossEntropyLoss(ignore)": _classes(_module(nn.CrossEntropyLoss, ignore_index=0), each(CE, ignore_index=0),
                                            "linear", counts=without_zero, ignored=0, empty_is_nan=True),
    "nn.CrossEntropyLoss(weight)": _classes(None, weighted_crossentropy, "linear", counts=weights_of),
    "F.cross_entropy": _classes(lambda: CE, each(CE), "linear", "both"),
    "partial(F.cross_entropy)": _classes(lambda: functools.partial(CE, label_smoothing=0.1),
                                         each(CE, label_smoothing=0.1), "linear", "both"),
    "SparseCategoricalCrossentropy(logits)": _classes(_module(_L.SparseCategoricalCrossentropy, from_logits=True),
                                                      each(CE), "linear"),
    "CategoricalCrossentropy(logits)": _classes(_module(_L.CategoricalCrossentropy, from_logits=True), each(CE),
                                                "linear", "one-hot"),
    "categorical_hinge": _classes("categorical_hinge", categorical_margin, "linear", "one-hot"),
    "smooth_focal": _classes(lambda: smooth_focal, lambda y, out: smooth_focal(out, y), "linear"),
    "labelled_crossentropy": _classes(lambda: labelled_crossentropy, each(CE), "linear"),
}  # fmt: skip


def given(name: str, classes: int, dtype: torch.dtype) -> object:
    """What `compile` is given for a loss of outputs of a dtype."""
    if name == "nn.CrossEntropyLoss(weight)":
        return nn.CrossEntropyLoss(weight=torch.tensor(CLASS_WEIGHTS[:classes], dtype=dtype))
    return LOSSES[name].give()
