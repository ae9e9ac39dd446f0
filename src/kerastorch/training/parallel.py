"""What the processes of a group do together while they train one model; in one process, nothing.

The trainer has one of these objects, and the loop calls the same methods in both cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kerastorch.core import collectives
from kerastorch.core.distributed_tensors import check_not_alone, is_distributed_tensor, may_be_distributed
from kerastorch.core.joint_calls import gather_calls
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.nested import batch_rows, map_structure
from kerastorch.core.process_group import rank, world_size
from kerastorch.core.rank_failures import checking, each_warning_once, shared
from kerastorch.data.batches import Batch
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.rank_shard import RankBatch, RowShard, Share
from kerastorch.distribution.gradient_sync import NO_SYNC, GradientSync, NoGradientSync
from kerastorch.optimizers.base import TorchOptimizer
from kerastorch.training import rank_agreement
from kerastorch.training.compile_settings import Settings
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.part_states import joined_parts
from kerastorch.training.pass_end import EvaluationEnd, PassEnd, ends_at_once
from kerastorch.training.rank_states import copy_buffers, own_random_numbers
from kerastorch.training.rank_step import NOTHING, RankStep, Step, StepTrainer, is_idle
from kerastorch.training.signals import InterruptHandler

if TYPE_CHECKING:
    from kerastorch.module.trainable_model import TrainableModel

Take = Callable[[Any, int], None]


class SingleProcess:
    """One process that works alone.

    Attributes:
        shard: Which part of the data this rank gets; `None` for all.
        merges_metrics: Whether each rank has the metrics of a part of the rows.
        is_joint: Whether other ranks train the same model: they save and resume together, and callbacks are shared.
        divides_weights: Whether each rank has parts of the weights, so that all of them must take part in each forward
            pass, and in saving.
    """

    shard: RowShard | None = None
    merges_metrics = False
    is_joint = False
    divides_weights = False

    def together(self, model: nn.Module, verb: str) -> AbstractContextManager[None]:
        """Surround a method that all ranks run: it begins with the weights of rank 0, and ends on all if one fails.

        Args:
            model: The model.
            verb: The method with its arguments, which are the same on all ranks.
        """
        if may_be_distributed() and any(map(is_distributed_tensor, tensors(modules(model)))):
            check_not_alone()
        return nullcontext()

    def watched(self, verb: str) -> AbstractContextManager[None]:
        """Surround a method that all ranks run, so that it ends on all if one fails; nothing is compared.

        Args:
            verb: The method, for messages.
        """
        return nullcontext()

    def check_data(self, source: DataAdapter, names: tuple[str, str, str] = ("x", "y", "sample_weight")) -> None:
        """Check that all ranks were given the same data, of which each takes its part and has searched some rows.

        Args:
            source: The data.
            names: Names of inputs, targets and weights.

        Raises:
            ValueError: The data of two ranks differ, or a rank has found NaN or infinity.
        """

    def order_seed(self) -> int:
        """Return the seed of the order of the rows, which is the same on all ranks."""
        return torch.initial_seed()

    def check_settings(self, settings: Settings) -> None:
        """Check that `compile` was given the same arguments on all ranks.

        Args:
            settings: Its arguments as text.

        Raises:
            ValueError: They differ.
        """

    def setup(self, model: nn.Module) -> None:
        """Give all ranks the same weights, once the model is built."""

    def divide(self, model: nn.Module, device: torch.device) -> None:
        """Divide the weights of a built model among the ranks, in place; those that are divided stay as they are.

        Args:
            model: The model.
            device: Where the ranks compute.
        """

    def training(self, model: nn.Module) -> AbstractContextManager[None]:
        """Surround a fit."""
        return self.own_random_numbers(model)

    def own_random_numbers(self, model: nn.Module) -> AbstractContextManager[None]:
        """Let layers draw other random numbers on each rank, and end with the random states of rank 0."""
        return nullcontext()

    def end_epoch(self, model: nn.Module) -> None:
        """Let all ranks go on with the same model, after the batches of an epoch."""

    def gradient_sync(
        self, weights: Callable[[], Iterable[Tensor]], beside: NoGradientSync = NO_SYNC
    ) -> NoGradientSync:
        """Return what averages the gradients of weights over the ranks.

        Args:
            weights: Returns the weights, which may be others later on.
            beside: What averages those of weights that the script steps itself, and begins and ends with it.
        """
        return NO_SYNC

    def training_step(self, trainer: StepTrainer, step: Step) -> Step:
        """Return a training step that computes the part of this rank in a batch."""
        return step

    def evaluation_step(self, trainer: StepTrainer, step: Step) -> Step:
        """Return an evaluation step for which the rows of idle ranks count nowhere."""
        return step

    def training_stream(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        """Return the batches of an epoch, of which all ranks have the same number."""
        return stream

    def evaluation_stream(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        """Return the batches of an evaluation or prediction."""
        return stream

    def pass_end(self, *, training: bool, asks_each_batch: bool) -> Callable[[bool], bool]:
        """Return a function that is called after each batch of a pass, and returns whether the pass ends with it.

        Its argument is whether this rank would end the pass.

        Args:
            training: Whether it is a pass over training data; evaluation ends with its last batch if there are several
                ranks, because they may have different numbers of batches.
            asks_each_batch: Whether something else than a signal may end the pass.
        """
        return ends_at_once

    def is_interrupted(self, interrupt: InterruptHandler) -> bool:
        """Return whether Ctrl-C was pressed or SIGTERM has come, on any rank.

        Args:
            interrupt: The signals of this process; those of another rank become pending here, too.
        """
        return interrupt.pending

    def follow_first(self, model: TrainableModel, optimizers: Iterable[TorchOptimizer]) -> None:
        """Take over what callbacks of rank 0 have set: whether training stops, and the learning rates."""

    def read(self, metrics: MetricsTracker, device: torch.device, *, by_turns: bool) -> dict[str, float]:
        """Return the means and metrics of all rows, of all ranks, at the end of a pass.

        Args:
            metrics: Those of the rows of this rank.
            device: Device of the metrics.
            by_turns: Whether the batches of the ranks alternate; else each rank has consecutive ones.
        """
        return metrics.read()

    @contextmanager
    def gathering(self, take: Take, *, by_turns: bool) -> Iterator[Take]:
        """Yield what takes the outputs of each batch, so that `take` gets those of all ranks in order.

        Args:
            take: Takes outputs and their number of rows.
            by_turns: Whether the batches of the ranks alternate; else each rank has consecutive ones.
        """
        yield take


SINGLE_PROCESS = SingleProcess()


class ParallelRanks(SingleProcess):
    """One of several ranks that train a model together.

    Args:
        shard_data: Whether all ranks are given the same data, of which each takes its part.
    """

    merges_metrics = True
    is_joint = True

    def __init__(self, *, shard_data: bool) -> None:
        self.rank, self.world = rank(), world_size()
        self.shard = RowShard(self.rank, self.world) if shard_data else None

    @contextmanager
    def together(self, model: nn.Module, verb: str) -> Iterator[None]:
        with shared(verb):
            self._begin(model, verb)
            with each_warning_once():
                yield

    def watched(self, verb: str) -> AbstractContextManager[None]:
        return shared(verb)

    def _begin(self, model: nn.Module, verb: str) -> None:
        if len(set(gather_calls(verb, _bit_sums(model)))) > 1:
            self.setup(model)

    def check_data(self, source: DataAdapter, names: tuple[str, str, str] = ("x", "y", "sample_weight")) -> None:
        if self.shard is not None:
            rank_agreement.check_data(source, names)

    def order_seed(self) -> int:
        seed: int = collectives.from_first(torch.initial_seed())
        return seed

    def check_settings(self, settings: Settings) -> None:
        rank_agreement.check_settings(settings)

    def setup(self, model: nn.Module) -> None:
        rank_agreement.check_weights(model)
        collectives.copy_from_first(_whole_tensors(model))

    def own_random_numbers(self, model: nn.Module) -> AbstractContextManager[None]:
        return own_random_numbers(model)

    def end_epoch(self, model: nn.Module) -> None:
        copy_buffers(model)

    def gradient_sync(
        self, weights: Callable[[], Iterable[Tensor]], beside: NoGradientSync = NO_SYNC
    ) -> NoGradientSync:
        return GradientSync(weights, is_distributed_tensor, beside)

    def training_step(self, trainer: StepTrainer, step: Step) -> Step:
        return RankStep(trainer, step, self.world)

    def evaluation_step(self, trainer: StepTrainer, step: Step) -> Step:
        return lambda batch: NOTHING if is_idle(batch) else step(batch)

    def training_stream(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        return stream if self.shard is not None else in_lockstep(stream)

    def pass_end(self, *, training: bool, asks_each_batch: bool) -> Callable[[bool], bool]:
        return PassEnd(asks_each_batch=asks_each_batch) if training else EvaluationEnd()

    def evaluation_stream(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        return checking(stream)

    def is_interrupted(self, interrupt: InterruptHandler) -> bool:
        number = collectives.largest([interrupt.signal])[0]
        if number:
            interrupt.adopt(number)
        return bool(number)

    def follow_first(self, model: TrainableModel, optimizers: Iterable[TorchOptimizer]) -> None:
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        model.stop_training = collectives.any_rank(bool(model.stop_training))
        for group, rate in zip(groups, collectives.from_first([_rate(one) for one in groups]), strict=True):
            if _rate(group) != rate:
                group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def read(self, metrics: MetricsTracker, device: torch.device, *, by_turns: bool) -> dict[str, float]:
        whole = metrics.merged(collectives.gather(metrics.part_state()), device, by_turns=by_turns)
        found = whole.read()
        whole.give_to(metrics)
        return found

    @contextmanager
    def gathering(self, take: Take, *, by_turns: bool) -> Iterator[Take]:
        if self.shard is None:
            yield take
            return
        held: list[tuple[Any, int]] = []
        yield lambda outputs, rows: held.append((map_structure(_on_cpu, outputs), rows))
        for outputs, rows in joined_parts(collectives.gather(held), by_turns=by_turns):
            take(outputs, rows)


def in_lockstep(stream: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches of a rank whose data are its own; it is idle from its last one on until all ranks are.

    Raises:
        ValueError: A rank has no batch.
    """
    batch: Batch | None = None
    while True:
        following = next(stream, None)
        rows = 0 if following is None else batch_rows(following.x)
        total = int(collectives.sum_numbers([rows])[0])
        if not total:
            return
        batch = following or batch
        if batch is None:
            raise ValueError(f"the data of rank {rank()} gave no batch, and those of other ranks did.")
        yield RankBatch.of(batch, Share(rows, total))


def _whole_tensors(model: nn.Module) -> list[Tensor]:
    """Return the weights and buffers of which each rank has a whole copy with values."""
    return [
        tensor
        for tensor in (*model.parameters(), *model.buffers())
        if not (is_distributed_tensor(tensor) or tensor.is_meta)
    ]


def _bit_sums(model: nn.Module) -> tuple[int, ...]:
    """Return the sum of the bytes of each weight and buffer that has values."""
    held = [one for one in _whole_tensors(model) if not is_lazy(one) and one.numel()]
    return tuple(int(_bytes(one).sum(dtype=torch.int64)) for one in held)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _rate(group: Mapping[str, Any]) -> float | None:
    """Return the learning rate of a parameter group; `None` if it has none."""
    return None if group.get("lr") is None else float(group["lr"])


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value
