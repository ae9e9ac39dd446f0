"""Temperature scaling: probabilities that are as large as the accuracy, with one number fitted on validation rows."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kerastorch.callbacks.progress_bar import Verbose
from kerastorch.core.channel_tracking import known_channel_axes
from kerastorch.core.errors import check_int
from kerastorch.core.model_outputs import describe
from kerastorch.core.module_tree import is_built
from kerastorch.core.optional_dependency import require_package
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.arrays import is_array_like
from kerastorch.evaluation.calibration import Calibration
from kerastorch.evaluation.collect import CollectsOutputs, collecting
from kerastorch.evaluation.from_outputs import Outputs, check_finite_outputs
from kerastorch.evaluation.logits_model import LogitsModel, at_temperature, chain, without_activation
from kerastorch.evaluation.report_text import number
from kerastorch.evaluation.scaled_logits import ScaledLogits, best_factor, scaled_logits
from kerastorch.losses.base import Loss
from kerastorch.metrics.task import TaskSpec
from kerastorch.training.crossentropy_choice import choose_crossentropies
from kerastorch.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kerastorch.module.trainable_model import TrainableModel

_COPIED = ("loss", "metrics", "weighted_metrics", "precision", "prepare_batch")  # arguments of compile
_OF_MODEL = ("predict", "predict_on_batch", "predict_proba", "evaluate", "save", "export", "compile", "fit")
_QUESTIONS = ("sigmoid", "log_sigmoid")


@dataclass(frozen=True, eq=False)
class CalibrationScores:
    """How well probabilities agree with the targets.

    Attributes:
        log_loss: Mean negative logarithm of the probability of the targets.
        ece: The expected calibration error: mean distance between confidence and accuracy.
        accuracy: Fraction of targets that are predicted.
        calibration: Confidence and accuracy in bins.
    """

    log_loss: float
    ece: float
    accuracy: float
    calibration: Calibration

    @classmethod
    def of(cls, found: ScaledLogits, factor: float, n_bins: int) -> CalibrationScores:
        """Return the scores of logits that are multiplied by a factor."""
        bins = found.calibration(factor, n_bins)
        return cls(found.log_loss(factor), bins.ece, found.accuracy(factor), bins)


@dataclass(frozen=True, eq=False)
class TemperatureScaling:
    """The result of `temperature_scaling`.

    Attributes:
        model: Copy of the model whose logits are divided by the temperature. Its outputs are of the same kind as
            those of the original: probabilities if it ends in a softmax or sigmoid, else logits.
        temperature: Number that the logits are divided by; above 1 if the original is too confident.
        n: Number of targets that it was fitted to.
        before: Scores of the original model on these rows.
        after: Scores of the scaled model on the same rows.
    """

    model: TrainableModel
    temperature: float
    n: int
    before: CalibrationScores
    after: CalibrationScores

    def __str__(self) -> str:
        lines = [f"Temperature scaling: temperature {number(self.temperature)}, fitted to {self.n} targets", ""]
        lines.append(f"{'':12}{'before':>10}{'after':>10}")
        for label, name in (("log loss", "log_loss"), ("ECE", "ece"), ("accuracy", "accuracy")):
            values = (number(getattr(one, name)) for one in (self.before, self.after))
            lines.append(f"{label:12}" + "".join(f"{value:>10}" for value in values))
        return "\n".join(lines)

    __repr__ = __str__

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __getattr__(self, name: str) -> Any:
            advice = f" It is a method of the scaled model: result.model.{name}(...)." if name in _OF_MODEL else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.{advice}")

    def frame(self) -> Any:
        """Return the scores as a pandas DataFrame with the rows `before` and `after` (needs pandas)."""
        require_package("TemperatureScaling.frame", "pandas")
        import pandas as pd

        rows = {"before": self.before, "after": self.after}
        names = ("log_loss", "ece", "accuracy")
        return pd.DataFrame({name: {row: getattr(one, name) for row, one in rows.items()} for name in names})

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot accuracy over confidence before and after the scaling (needs matplotlib).

        Args:
            path: File for the picture, such as `"calibration.png"`. Default: none is written.

        Returns:
            The figure.

        Raises:
            ValueError: matplotlib cannot write files of this kind.
        """
        require_package("TemperatureScaling.plot", "matplotlib")
        from kerastorch.evaluation.temperature_plot import plot_calibrations

        titles = {"before": self.before, f"after, temperature {number(self.temperature)}": self.after}
        panels = [
            (f"{title}\nECE {number(one.ece)}, log loss {number(one.log_loss)}", one.calibration)
            for title, one in titles.items()
        ]
        return plot_calibrations(panels, path)


