"""Fully sharded data parallelism: `fully_shard` applied to the blocks of a model."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.collectives import copy_from_first
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.errors import suggest
from kerastorch.core.module_tree import is_built, module_within
from kerastorch.core.process_group import world_size
from kerastorch.core.sharded_modules import is_fully_sharded
from kerastorch.core.torch_private import end_sharding, pytree
from kerastorch.distribution.settings import FullyShard

_UNCALLED = (nn.ModuleList, nn.ModuleDict)  # hold modules, and have no forward pass themselves


def apply(model: nn.Module, settings: FullyShard, mesh: Any = None, *, calls_parts: bool = False) -> None:
    """Shard the weights of a model in place, block by block, then what is left; all processes must call it.

    Blocks and models that are sharded already stay as they are. So do weights with a single number and no dimension,
    which cannot be divided, such as a learned temperature: each process has them whole. The
    weights of rank 0 are used, unless they are on the meta device.

    Args:
        model: A built model. For a view of a module, that module is sharded.
        settings: Which blocks are sharded, and how.
        mesh: `DeviceMesh` of the processes. Default: one of all processes, with the kind of device that the model has.
        calls_parts: Whether a step calls children of the model by themselves, so that each must be a block.

    Raises:
        ValueError: The model is not built; a pattern matches nothing that can be sharded; blocks share a weight.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    root = module_within(model)
    if not is_built(model):
        raise ValueError("FullyShard: the model has no weights yet. Build it first: model.build(input_shape).")
    if is_fully_sharded(root):
        return
    whole = [one for one in (*root.parameters(), *root.buffers()) if not (is_distributed_tensor(one) or one.is_meta)]
    copy_from_first(whole)
    if mesh is None:
        mesh = init_device_mesh(_device_type(root), (world_size(),))
    options = _options(settings, mesh) | {"ignored_params": {one for one in root.parameters() if not one.ndim}}
    blocks = find_blocks(root, settings)
    if calls_parts:
        blocks += [block for block in find_blocks(root, FullyShard()) if block not in blocks]
    for block in blocks:
        if not is_fully_sharded(block):
            block.register_forward_hook(_copy_views)
            fully_shard(block, mesh=mesh, mp_policy=_precision(settings), **options)
    root.register_forward_hook(_copy_views)
    fully_shard(root, mesh=mesh, mp_policy=_precision(settings, is_root=True), **options)


def complete(model: nn.Module) -> None:
    """Make the whole model the outermost module that is sharded, even if a step of your own calls a part of it first.

    Args:
        model: A model that `apply` has sharded, whose weights have values.
    """
    end_sharding(module_within(model))


def _copy_views(_module: nn.Module, _args: Any, outputs: Any) -> Any:
    """Copy outputs that are views, as recurrent layers return them: torch would lose hooks if they changed in place."""
    return pytree.tree_map(lambda one: one.clone() if isinstance(one, Tensor) and one._is_view() else one, outputs)


def find_blocks(root: nn.Module, settings: FullyShard) -> list[nn.Module]:
    """Return the modules within a module that are sharded by themselves, the innermost ones first.

    Args:
        root: The module.
        settings: Has the patterns or the size.

    Raises:
        ValueError: A pattern matches nothing that can be sharded, or a module that shares a weight with another one.
    """
    shard = settings.shard
    if shard is None:
        found = [block for block in _children(root) if not _shared_weights(root, block)]
    elif isinstance(shard, int):
        found = _of_size(root, shard)
    else:
        found = _of_patterns(root, shard)
    return list(dict.fromkeys(found))


def _children(root: nn.Module) -> Iterator[nn.Module]:
    """Yield the children that have parameters; those of a list of modules, and of an only child, in its place."""
    children = [child for child in root.children() if _has_parameters(child)]
    for child in children:
        if isinstance(child, _UNCALLED) or (len(children) == 1 and any(map(_has_parameters, child.children()))):
            yield from _children(child)
            if isinstance(child, _UNCALLED):
                continue
        yield child


def _of_size(root: nn.Module, size: int) -> list[nn.Module]:
    """Return the modules with at least `size` parameters that no module within them has taken."""
    found: list[nn.Module] = []
    taken: set[int] = set()
    for block in _candidates(root):
        own = [weight for weight in block.parameters() if id(weight) not in taken]
        if sum(weight.numel() for weight in own) >= size and not _shared_weights(root, block):
            found.append(block)
            taken.update(map(id, own))
    return found


def _candidates(root: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that gather their weights when they are called, the innermost ones first."""
    within = {
        part
        for attention in root.modules()
        if isinstance(attention, nn.MultiheadAttention)  # it uses the weights of its parts without calling them
        for part in attention.modules()
        if part is not attention
    }
    for block in reversed(list(root.modules())):
        if block is not root and block not in within and not isinstance(block, _UNCALLED):
            yield block


def _of_patterns(root: nn.Module, patterns: Iterable[str]) -> list[nn.Module]:
    """Return the modules whose names match a pattern.

    Raises:
        ValueError: A pattern matches no module with weights, a list of modules, or a module that shares a weight.
    """
    named = {name: part for name, part in root.named_modules() if name and _has_parameters(part)}
    chosen: set[str] = set()
    for pattern in patterns:
        matched = fnmatch.filter(named, pattern)
        if not matched:
            raise ValueError(
                f"FullyShard: {pattern!r} matches no module with weights.{suggest(pattern, named)} "
                f"The model has: {', '.join(named)}."
            )
        chosen.update(matched)
    for name in chosen:
        if isinstance(named[name], _UNCALLED):
            kind = type(named[name]).__name__
            raise ValueError(f"FullyShard: {name!r} is a {kind}, which is never called. Write {name + '.*'!r}.")
        if shared := _shared_weights(root, named[name]):
            raise ValueError(
                f"FullyShard: {name!r} shares {shared[0]!r} with another module, so both must be in one block. Leave "
                "them to the whole model, or name the block that contains both."
            )
    return [named[name] for name in reversed(list(named)) if name in chosen]


def _shared_weights(root: nn.Module, block: nn.Module) -> list[str]:
    """Return the names of the weights of a block that modules outside it have, too."""
    inside = set(block.modules())
    outside = {id(weight) for part in root.modules() if part not in inside for weight in part.parameters(recurse=False)}
    return [name for name, weight in block.named_parameters() if id(weight) in outside]


def _has_parameters(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None


def _device_type(root: nn.Module) -> str:
    """Return the kind of device that a module is on; for one on the meta device, the accelerator or the CPU."""
    found = next((weight.device.type for weight in root.parameters()), "cpu")
    if found != "meta":
        return found
    return "cuda" if torch.cuda.is_available() else "cpu"


def _options(settings: FullyShard, mesh: Any) -> dict[str, Any]:
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy

    offload = CPUOffloadPolicy(pin_memory=mesh.device_type == "cuda") if settings.offload else OffloadPolicy()
    # None: the outermost module, whose backward pass comes first, stays gathered
    return {"offload_policy": offload, "reshard_after_forward": None if settings.reshard else False}


def _precision(settings: FullyShard, *, is_root: bool = False) -> Any:
    """Return the dtypes of a block; the outputs of the whole model are float32, in which losses are computed."""
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if settings.precision is None:
        return MixedPrecisionPolicy()
    output = torch.float32 if is_root else None
    return MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=output)
