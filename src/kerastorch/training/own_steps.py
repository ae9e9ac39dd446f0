"""Steps that a user's model defines: the structure of their data, the logs they return, and their errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.call_mode import called_by_hand
from kerastorch.core.module_tree import modules
from kerastorch.core.ownership import is_own
from kerastorch.core.signatures import parameters_of
from kerastorch.data.batches import Batch
from kerastorch.data.data_tuples import pack_x_y_sample_weight
from kerastorch.training.metric_results import CompiledResult, LossResult, MetricResult, OwnResult, flattened
from kerastorch.training.own_metrics import MetricUses, find_metrics, is_metric, name_of
from kerastorch.training.step_output import StepContext, StepOutput

Step = Callable[[Batch], Mapping[str, Any] | StepOutput]


class Steps(Protocol):
    """What a step of the user's needs of the trainer."""

    @property
    def model(self) -> Any:
        """The model."""

    @property
    def context(self) -> StepContext:
        """What the steps of the running pass work with."""

    @property
    def metrics(self) -> Mapping[str, Sequence[Any]]:
        """The metrics of `compile` by output."""

    @property
    def compile_args(self) -> Mapping[str, Any]:
        """The arguments of `compile`."""


def step_of(trainer: Steps, name: str) -> Step:
    """Return `train_step` or `test_step` of a model as a function of a batch; the default one is returned as it is.

    Args:
        trainer: Holds the model and the context of the running pass.
        name: `'train_step'` or `'test_step'`.
    """
    model = trainer.model
    step: Step = getattr(model, name)
    metrics = own_metrics(trainer)
    if not metrics and _is_default(step, name) and _is_default(model.compute_metrics, "compute_metrics"):
        return step
    return OwnStep(trainer, step, name, metrics)


def predict_step_of(trainer: Steps) -> Callable[[Any], Any]:
    """Return `predict_step` of a model as a function of the inputs."""
    step: Callable[[Any], Any] = trainer.model.predict_step
    if not takes_data(step):
        return step

    def predict_step(x: Any) -> Any:
        try:
            return step(pack_x_y_sample_weight(x))
        except Exception as error:
            _raise_with_advice(error, step, "predict_step", x)

    return predict_step


def own_metrics(trainer: Steps) -> list[Any]:
    """Return the metric objects of the model that `compile` was not given."""
    model = trainer.model
    if _overrides_metrics(type(model)):
        listed = [one for one in model.metrics if is_metric(one)]
        return [one for one in listed if not isinstance(one, (LossTracker, CompiledMetrics))]
    return find_metrics(model, trainer.compile_args.get("metrics"))


def _is_default(method: Callable[..., Any], name: str) -> bool:
    """Return whether a method is that of `StepMixin`, which is defined above this file."""
    return is_own(method) and getattr(method, "__qualname__", "") == f"StepMixin.{name}"


def _overrides_metrics(kind: type) -> bool:
    return next(part for part in kind.__mro__ if "metrics" in vars(part)).__name__ != "StepMixin"


def takes_data(step: Callable[..., Any]) -> bool:
    """Return whether the first parameter of a step is called `data`: it gets the structure of the data, as in Keras."""
    try:
        return next(iter(parameters_of(step)), None) == "data"
    except (TypeError, ValueError):
        return False