@public_api
def temperature_scaling(
    model: object,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Verbose = 0,
    sample_weight: Any = None,
    *,
    n_bins: int = 15,
    workers: int = 0,
) -> TemperatureScaling:
    """Fit a temperature to validation rows, and return a copy of a classifier that divides its logits by it.

    The temperature is the one with the smallest log loss (Guo et al. 2017). It changes how sure the model is, and
    never which class is the most probable, so that the accuracy stays the same. The model itself does not change.

    Use rows that the model was neither trained on nor is tested on: on its training rows a network is right more often
    than elsewhere, so that the temperature would be too small.

    Args:
        model: A classifier: its one output ends in a softmax or sigmoid, or is logits for its loss.
        x: Inputs, or data that yield them with their targets, as for `evaluate`.
        y: Targets: class numbers, one-hot rows, or zeros and ones; not given if `x` yields them.
        batch_size: As for `evaluate`.
        verbose: As for `evaluate`. Default 0: no progress bar.
        sample_weight: A weight for each row. Default: 1 each.
        n_bins: Number of bins of the expected calibration error. Default 15.
        workers: As for `evaluate`.

    Returns:
        The temperature, the scaled model and its scores. The model is compiled with the loss and the metrics of the
        original, so that it can be evaluated, saved and exported.

    Raises:
        TypeError: `model` is no model of kerastorch.
        ValueError: Outputs are not logits, nor made of logits by a last activation; the model has several outputs;
            all targets are predicted, or the logits say nothing about them, so that there is no best temperature.

    >>> import kerastorch as kt
    >>> from torch import nn
    >>> sure = kt.Model(nn.Identity())  # its logits are its inputs
    >>> found = temperature_scaling(sure, [[4.0, 0.0]] * 4, [0, 0, 0, 1])
    >>> round(found.temperature, 3)  # 3 of 4 are right: 1 / (1 + exp(-4 / T)) = 3 / 4
    3.641
    """
    if isinstance(model, CollectsOutputs):
        raise TypeError(
            "temperature_scaling takes one model, and the temperatures of the members are not that of their mean. "
            "Scale the mean: temperature_scaling(kt.Model(nn.Identity()), ensemble.predict(x), y) if the members "
            "return logits; numpy.log(ensemble.predict_proba(x)) in place of predict(x) if they end in a softmax."
        )
    if not isinstance(model, nn.Module) or not hasattr(model, "_trainer"):
        raise TypeError(
            "model must be a model of kerastorch, such as kt.Model(module), or the model_ of a fitted estimator, got "
            f"{type(model).__name__}."
        )
    check_int("n_bins", n_bins, 1)
    trainer: Trainer | None = vars(model).get("_trainer")
    _check_arguments(model, x, y)
    logits = without_activation(model)
    loss = None if trainer is None else trainer.compiled_loss.metric_inputs.loss_of("")
    groups, input_specs = _collect(logits, trainer, (x, y, batch_size, verbose, sample_weight), workers)
    spec = _task(groups[0], loss, logits, known_channel_axes(model).get(""))
    found = scaled_logits(groups, spec)
    factor = best_factor(found)
    scaled = at_temperature(logits, 1 / factor, spec.class_axis, groups[0].y_pred[:1])
    if trainer is not None:
        scaled.compile(**_compile_arguments(trainer))
        scaled.trainer.state.record_inputs(input_specs)
    before, after = (CalibrationScores.of(found, one, n_bins) for one in (1.0, factor))
    return TemperatureScaling(scaled, 1 / factor, found.n_places, before, after)


def _check_arguments(model: nn.Module, x: Any, y: Any) -> None:
    """Check that a model has weights, and that there are targets.

    Raises:
        ValueError: They are missing.
    """
    if not is_built(model) and next(model.parameters(), None) is None:
        raise ValueError("temperature_scaling needs a trained model, and this one has no weights yet.")
    if y is None and is_array_like(x):
        raise ValueError("temperature_scaling needs targets: temperature_scaling(model, x, y), got y=None.")


