"""What `compile(distribution=...)` means for a model in this process."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.module_tree import is_built, modules, tensors
from kerastorch.core.process_group import initialize, is_distributed, warn_if_not_joined
from kerastorch.distribution.settings import DataParallel, FullyShard, TensorParallel
from kerastorch.training.divided_weights import ShardedRanks, TensorRanks
from kerastorch.training.model_optimizers import ModelOptimizers
from kerastorch.training.parallel import SINGLE_PROCESS, ParallelRanks, SingleProcess
from kerastorch.training.preflight import find_device


def make_parallel(settings: Any, model: nn.Module) -> SingleProcess:
    """Return what trains together with other processes, if there are any.

    With `"auto"`, a model that the script has set up for several processes itself is left as it is.

    Args:
        settings: `compile(distribution=...)`.
        model: The model.

    Raises:
        ValueError: The weights would be divided, and the model is wrapped in `DistributedDataParallel`.
    """
    if settings is None:
        return SINGLE_PROCESS
    initialize()
    if not is_distributed():
        warn_if_not_joined()
        return SINGLE_PROCESS
    is_divided = any(map(is_distributed_tensor, model.parameters()))
    is_wrapped = any(isinstance(module, nn.parallel.DistributedDataParallel) for module in modules(model))
    if settings == "auto":
        return SINGLE_PROCESS if is_divided or is_wrapped else ParallelRanks(shard_data=True)
    if isinstance(settings, DataParallel) and not is_divided:
        return ParallelRanks(shard_data=settings.shard_data)
    if is_wrapped:
        raise ValueError(
            f"distribution={type(settings).__name__}: the model is wrapped in DistributedDataParallel, which keeps all "
            "weights in each process. Give compile() the model within it."
        )
    if isinstance(settings, TensorParallel):
        return TensorRanks(settings)
    return ShardedRanks(settings if isinstance(settings, FullyShard) else None, shard_data=settings.shard_data)


def divide_weights(model: nn.Module, parallel: SingleProcess, optimizers: ModelOptimizers, wanted: Any) -> None:
    """Divide the weights of a model, if it is built, as its settings say; the optimizers follow.

    Args:
        model: The model.
        parallel: What the ranks do together.
        optimizers: The optimizers of the model.
        wanted: `compile(device=...)`, parsed.
    """
    if parallel.divides_weights and is_built(model):
        with_values = {tensor.device for tensor in tensors(modules(model)) if not tensor.is_meta}
        with optimizers.following_weights():
            parallel.divide(model, find_device(with_values, wanted))