class OwnStep:
    """A step of the user's as the loop calls it: with a batch, for a `StepOutput`.

    Args:
        trainer: Holds the model and the context of the running pass.
        step: The method of the model.
        name: Its name.
        metrics: Metric objects that the model holds.
    """

    def __init__(self, trainer: Steps, step: Step, name: str, metrics: Sequence[Any]) -> None:
        self._trainer, self._step, self._name, self._metrics = trainer, step, name, metrics
        self._takes_data = takes_data(step)
        self._uses = MetricUses(metrics)
        self._results = self._make_results()

    def __call__(self, batch: Batch) -> StepOutput:
        context = self._trainer.context
        context.begin_own_step(batch.x, self._results)
        try:
            with self._uses.watched(), _without_autocast_cache(), self._by_hand():
                logs: Any = self._step(pack_x_y_sample_weight(*batch) if self._takes_data else batch)
        except Exception as error:
            _raise_with_advice(error, self._step, self._name, batch)
        finally:
            context.end_own_step()
        return self._output(context, logs)

    def _by_hand(self) -> AbstractContextManager[None]:
        """Let calls in the step evaluate unless they say `training=True`, if the model is called as in Keras."""
        model = self._trainer.model
        return called_by_hand(modules(model)) if model._called_as_keras else nullcontext()

    def _make_results(self) -> dict[str, MetricResult]:
        """Return the values that `compute_metrics` returns in the running pass, by name; nothing is computed yet."""
        trainer = self._trainer
        results: dict[str, MetricResult] = {"loss": LossResult("loss", lambda: trainer.context.mean("loss"))}
        for output, metrics in trainer.metrics.items():
            for metric in metrics:
                name = f"{output}_{metric.name}" if output else metric.name
                results[name] = CompiledResult(name, partial(_read_metric, trainer, name))
        for metric in self._metrics:
            name = name_of(metric)
            results[name] = OwnResult(name, metric, partial(self._uses.is_updated, metric))
        return results

    def _output(self, context: StepContext, logs: Any) -> StepOutput:
        """Return the logs of a step as the loop takes them: numbers to average; results are given to the metrics."""
        _check_logs(logs, self._name)
        numbers: dict[str, Any] = {}
        results: dict[str, Any] = {}
        for name, value in flattened(logs).items():
            own = self._results.get(name)
            if isinstance(value, LossResult):
                numbers.update(context.loss_logs())
            elif isinstance(value, CompiledResult):
                if value.name != name:
                    results[name] = value
            elif isinstance(value, OwnResult):
                if value.is_updated():
                    results[name] = value
            elif (source := self._uses.source_of(value)) is not None:
                results[name] = OwnResult(name, source, partial(self._uses.is_updated, source), value)
            elif isinstance(own, OwnResult) and own.is_updated():
                results[name] = own
            else:
                _check_number(name, value, self._name)
                numbers[name] = value
        self._check_names(context, numbers)
        if results:
            context.metrics.set_results(results)
        weights = context.loss_weights if "loss" in numbers else {}
        output = context.take_output(numbers)
        return output._replace(weights={**output.weights, **weights}) if weights else output

    def _check_names(self, context: StepContext, numbers: Mapping[str, Any]) -> None:
        """Raise an error if a number has the name of a metric of `compile` that was updated, too."""
        for name in numbers:
            if isinstance(self._results.get(name), CompiledResult) and context.metrics.is_updated:
                raise ValueError(
                    f"{self._name} returns {name!r}, and so does a metric of compile(). Rename one of them, or leave "
                    f"{name!r} out: fit adds the metrics of compile() to the logs."
                )


def _read_metric(trainer: Steps, name: str) -> float:
    return trainer.context.metric(name)


def _check_logs(logs: Any, name: str) -> None:
    if logs is None:
        raise TypeError(f"{name} returned None; return a dict of numbers for the logs, {{'loss': loss}}.")
    if not isinstance(logs, Mapping):
        what = "a tensor" if isinstance(logs, Tensor) else f"a {type(logs).__name__}"
        raise TypeError(f"{name} returned {what}; return a dict of numbers for the logs, {{'loss': loss}}.")
    for key in logs:
        if not isinstance(key, str):
            raise TypeError(f"{name} returned logs with the name {key!r}; names are strings, {{'loss': loss}}.")


def _check_number(name: str, value: Any, step: str) -> None:
    if not isinstance(value, (Tensor, np.ndarray, np.number, np.bool_, bool, int, float)):
        raise TypeError(f"{step} returned {value!r} as {name!r}; the logs are numbers or tensors with one number.")


def _raise_with_advice(error: Exception, step: Callable[..., Any], name: str, batch: Any) -> NoReturn:
    """Raise an error of a step again, with what to write instead; called in the `except` block that caught it."""
    advice = _advice(error, step, name, batch)
    if advice is None:
        raise
    raise type(error)(f"{str(error).rstrip('.')}. {advice}") from error


