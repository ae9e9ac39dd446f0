"""Tensors that several processes hold together (`DTensor`): recognised, gathered, and written to.

`fully_shard` and tensor parallelism make the parameters of a module such tensors. torch computes with a list of tensors
only if all of them are plain or all of them are on one mesh of devices, and never with a plain one beside another one.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from kerastorch.core.process_group import is_alone

_MODULE = "torch.distributed.tensor"
T = TypeVar("T", bound=Tensor)


def is_distributed_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of several processes; torch's module for them is not imported for this."""
    module = sys.modules.get(_MODULE)
    return module is not None and isinstance(value, module.DTensor)


def may_be_distributed() -> bool:
    """Return whether there may be tensors of several processes: torch's module for them is imported."""
    return _MODULE in sys.modules


def device_mesh(tensor: Tensor) -> Hashable:
    """Return the mesh of devices that holds a tensor together; `None` for a plain tensor."""
    return tensor.device_mesh if is_distributed_tensor(tensor) else None  # type: ignore[attr-defined]


def has_one_mesh(tensors: Sequence[Tensor]) -> bool:
    """Return whether torch can compute with tensors at once: all of them are plain, or on the same mesh."""
    if _MODULE not in sys.modules:
        return True
    return len(set(map(device_mesh, tensors))) < 2


def group_by_mesh(tensors: Iterable[T]) -> list[list[T]]:
    """Divide tensors into those that are plain and those of each mesh."""
    groups: dict[Hashable, list[T]] = {}
    for tensor in tensors:
        groups.setdefault(device_mesh(tensor), []).append(tensor)
    return list(groups.values())


def full_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor of several processes as a plain one with all values; a plain tensor is returned as it is.

    All processes of the mesh must call it. Gradients of the result reach the tensor once, not once a process.
    """
    if not is_distributed_tensor(tensor):
        return tensor
    check_not_alone()
    whole: Tensor = tensor.full_tensor()  # type: ignore[attr-defined]
    return whole


def check_not_alone() -> None:
    """Check that no callback of one process alone runs, which would wait for parts of weights in vain.

    Raises:
        RuntimeError: One does.
    """
    if is_alone():
        raise RuntimeError(
            "this callback runs on rank 0 alone, and the weights are divided among the processes, all of which must "
            "take part in using or gathering them. Write every_rank = True in the class of the callback."
        )


def local_part(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds; a plain tensor is returned as it is."""
    return tensor.to_local() if is_distributed_tensor(tensor) else tensor  # type: ignore[attr-defined]


def distribute_like(values: Tensor, tensor: Tensor) -> Tensor:
    """Divide plain values as another tensor is divided; no process sends anything, for all of them have the values.

    Args:
        values: A plain tensor, equal in all processes.
        tensor: Tensor whose mesh and placements are taken. If it is plain, the values are returned as they are.
    """
    if not is_distributed_tensor(tensor) or is_distributed_tensor(values):
        return values
    distribute = sys.modules[_MODULE].distribute_tensor
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]
    found: Tensor = distribute(values.to(tensor.device), mesh, placements, src_data_rank=None)
    return found


def distribute_state(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict whose plain tensors are divided as the tensors of the same names in another one."""
    return {
        name: distribute_like(value, own[name]) if isinstance(value, Tensor) and name in own else value
        for name, value in state.items()
    }


def replicate_like(values: Tensor, tensor: Tensor) -> Tensor:
    """Return plain values as a tensor on the mesh of another one, whole in each process; they stay plain if it is."""
    if not is_distributed_tensor(tensor) or is_distributed_tensor(values):
        return values
    module, mesh = sys.modules[_MODULE], tensor.device_mesh  # type: ignore[attr-defined]
    found: Tensor = module.distribute_tensor(values, mesh, [module.Replicate()] * mesh.ndim, src_data_rank=None)
    return found


@torch.no_grad()
def copy_values(target: Tensor, values: Tensor) -> None:
    """Copy values to a tensor in place; one of the two, or both, may be tensors of several processes."""
    if is_distributed_tensor(values) and not is_distributed_tensor(target):
        values = full_tensor(values)
    target.copy_(distribute_like(values.detach(), target))


def average_gradient(value: Tensor, tensor: Tensor) -> Tensor:
    """Let a backward pass average the gradient of a plain scalar over the processes of a mesh.

    Args:
        value: A plain scalar, equal in all processes.
        tensor: Tensor of the mesh; if it is plain, the gradient stays as it is.
    """
    if is_distributed_tensor(tensor) and value.requires_grad:
        mesh: Any = device_mesh(tensor)
        value.register_hook(lambda gradient: _reduce(gradient, mesh, distributed.ReduceOp.SUM) / mesh.size())
    return value


def is_true_everywhere(flag: bool, tensor: Tensor) -> bool:
    """Return whether a flag is true in all processes of a tensor's mesh, which all must call it."""
    if not is_distributed_tensor(tensor):
        return flag
    as_tensor = torch.tensor(float(flag), device=tensor.device)
    return bool(_reduce(as_tensor, device_mesh(tensor), distributed.ReduceOp.MIN).item())


def _reduce(values: Tensor, mesh: Any, operation: Any) -> Tensor:
    """Return a tensor reduced over all dimensions of a mesh."""
    values = values.clone()
    for dim in range(mesh.ndim):
        distributed.all_reduce(values, operation, group=mesh.get_group(dim))
    return values
