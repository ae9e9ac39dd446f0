"""Run all checks of a model on data, and put everything back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import is_built, is_compiled, module_within, modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.nested import batch_rows, leaves
from kerastorch.core.rng_state import RandomStates, preserved_rng_states
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.data.class_weight import ClassWeight, class_weights
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.finite_check import check_finite
from kerastorch.model_check.input_checks import (
    constant_findings,
    repeated_batch_findings,
    scale_findings,
    shared_row_findings,
)
from kerastorch.model_check.observer import CallObserver
from kerastorch.model_check.report import CheckReport, Finding
from kerastorch.model_check.sample import Sample, draw_sample
from kerastorch.model_check.subject import make_subject, unchanged
from kerastorch.model_check.target_checks import Target, target_findings
from kerastorch.model_check.trial import gradient_bytes, parameter_bytes, run_trial
from kerastorch.model_check.trial_checks import (
    dead_unit_findings,
    expected_loss,
    gradient_findings,
    loss_findings,
    memory_finding,
    shape_finding,
    time_finding,
)
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.dry_run import build_lazy
from kerastorch.runtime.model_lock import model_lock
from kerastorch.training.compile_mixin import CompileMixin
from kerastorch.training.compiled_loss import CompiledLoss
from kerastorch.training.fit_data import FitData, Split, adapt, assemble, check_limits, validation_source
from kerastorch.training.fused_activation import last_modules
from kerastorch.training.parallel import SINGLE_PROCESS
from kerastorch.training.step_repetition import learning_rates
from kerastorch.training.trainer import Trainer

_UNKNOWN = "?"  # in place of the name of an output


class Arguments(NamedTuple):
    """Arguments of `Model.check`, which are those of `fit`."""

    x: Any
    y: Any
    batch_size: int | None
    split: Split
    validation_data: Any
    class_weight: ClassWeight
    sample_weight: Any
    shuffle: bool | str


class _Data(NamedTuple):
    """The data of a check, and how batches come to the model."""

    source: DataAdapter
    validation: DataAdapter | None
    fit_data: FitData
    transfer: BatchTransfer


def check_model(model: CompileMixin, given: Arguments) -> CheckReport:
    """Return the report about a model and data.

    Args:
        model: A model, compiled or not; it is not changed.
        given: Arguments of the method.

    Raises:
        ValueError: Data is a generator, whose batches could not be used again.
    """
    _refuse_generators(x=given.x, validation_data=given.validation_data)
    findings: list[Finding] = []
    with preserved_rng_states(), model_lock(model, "fit"), _warnings_in(findings), _uncompiled(model):
        try:
            for finding in _run(make_subject(model), given):
                findings.append(finding)
        except Exception as error:
            findings.append(_error("training", error))
    return CheckReport(own_name(model) or type(module_within(model)).__name__, findings)


def _refuse_generators(**given: Any) -> None:
    for name, data in given.items():
        if isinstance(data, Iterator):
            raise ValueError(
                f"check(): {name} is a generator, and the batches that the check draws would be missing in the "
                "training. Pass a function that returns a new generator, or some batches as arrays."
            )


def _uncompiled(model: nn.Module) -> AbstractContextManager[Any]:
    """Return a context in which modules that `torch.compile` has compiled run eagerly, so that hooks are called."""
    return torch.compiler.set_stance("force_eager") if any(map(is_compiled, modules(model))) else nullcontext()


@contextmanager
def _warnings_in(findings: list[Finding]) -> Iterator[None]:
    """Add the warnings that are given within the block to the findings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        if issubclass(one.category, UserWarning) and "jit_compile" not in str(one.message):
            findings.append(Finding("warning", "data", _sentence(str(one.message))))


def _error(name: str, error: Exception) -> Finding:
    kind = "" if isinstance(error, (ValueError, TypeError, RuntimeError)) else f"{type(error).__name__}: "
    return Finding("error", name, _sentence(f"{kind}{error}"))


def _sentence(message: str) -> str:
    message = message.strip()
    return message if message.endswith((".", "?", "!", ")")) else f"{message}."


def _run(model: CompileMixin, given: Arguments) -> Iterator[Finding]:
    """Yield the findings; the state of the model and of generators is put back, also after an error."""
    trainer = model._trainer
    if trainer is None:
        trainer = Trainer(model, None, CompiledLoss(None), {}, {}, "auto")
        yield Finding("note", "compile", "The model is not compiled, so that no training step was tried.")
    else:
        model._compiled("fit", given.x, given.y)
    data, refused = _prepare(model, trainer, given)
    yield from refused
    holders = {"data": data.source.holder, "validation": data.validation and data.validation.holder}
    random = RandomStates(True, **holders, model=model, losses=trainer.compiled_loss)
    states = random.capture()
    try:
        sample = draw_sample(data.fit_data.training, is_in_memory=data.source.kind == "arrays")
        yield from constant_findings(sample.x)
        yield from repeated_batch_findings(sample, int(getattr(data.source.holder, "num_workers", 0)))
        yield from _shared_rows(data)
        if refused:
            return
        try:
            yield from _checks_of_model(model, trainer, data, sample, given)
        except Exception:
            yield shape_finding(sample.x, sample.y, {})
            raise
    finally:
        random.restore(states)


