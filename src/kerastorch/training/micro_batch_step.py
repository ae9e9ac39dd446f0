"""MicroBatchStep: a step that computes parts of a batch one after the other, with the numbers of the whole batch."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import torch
from torch import Tensor

from kerastorch.core.nested import batch_rows, map_structure
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.runtime.call_module import call_module
from kerastorch.training.auxiliary_losses import may_call_add_loss
from kerastorch.training.jit.graph_output import join_step_outputs
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.micro_batches import Shares, combination, combine, select_rows, split_rows, tensor_counts
from kerastorch.training.step_output import StepOutput
from kerastorch.training.trainer import Trainer

# Beside torch.OutOfMemoryError: what torch's allocator for the CPU, MPS, cuBLAS and cuDNN write.
_MESSAGES = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
_ADVICE = "Use a smaller batch_size; gradient_accumulation_steps of the optimizer makes one step of several batches."


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory for a tensor.

    >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory.")), is_out_of_memory(ValueError("out of memory"))
    (True, False)
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MESSAGES)


def refuse(error: BaseException, reason: str) -> NoReturn:
    """Raise an error with a note on why the batch is not split."""
    error.add_note(f"The batch is not split into micro-batches: {reason}. {_ADVICE}")
    raise error


def free(error: BaseException, trainer: Trainer) -> None:
    """Free the tensors of a step that failed: in its frames, in the recorded loss and in the allocator's cache.

    Args:
        error: Its traceback holds the frames, whose local variables are cleared.
        trainer: Parts that train the model.
    """
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__
    trainer.context.take_output({})
    trainer.compiled_loss.release()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def why_not_repeatable(error: BaseException, trainer: Trainer) -> str:
    """Return why a failed step cannot be repeated from its start; an empty string if it can."""
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    after_forward = names[names.index("backward_and_step") :] if "backward_and_step" in names else []
    if "compute_metrics" in names:
        return "memory ran out in the metrics, after the step was made"
    if {"is_ready", "step", "end_step"} & set(after_forward):  # of `OptimizerStep`, and of the optimizer itself
        return "memory ran out in the step of the optimizer, and some weights may have been changed"
    if "backward_and_step" in names and trainer.optimizer_step.accumulation.steps > 1:  # type: ignore[union-attr]
        return "memory ran out in a backward pass whose gradients are added to those of earlier batches"
    return ""


class InexactError(Exception):
    """Micro-batches would give other numbers than the whole batch."""


class MicroBatchStep:
    """A training or test step on parts of a batch, of at most `rows` rows each.

    Args:
        trainer: Parts that train the model.
        phase: `'train'` or `'test'`.
        rows: Number of rows of a part; it is halved if memory runs out.
    """

    def __init__(self, trainer: Trainer, phase: str, rows: int) -> None:
        self._trainer, self._phase, self.rows = trainer, phase, rows
        self._may_have_counts = True  # losses may be means over other numbers than rows
        self._forward = trainer.precision.around(self._compute, trainer.device_type())

    def __call__(self, batch: Batch | BatchGroup) -> StepOutput:
        """Make the step on a batch, or one step for each batch of a group."""
        if isinstance(batch, BatchGroup):
            return join_step_outputs([self(one) for one in batch])
        while True:
            try:
                return self._train(batch) if self._phase == "train" else self._evaluate(batch)
            except Exception as error:
                self._halve(error)

    def check_first(self, batch: Batch) -> None:
        """Run the first part of a batch, to find out whether parts give the numbers of the whole batch.

        Raises:
            InexactError: They do not: the reason.
        """
        while True:
            try:
                self._check(self._parts(batch)[0])
                return
            except InexactError:
                raise
            except Exception as error:
                self._halve(error)

    def _halve(self, error: Exception) -> None:
        """Halve the parts after an error, or raise it if that does not help."""
        if not is_out_of_memory(error):
            raise error
        if self.rows == 1:
            refuse(error, "a single row does not fit into memory")
        reason = why_not_repeatable(error, self._trainer)
        if reason:
            refuse(error, reason)
        free(error, self._trainer)
        self.rows = -(-self.rows // 2)

    def _check(self, part: Batch) -> None:
        trainer = self._trainer
        buffers = {name: (buffer, buffer.clone()) for name, buffer in trainer.model.named_buffers()}
        trainer.compiled_loss.begin_step()
        with trainer.using(_HeldUpdates()), torch.no_grad():
            self._forward(part)
        changed = [name for name, (buffer, before) in buffers.items() if not _same_bits(buffer, before)]
        with torch.no_grad(), suppress(RuntimeError):  # a buffer may have got another shape
            for buffer, before in buffers.values():
                buffer.copy_(before)
        if changed and self._phase == "train":
            raise InexactError(f"the model changes its buffer {changed[0]!r} with each call")
        if trainer.compiled_loss.n_auxiliary and may_call_add_loss(trainer.model):
            raise InexactError("a layer of your own calls add_loss, whose term may be no mean over rows")

    def _parts(self, batch: Batch) -> list[Batch]:
        rows = batch_rows(batch.x)
        return [Batch(*(select_rows(field, part) for field in batch)) for part in split_rows(rows, self.rows)]

    def _compute(self, part: Batch) -> StepOutput:
        """Return the loss of a part with its graph; metrics get its outputs."""
        model, context = self._trainer.model, self._trainer.context
        x, y, sample_weight = part
        y_pred = call_module(model, x)
        loss = model.compute_loss(x, y, y_pred, sample_weight, training=self._phase == "train")
        logs = {"loss": loss, **context.loss_parts}
        model.compute_metrics(x, y, y_pred, sample_weight)
        return context.take_output(logs)

    def _shares(self, parts: Sequence[Batch], outputs: Sequence[StepOutput]) -> Shares:
        """Return the share of each part in the losses of the batch.

        Args:
            parts: The parts.
            outputs: The outputs of the steps on the parts; may be empty if all losses are means over rows.
        """
        losses = {name: loss for name, loss in self._trainer.compiled_loss.losses.items() if loss is not None}
        logged = outputs[0].weights if outputs else ()
        kinds = {name: combination(losses.get(name.removesuffix("_loss"), losses.get(""))) for name in ("", *logged)}
        if len(losses) == 1 and not logged:
            kinds[""] = combination(next(iter(losses.values())))
        counts = tensor_counts(outputs) if outputs else {}
        return Shares([batch_rows(part.x) for part in parts], counts, [one for one in kinds if kinds[one] == "sum"])

    def _dry_outputs(self, parts: Sequence[Batch]) -> list[StepOutput]:
        """Return what the losses of the parts are means over, which is needed before the first backward pass."""
        found: list[StepOutput] = []
        for part in parts if self._may_have_counts else ():
            self._trainer.compiled_loss.begin_step()
            with torch.no_grad(), self._trainer.using(_HeldUpdates()):
                output = self._forward(part)
            found.append(output)
            self._may_have_counts = bool(tensor_counts(found))
            if not self._may_have_counts:
                break
        return found

    def _train(self, batch: Batch) -> StepOutput:
        trainer, parts = self._trainer, self._parts(batch)
        step, held = trainer.optimizer_step, _HeldUpdates()
        remove_guard = step.listeners.register_guard(_allow)  # accumulated gradients are copied, and stay as they are
        try:
            shares = self._shares(parts, self._dry_outputs(parts) if len(parts) > 1 else [])
            weighed: list[Mapping[str, Any]] = []
            outputs: list[StepOutput] = []
            for index, part in enumerate(parts):
                trainer.compiled_loss.begin_step()
                with trainer.using(held):
                    output = self._forward(part)
                terms = shares.weigh(index, output)
                if not index:
                    step.begin_batch(terms["loss"])  # type: ignore[union-attr]
                step.scaled(terms["loss"]).backward()  # type: ignore[union-attr]
                weighed.append(map_structure(_detached, terms))
                outputs.append(output._replace(logs={}))
            whole = combine(weighed, outputs)
        finally:
            remove_guard()
        if step.is_ready(whole.logs["loss"]):  # type: ignore[union-attr]
            step.make_step()  # type: ignore[union-attr]
        step.scaling.update()  # type: ignore[union-attr]
        held.send_to(trainer.context.metrics)
        return whole

    def _evaluate(self, batch: Batch) -> StepOutput:
        trainer, parts, held = self._trainer, self._parts(batch), _HeldUpdates()
        outputs = []
        for part in parts:
            trainer.compiled_loss.begin_step()
            with trainer.using(held):
                outputs.append(self._forward(part))
        shares = self._shares(parts, outputs)
        held.send_to(trainer.context.metrics)
        return combine([shares.weigh(index, output) for index, output in enumerate(outputs)], outputs)


class _HeldUpdates(MetricsTracker):
    """Receiver of outputs and targets that keeps them until the step has succeeded."""

    def __init__(self) -> None:
        super().__init__({})
        self._updates: list[tuple[Any, ...]] = []

    def update(
        self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any], sample_weight: Mapping[str, Any] = {}
    ) -> None:
        given = (y_pred, y_true, *([sample_weight] if sample_weight else []))
        self._updates.append(tuple(map_structure(_detached, one) for one in given))

    def send_to(self, metrics: Any) -> None:
        """Update the metrics with all parts."""
        for given in self._updates:
            metrics.update(*given)


def _allow(loss: Tensor) -> bool:  # noqa: ARG001
    return True


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
