"""Ranks that have parts of the weights, so that all of them must compute each batch together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core import collectives
from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.core.nested import batch_rows
from kerastorch.core.ownership import is_own
from kerastorch.core.torch_private import pytree
from kerastorch.data.batches import Batch
from kerastorch.data.rank_shard import RankBatch, RowShard, Share
from kerastorch.distribution import full_shard, tensor_parallel
from kerastorch.distribution.divided_operations import DividedOperations
from kerastorch.distribution.gradient_sync import NO_SYNC, NoGradientSync
from kerastorch.distribution.meta_weights import initialize_weights
from kerastorch.distribution.settings import FullyShard, TensorParallel
from kerastorch.training.metrics_tracker import MetricsTracker
from kerastorch.training.parallel import ParallelRanks, SingleProcess, Take
from kerastorch.training.pass_end import ends_with_last_batch
from kerastorch.training.rank_step import IdleStep, Step, StepTrainer


class ShardedRanks(ParallelRanks):
    """Ranks with parts of all weights, each of which computes a part of each batch.

    A forward pass gathers weights from all ranks, so that a rank without rows computes some that count nowhere.

    Args:
        settings: How the weights are sharded; `None` for a model that the script has sharded.
        shard_data: As for `ParallelRanks`.
    """

    divides_weights = True

    def __init__(self, settings: FullyShard | None, *, shard_data: bool) -> None:
        super().__init__(shard_data=shard_data)
        if self.shard is not None:
            self.shard = replace(self.shard, in_step=True)
        self._settings = settings

    def divide(self, model: nn.Module, device: torch.device) -> None:
        if self._settings is None:
            return
        has_own_step = not is_own(getattr(model, "train_step", self))  # may call children by themselves
        full_shard.apply(model, self._settings, _mesh(device, self.world), calls_parts=has_own_step)
        if any(weight.is_meta for weight in model.parameters()):
            _share_random_state()
            initialize_weights(model, "cpu" if self._settings.offload else device)
        full_shard.complete(model)

    def evaluation_step(self, trainer: StepTrainer, step: Step) -> Step:
        return IdleStep(trainer, step)

    def evaluation_stream(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        return _repeat_last(stream)

    def pass_end(self, *, training: bool, asks_each_batch: bool) -> Callable[[bool], bool]:
        found = super().pass_end(training=training, asks_each_batch=asks_each_batch)
        return found if training else ends_with_last_batch


class TensorRanks(ParallelRanks):
    """Ranks with a part of the units of some layers, all of which compute all rows.

    Args:
        settings: How the layers are divided.
    """

    merges_metrics = False
    divides_weights = True

    def __init__(self, settings: TensorParallel) -> None:
        super().__init__(shard_data=True)
        self.shard = RowShard(0, 1)  # whole batches, which are compared
        self._settings = settings

    def divide(self, model: nn.Module, device: torch.device) -> None:
        if not any(map(is_distributed_tensor, model.parameters())):
            self.setup(model)
            tensor_parallel.apply(model, self._settings, _mesh(device, self.world))

    def own_random_numbers(self, model: nn.Module) -> AbstractContextManager[None]:
        _share_random_state()  # all ranks compute the same rows, so dropout is the same, too
        return SingleProcess.own_random_numbers(self, model)

    def gradient_sync(
        self, weights: Callable[[], Iterable[Tensor]], beside: NoGradientSync = NO_SYNC
    ) -> NoGradientSync:
        return NO_SYNC

    def training_step(self, trainer: StepTrainer, step: Step) -> Step:
        return _within_operations(step, getattr(trainer.model, "train_step", step))

    def evaluation_step(self, trainer: StepTrainer, step: Step) -> Step:
        return _within_operations(super().evaluation_step(trainer, step), getattr(trainer.model, "test_step", step))

    def pass_end(self, *, training: bool, asks_each_batch: bool) -> Callable[[bool], bool]:
        found = super().pass_end(training=training, asks_each_batch=asks_each_batch)
        return found if training else ends_with_last_batch

    def read(self, metrics: MetricsTracker, device: torch.device, *, by_turns: bool) -> dict[str, float]:
        return SingleProcess.read(self, metrics, device, by_turns=by_turns)

    @contextmanager
    def gathering(self, take: Take, *, by_turns: bool) -> Iterator[Take]:
        yield take


def _within_operations(step: Step, of_model: Any) -> Step:
    """Return a step that may call layers of the model by themselves, if it is one of the user's own."""
    if is_own(of_model):
        return step

    def within(batch: Batch) -> Any:
        with DividedOperations():
            output = step(batch)
        return pytree.tree_map(lambda value: full_tensor(value) if isinstance(value, Tensor) else value, output)

    return within


def _mesh(device: torch.device, world: int) -> Any:
    """Return the mesh of all ranks, for one kind of device."""
    from torch.distributed.device_mesh import init_device_mesh  # slow to import

    return init_device_mesh(device.type, (world,))


def _share_random_state() -> None:
    """Let torch draw the random numbers of rank 0 on all ranks."""
    state: Any = collectives.from_first(torch.get_rng_state())
    torch.set_rng_state(state)


def _repeat_last(stream: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches; from the last one on, repeat it as one that counts nowhere, until all ranks are there."""
    batch: Batch | None = None
    while True:
        following = next(stream, None)
        if not collectives.any_rank(following is not None):
            return
        if following is not None:
            batch = following
            yield batch
        elif batch is not None:
            yield RankBatch.of(batch, Share(0, batch_rows(batch.x)))