def _collect(
    logits: LogitsModel, trainer: Trainer | None, arguments: tuple[Any, ...], workers: int
) -> tuple[list[Outputs], Any]:
    """Return logits, targets and weights of all rows, and the shapes of the inputs.

    Args:
        logits: The model without its last activation.
        trainer: Parts of the original model, if it is compiled.
        arguments: First arguments of `evaluate`.
        workers: As for `evaluate`.

    Raises:
        ValueError: There are several outputs; logits are NaN or infinite.
    """
    model = chain([logits.module])
    given = {} if trainer is None else {name: trainer.compile_args.get(name) for name in ("precision", "prepare_batch")}
    model.compile(loss=_NoLoss(), **given)
    handle = logits.module.register_forward_hook(_check_output)
    try:
        with collecting(model.trainer) as collected:
            model.evaluate(*arguments, workers=workers)
    finally:
        handle.remove()
    groups = collected[""].groups()
    check_finite_outputs(groups)
    return groups, model.trainer.state.input_specs


def _check_output(module: nn.Module, arguments: Any, output: Any) -> None:  # noqa: ARG001
    """Check, as a forward hook, that a model returns one tensor.

    Raises:
        ValueError: It returns something else.
    """
    if not isinstance(output, Tensor):
        raise ValueError(
            f"temperature_scaling needs a model with one output, a tensor, got {describe(output)}. Pass one that "
            "returns only logits."
        )


class _NoLoss(nn.Module):
    """A loss of 0, for an evaluation that only collects outputs."""

    reduction = "mean"  # "none" in an evaluation with sample weights

    def forward(self, outputs: Tensor, target: Any) -> Tensor:
        """Return 0, or 0 for each row."""
        return outputs.new_zeros(len(outputs) if self.reduction == "none" else ())


def _task(first: Outputs, loss: Loss | None, logits: LogitsModel, channel_axis: int | None) -> TaskSpec:
    """Return whether logits are of classes or of yes-or-no questions, and their axis.

    Raises:
        ValueError: The outputs are probabilities, or no logits.
    """
    ends_in = None if logits.last is None else logits.last.kind
    spec = TaskSpec.of(loss, first.y_pred, first.y_true, True, ends_in, channel_axis)
    predicts_values = ends_in is None and loss is not None and loss.task == "regression"
    if spec.kind == "regression" or spec.margins or predicts_values:
        named = "without a loss" if loss is None else f"with loss {loss.name!r}"
        raise ValueError(f"temperature_scaling needs logits of a classifier, and this model {named} has none.")
    if ends_in in _QUESTIONS and spec.kind == "multiclass":
        raise ValueError("temperature_scaling: the model ends in a sigmoid, and its targets are classes of a softmax.")
    takes_probabilities = loss is not None and bool(loss.task) and not loss.from_logits
    if ends_in is None and (takes_probabilities or _are_probabilities(first.y_pred, spec)):
        raise ValueError(
            "temperature_scaling needs logits, and the outputs are probabilities that the forward of the model "
            "computes itself. Let it return logits, or let the model end in a layer such as nn.Softmax(-1), as in "
            "nn.Sequential(net, nn.Softmax(-1))."
        )
    return spec


def _are_probabilities(y_pred: Tensor, spec: TaskSpec) -> bool:
    """Return whether all outputs are in [0, 1], and those of classes have a sum of 1."""
    if not len(y_pred) or bool(y_pred.min() < 0) or bool(y_pred.max() > 1):
        return False
    return spec.kind != "multiclass" or bool((y_pred.sum(spec.class_axis) - 1).abs().max() < 1e-3)


def _compile_arguments(trainer: Trainer) -> dict[str, Any]:
    """Return copies of the arguments of `compile` that evaluation uses; those by output are of the only output."""
    arguments = {name: copy.deepcopy(trainer.compile_args.get(name)) for name in _COPIED}
    names = trainer.compiled_loss.outputs.names
    arguments["loss"] = choose_crossentropies(trainer.model, arguments["loss"], names)
    return {
        name: next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value
        for name, value in arguments.items()
    }
