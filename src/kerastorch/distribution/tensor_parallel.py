"""Tensor parallelism: each process has a part of the units of some layers.

The output of a `"column"` layer of units is a `DTensor`, divided along its last axis, on which activations and products
with other outputs of this kind work. Where it reaches a module with whole weights, or leaves the model, it is gathered;
a `"row"` layer takes it as it is, and sums its outputs over the processes. Outputs of embeddings are gathered at once.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.core.errors import suggest
from kerastorch.core.module_tree import is_built, module_within
from kerastorch.core.process_group import world_size
from kerastorch.core.torch_private import pytree
from kerastorch.distribution.divided_operations import run_within
from kerastorch.distribution.settings import TensorParallel
from kerastorch.layers.core import Dense
from kerastorch.layers.embedding import Embedding
from kerastorch.layers.random_generator import generators_in

_LINEAR, _EMBEDDING = (nn.Linear, Dense), (nn.Embedding, Embedding)
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_DIVIDED_AXES = {("linear", "column"): 0, ("linear", "row"): 1, ("embedding", "column"): 1, ("embedding", "row"): 0}


def apply(model: nn.Module, settings: TensorParallel, mesh: Any = None) -> None:
    """Divide the layers of a model among processes in place; all of them must call it, with the same batches later.

    Divided weights get the values of rank 0. All other weights stay whole, and must be equal in all processes.

    Args:
        model: A built model. For a view of a module, that module is changed.
        settings: The plan.
        mesh: One-dimensional `DeviceMesh` of the processes. Default: one of all processes, with the kind of device that
            the model has.

    Raises:
        TypeError: A pattern matches a layer that cannot be divided.
        ValueError: The model is not built; a pattern matches nothing; a layer has a size that the number of processes
            does not divide.
    """
    from torch.distributed.device_mesh import init_device_mesh

    root = module_within(model)
    if not is_built(model):
        raise ValueError("TensorParallel: the model has no weights yet. Build it first: model.build(input_shape).")
    if mesh is None:
        mesh = init_device_mesh(next((weight.device.type for weight in root.parameters()), "cpu"), (world_size(),))
    chosen = find_layers(root, settings.plan, mesh.size())
    named = dict(root.named_modules())
    divided: dict[int, nn.Parameter] = {}
    for name, how in chosen.items():
        if not is_distributed_tensor(named[name].weight):
            _divide(named[name], how, mesh, divided)
    for name, part in named.items():
        if name not in chosen and _needs_whole_inputs(part, mesh):
            part.register_forward_pre_hook(_gather_inputs, with_kwargs=True)
    root.register_forward_hook(_gather_outputs)
    run_within(root, {named[name] for name in chosen})


def _needs_whole_inputs(part: nn.Module, mesh: Any) -> bool:
    """Return whether a module has whole weights, or draws random numbers that torch cannot divide on the CPU."""
    if next(part.parameters(recurse=False), None) is not None or generators_in(part):
        return True
    return isinstance(part, _DROPOUT) and mesh.device_type == "cpu"


def find_layers(root: nn.Module, plan: Mapping[str, str], world: int) -> dict[str, str]:
    """Return how each layer is divided, by its name.

    Args:
        root: The module.
        plan: `"column"` or `"row"` by pattern of names; the first pattern that matches a name counts.
        world: Number of processes.

    Raises:
        TypeError: A pattern matches a layer that cannot be divided.
        ValueError: A pattern matches nothing, a size is no multiple of the number of processes, or layers with one
            weight would divide it differently.
    """
    named = {name: part for name, part in root.named_modules() if name}
    uncalled = {inner for part in named.values() if isinstance(part, nn.MultiheadAttention) for inner in part.modules()}
    found: dict[str, str] = {}
    for pattern, how in plan.items():
        matched = fnmatch.filter(named, pattern)
        if not matched:
            raise ValueError(
                f"TensorParallel: {pattern!r} matches no module.{suggest(pattern, named)} "
                f"The model has: {', '.join(named)}."
            )
        for name in matched:
            if name not in found:
                if named[name] in uncalled:
                    raise TypeError(
                        f"TensorParallel: {name!r} belongs to nn.MultiheadAttention, which divides no weights. Leave "
                        "it out, or make the attention of Linear layers for queries, keys, values and outputs."
                    )
                _check_layer(name, named[name], how, world)
                found[name] = how
    _check_shared(root, found)
    return found


def _kind(part: nn.Module) -> str | None:
    if isinstance(part, _LINEAR):
        return "linear"
    return "embedding" if isinstance(part, _EMBEDDING) else None


def _check_layer(name: str, part: nn.Module, how: str, world: int) -> None:
    kind = _kind(part)
    if kind is None:
        raise TypeError(
            f"TensorParallel divides Dense, nn.Linear and Embedding layers; {name!r} is {type(part).__name__}. Let the "
            "pattern match the layers within it."
        )
    size = int(part.weight.shape[_DIVIDED_AXES[kind, how]])  # type: ignore[index]
    if size % world:
        what = {
            ("linear", "column"): "units", ("linear", "row"): "inputs",
            ("embedding", "column"): "numbers a vector", ("embedding", "row"): "vectors",
        }[kind, how]  # fmt: skip
        raise ValueError(
            f"TensorParallel: {name!r} has {size} {what}, which {world} processes cannot divide equally. Use a "
            f"multiple of {world}, or leave the layer out."
        )


def _placement(kind: str | None, how: str, key: str) -> int | None:
    """Return the axis along which a weight of a layer is divided; `None` for one that stays whole."""
    if key == "weight":
        return _DIVIDED_AXES[kind, how]  # type: ignore[index]
    return None if (kind, how) == ("linear", "row") else 0


def _check_shared(root: nn.Module, chosen: Mapping[str, str]) -> None:
    """Check that all modules that have a divided weight divide it equally.

    Raises:
        ValueError: A module shares the weight and is left out, or divides it along another axis.
    """
    named = dict(root.named_modules())
    users: dict[int, list[tuple[str, str]]] = {}
    for name, part in named.items():
        for key, weight in part.named_parameters(recurse=False):
            users.setdefault(id(weight), []).append((name, key))
    for places in users.values():
        axes = {
            _placement(_kind(named[name]), chosen[name], key) if name in chosen else "whole" for name, key in places
        }
        if len(axes) > 1:
            first, other = (f"{name}.{key}".lstrip(".") for name, key in places[:2])
            raise ValueError(
                f"TensorParallel: {first!r} and {other!r} are one weight, and the plan divides it for one of them "
                "alone or along different axes. An Embedding by 'row' goes with a Linear by 'column', one by 'column' "
                "with a Linear by 'row'; or leave out both."
            )


def _divide(layer: nn.Module, how: str, mesh: Any, divided: dict[int, nn.Parameter]) -> None:
    """Divide the weights of a layer, and convert its inputs and outputs.

    Args:
        layer: The layer.
        how: `"column"` or `"row"`.
        mesh: The processes.
        divided: What weights that layers share were replaced by; those of the layer are added.
    """
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_module, distribute_tensor

    kind = _kind(layer)
    is_row_linear = (kind, how) == ("linear", "row")

    def divide(_: str, part: nn.Module, mesh: Any) -> None:
        for key, weight in list(part.named_parameters(recurse=False)):
            if id(weight) not in divided:
                axis = _placement(kind, how, key)
                parts = distribute_tensor(weight.detach(), mesh, [Replicate() if axis is None else Shard(axis)])
                divided[id(weight)] = nn.Parameter(parts, requires_grad=weight.requires_grad)
            part.register_parameter(key, divided[id(weight)])

    def take_inputs(_: nn.Module, inputs: tuple[Any, ...], mesh: Any) -> tuple[Any, ...]:
        x, *others = inputs
        if not is_distributed_tensor(x):
            x = DTensor.from_local(x, mesh, [Replicate()], run_check=False)
        return (x.redistribute(placements=[Shard(-1) if is_row_linear else Replicate()]), *others)

    def give_outputs(_module: nn.Module, outputs: Any, _mesh: Any) -> Any:
        stays_divided = (kind, how) == ("linear", "column")
        return outputs.redistribute(placements=[Shard(-1)]) if stays_divided else full_tensor(outputs)

    inputs: Any = take_inputs  # torch declares that it returns nothing
    distribute_module(layer, mesh, divide, inputs, give_outputs)


def _gather_inputs(_: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Gather the inputs of a module whose weights are whole."""
    return pytree.tree_map(_gather, args), pytree.tree_map(_gather, kwargs)


def _gather_outputs(_module: nn.Module, _args: Any, outputs: Any) -> Any:
    """Gather what leaves the model."""
    return pytree.tree_map(_gather, outputs)


def _gather(value: Any) -> Any:
    return full_tensor(value) if isinstance(value, Tensor) else value