def _prepare(model: CompileMixin, trainer: Trainer, given: Arguments) -> tuple[_Data, list[Finding]]:
    """Return the data as `fit` prepares them, and an error for each that is not finite."""
    weights = class_weights(given.class_weight, trainer.compiled_loss.outputs)
    transfer, unweighted = trainer.batch_transfer(weights), trainer.batch_transfer()
    reader = model._batch_reader(trainer, "train_step")
    source = adapt(given.x, given.y, given.sample_weight, unweighted, reader, finite=False)
    validation_reader = model._batch_reader(trainer, "test_step")
    validation = validation_source(given.validation_data, unweighted, False, None, validation_reader)
    fit_data = assemble(
        model, source, validation, given.split, check_limits(None, None, None, None),
        batch_size=given.batch_size, shuffle=given.shuffle, validation_batch_size=None, can_grow=bool,
        generators_in={}, callbacks=[], validation_reader=validation_reader, parallel=SINGLE_PROCESS,
    )  # fmt: skip
    if weights is not None:
        weights.count(fit_data.targets, source.kind)
    refused: list[Finding] = []
    for name, checked in (("x", source), ("validation x", validation)):
        if checked is not None:
            refused += _not_finite(checked, name)
    return _Data(source, validation, fit_data, transfer), refused


def _not_finite(source: DataAdapter, name: str) -> Iterator[Finding]:
    """Yield an error if arrays have NaN or infinity."""
    held = source.arrays()
    for label, part in ((name, held.x), (name.replace("x", "y"), held.y)) if held is not None else ():
        try:
            check_finite(part, label)
        except ValueError as error:
            yield _error("not finite", error)


def _shared_rows(data: _Data) -> Iterator[Finding]:
    validation = data.fit_data.validation
    in_memory = data.validation is None or data.validation.kind == "arrays"
    if validation is not None and data.source.kind == "arrays" and in_memory:
        yield from shared_row_findings(data.fit_data.training, validation)


def _checks_of_model(
    model: CompileMixin, trainer: Trainer, data: _Data, sample: Sample, given: Arguments
) -> Iterator[Finding]:
    """Yield what calls of the model show, and training steps if it is compiled."""
    transfer, batch = data.transfer, sample.batch
    rows = batch_rows(batch.x)
    if not is_built(model):
        build_lazy(model, transfer.inputs(batch.x))
    if model._trainer is None:
        observer, trial = CallObserver(), None
        with observer.attached(model), evaluation_mode(model), torch.no_grad():
            call_module(model, transfer.inputs(batch.x))
    else:
        with unchanged(trainer):
            trial = run_trial(trainer, transfer, batch, data.fit_data.targets)
            observer = trial.first
            yield memory_finding(trial, parameter_bytes(trainer), gradient_bytes(trainer), rows)
            rates = learning_rates(trainer)
    outputs = {name: leaf for name, leaf in leaves(observer.outputs) if isinstance(leaf, Tensor) and leaf.ndim}
    yield shape_finding(sample.x, sample.y, outputs)
    yield from scale_findings(observer)
    targets = list(_targets(model, trainer, data, sample, observer.outputs, given))
    for target in targets:
        yield from target_findings(target)
    if trial is not None:
        yield time_finding(trial, data.fit_data.training.steps(), sample.seconds_per_batch)
        yield from gradient_findings(trial, model)
        yield from dead_unit_findings(trial, rows)
        yield from loss_findings(trial, expected_loss(targets[0]) if len(targets) == 1 else None, rates)


def _targets(
    model: nn.Module, trainer: Trainer, data: _Data, sample: Sample, outputs: Any, given: Arguments
) -> Iterator[Target]:
    """Yield the targets, each with its loss and output as far as they are known."""
    losses = trainer.compiled_loss
    lasts = last_modules(model)
    whole = data.fit_data.targets
    found = sample.y if whole is None else {name: leaf.detach().cpu() for name, leaf in leaves(whole, "y")}
    names = list(losses.losses)
    output_of = _names_of_parts(sample.batch.y, "y", names)
    labels = _names_of_parts(outputs, "", names)
    made = {labels[label]: leaf for label, leaf in leaves(outputs) if label in labels}
    weights = (given.class_weight, given.sample_weight, sample.batch.sample_weight)
    for label, rows in found.items():
        name = output_of.get(label, _UNKNOWN)
        output = made.get(name)
        yield Target(
            label,
            rows,
            whole is not None,
            None if name == _UNKNOWN else losses.outputs.loss_of(name),
            lasts.get(name),
            output if isinstance(output, Tensor) else None,
            any(one is not None for one in weights),
        )


def _names_of_parts(data: Any, label: str, names: list[str]) -> dict[str, str]:
    """Return the name of the output for the label of each part of targets or outputs; none if they are not known.

    Args:
        data: Targets or outputs, in their structure.
        label: Name of the whole.
        names: Names of the outputs, as the losses know them; `''` is that of the only one.
    """
    if isinstance(data, Tensor):
        return {label: ""}
    if isinstance(data, Mapping):
        return {f"{label}[{key!r}]": str(key) for key in data if key in names}
    if isinstance(data, (tuple, list)) and len(data) == len(names):
        return {f"{label}[{index}]": name for index, name in enumerate(names)}
    return {}