def _advice(error: Exception, step: Callable[..., Any], name: str, batch: Any) -> str | None:
    """Return a sentence for an error that the first lines of a step made for Keras or for another batch raise."""
    if isinstance(error, ValueError) and "to unpack (expected" in str(error) and _is_raised_in(error, step):
        return _unpacking_advice(step, name, batch)
    missing = getattr(error, "name", None)
    if not isinstance(error, AttributeError) or missing is None:
        return None
    if missing == "value" and isinstance(error.obj, Tensor):
        return "A weight is a parameter of torch: write weight for weight.value, and weight.grad for its gradient."
    if missing in ("apply", "apply_gradients", "scale_loss") and isinstance(error.obj, torch.optim.Optimizer):
        return (
            "self.trainer.backward_and_step(loss) computes the gradients and makes a step of the optimizer. "
            "After loss.backward(), self.optimizer.step() makes the step alone."
        )
    return None


@contextmanager
def _without_autocast_cache() -> Iterator[None]:
    """Let `torch.autocast` cast the weights at each use within the block.

    It would keep the casts until its own block ends. A step that steps an optimizer itself would then compute with
    old weights.
    """
    was_enabled = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(was_enabled)


def _unpacking_advice(step: Callable[..., Any], name: str, batch: Any) -> str:
    unpack = "x, y, sample_weight = kerastorch.utils.unpack_x_y_sample_weight(data) takes all of them"
    if not takes_data(step):
        return (
            f"The batch that {name} gets has three entries: x, y, sample_weight = batch. The last two may be None. To "
            f"get (x, y), or x alone, as the data are, call the parameter data: def {name}(self, data)."
        )
    if name == "predict_step":
        return f"The data of predict_step are the inputs, x. {unpack}."
    given = "(x, y, sample_weight)" if batch.sample_weight is not None else "x" if batch.y is None else "(x, y)"
    return f"The data of this pass are {given}. {unpack}."


def _is_raised_in(error: Exception, step: Callable[..., Any]) -> bool:
    """Return whether a line of the step itself raised an error, rather than a function that it calls."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    function = inspect.unwrap(getattr(step, "__func__", step))
    return traceback is not None and traceback.tb_frame.f_code is getattr(function, "__code__", None)


class LossTracker:
    """The entry of `model.metrics` for the loss, as Keras' guide to custom steps uses it.

    Args:
        context: Returns the context of the running pass.
    """

    name = "loss"

    def __init__(self, context: Callable[[], StepContext]) -> None:
        self._context = context

    def update_state(self, loss: Tensor | float, sample_weight: Any = None) -> None:
        """Log a loss as that of the running batch.

        Args:
            loss: A number, or a tensor with one number.
            sample_weight: Weight of the batch in the mean of the epoch. Default: its number of rows.
        """
        self._context().track_loss(loss, sample_weight)

    def result(self) -> LossResult:
        """Return the mean so far, which is computed when it is read."""
        return LossResult("loss", lambda: self._context().mean("loss"))

    def reset_state(self) -> None:
        """Do nothing: each pass begins with a mean of its own."""


class CompiledMetrics:
    """The entry of `model.metrics` for the metrics of `compile`.

    Args:
        context: Returns the context of the running pass.
        update: Updates the metrics with targets and outputs.
    """

    name = "compile_metrics"

    def __init__(self, context: Callable[[], StepContext], update: Callable[[Any, Any, Any], object]) -> None:
        self._context, self._update = context, update

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update the metrics with one batch.

        Args:
            y: The targets.
            y_pred: The outputs of the model.
            sample_weight: A weight for each sample. Default none.
        """
        self._update(y, y_pred, sample_weight)

    def result(self) -> dict[str, MetricResult]:
        """Return the values by name, which are computed when they are read."""
        results = self._context().results
        return {name: one for name, one in results.items() if isinstance(one, CompiledResult)}

    def reset_state(self) -> None:
        """Do nothing: each pass begins with metrics of its own."""
