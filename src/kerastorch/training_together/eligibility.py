"""Checks whether fits can run together: before anything is changed, and once the models are set up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.history import History
from kerastorch.callbacks.learning_rate_scheduler import LearningRateScheduler
from kerastorch.callbacks.progress_bar import ProgressBar, style
from kerastorch.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from kerastorch.core.module_tree import is_built
from kerastorch.core.process_group import has_process_group, is_launched
from kerastorch.data.batches import Batch
from kerastorch.model import Model
from kerastorch.optimizers.step_options import StepOptions
from kerastorch.training.compile_options import CompileOptions
from kerastorch.training.fit_loop import EpochPass
from kerastorch.training.jit.eligibility import check_batch, check_model, check_optimizer
from kerastorch.training.jit.errors import UntraceableError
from kerastorch.training.jit.parameter_buckets import is_elementwise, is_elementwise_class
from kerastorch.training.optimizer_step import OptimizerStep
from kerastorch.training.step_mixin import overrides
from kerastorch.training.trainer import Trainer
from kerastorch.training_together.errors import CannotTrainTogether

MAX_ELEMENTS = 2**18  # weights of a model; the steps of larger ones take long in themselves
_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
_STEP_HOOKS = ("on_after_backward", "on_before_optimizer_step")
_ALONE = {  # arguments of `fit` that decide between two batches
    "resume": "the state is saved between batches",
    "nan_report": "each step is examined before it is made",
    "max_time": "the time is measured after each batch",
}
# they change the learning rate or the weights alone, which are read again in each epoch
_HARMLESS = {History, ProgressBar, EarlyStopping, ReduceLROnPlateau, LearningRateScheduler}


def check_fits(models: Sequence[Model], arguments: Sequence[Mapping[str, Any]]) -> None:
    """Raise an error unless several fits may run at the same time.

    Args:
        models: The models.
        arguments: For each, all arguments of `fit`.

    Raises:
        CannotTrainTogether: With the reason.
    """
    if len(models) < 2:
        raise CannotTrainTogether("there is only one model")
    for model, given in zip(models, arguments, strict=True):
        _check_model(model)
        _check_arguments(given)
    if any(_structure(model) != _structure(models[0]) for model in models[1:]):
        raise CannotTrainTogether("the models have different architectures")
    if _is_one_shared((*model.modules(), *model.parameters(), *model.buffers()) for model in models):
        raise CannotTrainTogether("two of the models share layers or weights, or are the same model")
    if _is_one_shared(given["callbacks"] for given in arguments):
        raise CannotTrainTogether("a callback belongs to several fits")
    if _is_one_shared(map(_metric_objects, models)):
        raise CannotTrainTogether("a metric object belongs to several models, and has the values of one")
    if _is_one_shared(model.trainer.compiled_loss.outputs.modules_with_state() for model in models):
        raise CannotTrainTogether("a loss that has weights or buffers belongs to several models")


def _is_one_shared(held: Iterable[Iterable[Any]]) -> bool:
    """Return whether an object is held by several fits.

    Args:
        held: The objects of each fit.
    """
    counts = Counter(one for some in held for one in {id(thing) for thing in some})
    return any(count > 1 for count in counts.values())


def _metric_objects(model: Model) -> list[Any]:
    """Return the metric objects of the user's that a model updates."""
    return [one.user_object for some in model.trainer.metrics.values() for one in some if one.user_object is not None]


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise an error unless all data are arrays.

    Args:
        kinds: Kinds of the training data.

    Raises:
        CannotTrainTogether: Other data may depend on the order in which they are read.
    """
    for kind in kinds:
        if kind != "arrays":
            raise CannotTrainTogether(f"the data are a {kind}, not arrays")


def _check_model(model: Model) -> None:
    trainer: Trainer | None = vars(model).get("_trainer")
    if trainer is None:
        raise CannotTrainTogether("a model is not compiled")
    if type(model).fit is not Model.fit or overrides(model, "train_step"):
        raise CannotTrainTogether(f"{type(model).__name__} trains in a way of its own")
    if trainer.compile_options != CompileOptions():
        raise CannotTrainTogether("compile() was given jit_compile or steps_per_execution")
    if trainer.precision.is_mixed:
        raise CannotTrainTogether("the models compute in mixed precision")
    if trainer.optimizers.are_several:
        raise CannotTrainTogether("a model has several optimizers")
    config = trainer.optimizers.configs[""]
    kind = type(trainer.optimizer) if trainer.optimizer is not None else getattr(config, "kind", None)
    if trainer.optimizer is not None and not is_elementwise(trainer.optimizer):
        raise CannotTrainTogether(f"{type(config).__name__} does not update each element alone")
    if trainer.optimizer is None and isinstance(kind, type) and not is_elementwise_class(kind):
        raise CannotTrainTogether(f"{kind.__name__} does not update each element alone")
    if isinstance(config, StepOptions) and (config.gradient_accumulation_steps or config.loss_scale_factor):
        raise CannotTrainTogether("the optimizer accumulates gradients, or scales the loss")
    if is_built(model) and sum(weight.numel() for weight in model.parameters()) > MAX_ELEMENTS:
        raise CannotTrainTogether(f"a model has more than {MAX_ELEMENTS} weights")
    if has_process_group() or is_launched():
        raise CannotTrainTogether("the process is one of a process group")


def _check_arguments(given: Mapping[str, Any]) -> None:
    for name, reason in _ALONE.items():
        if given[name] is not None:
            raise CannotTrainTogether(f"{name} was given, and {reason}")
    if style(given["verbose"]) == "bar":
        raise CannotTrainTogether("a progress bar shows one model; pass verbose=0 or verbose=2")
    for callback in given["callbacks"]:
        if callback.is_checkpointer:
            raise CannotTrainTogether("the state of each fit is saved between batches")
        if any(_is_overridden(callback, hook) for hook in (*_BATCH_HOOKS, *_STEP_HOOKS)):
            raise CannotTrainTogether(f"{type(callback).__name__} is called for each batch")


def _is_overridden(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook, None) is not getattr(Callback, hook) or hook in vars(callback)


def _structure(model: nn.Module) -> Any:
    weights = [(name, weight.shape, weight.dtype, weight.device) for name, weight in model.named_parameters()]
    return [type(module) for module in model.modules()], weights if is_built(model) else None


def check_passes(passes: Sequence[EpochPass], batches: Sequence[Batch]) -> None:
    """Raise an error unless the models of several fits, which are set up, can be stacked.

    Args:
        passes: The passes that are due.
        batches: A batch of each.

    Raises:
        UntraceableError: With the reason.
    """
    structure = _structure(passes[0].trainer.model)
    for due, batch in zip(passes, batches, strict=True):
        trainer, step = due.trainer, due.trainer.optimizer_step
        if _structure(trainer.model) != structure:
            raise UntraceableError("the models have different architectures")
        if sum(weight.numel() for weight in trainer.model.parameters()) > MAX_ELEMENTS:
            raise UntraceableError(f"a model has more than {MAX_ELEMENTS} weights")
        if not isinstance(step, OptimizerStep) or not is_elementwise(step.optimizer):
            raise UntraceableError("the optimizer does not update each element alone")
        if step.listeners.is_guarded or step.listeners.has_functions:
            raise UntraceableError("each step is examined before it is made")
        if trainer.state.training_rows is not None or trainer.weight_averaging.is_registered:
            raise UntraceableError("a batch is split, or weights are averaged")
        check_model(trainer.model)
        check_optimizer(step)
        check_batch(batch)
        if due.callbacks.has_hook("on_train_batch_begin", "on_train_batch_end"):
            raise UntraceableError("callbacks are called for each batch")


def may_change_models(due: EpochPass) -> bool:
    """Return whether callbacks may change more of a model than its weights and learning rate between two epochs."""
    return any(type(callback) not in _HARMLESS for callback in due.callbacks.callbacks)
