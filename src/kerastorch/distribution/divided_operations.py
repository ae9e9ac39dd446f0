"""Operations of a forward pass on divided activations: those that torch cannot divide get whole values.

torch computes with a `DTensor` only where it has a rule for the operation, and never with plain tensors beside it. A
model of plain torch modules multiplies by buffers, masks rows and calls `scaled_dot_product_attention`; all of it has
to give the numbers of one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.core.torch_private import pytree
from kerastorch.symbolic.fake_tensors import mute_fake_tensor_logs

_RANDOM = {
    "alpha_dropout", "bernoulli", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
    "feature_dropout", "gumbel_softmax", "multinomial", "normal", "poisson", "rand_like", "randint_like", "randn_like",
    "rrelu",
    "bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_",
}  # fmt: skip
_LEAVING = {"__array__", "__bool__", "__float__", "__index__", "__int__", "backward", "item", "numpy", "tolist"}
_NO_RULE = (RuntimeError, ValueError, TypeError, AssertionError, IndexError)  # includes NotImplementedError
_IN_PLACE = {f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")}


def run_within(root: nn.Module, layers: set[nn.Module]) -> None:
    """Let the forward passes of a module, and of its parts that contain divided layers, run with `DividedOperations`.

    Args:
        root: The module.
        layers: The layers whose outputs are divided.
    """
    mode = DividedOperations()
    for part in root.modules():
        if part not in layers and any(inner in layers for inner in part.modules()):
            part.register_forward_pre_hook(mode.enter, prepend=True)
            part.register_forward_hook(mode.leave, always_call=True)


class DividedOperations(TorchFunctionMode):
    """Calls operations on divided tensors so that they give what they would give in one process.

    Plain tensors beside a divided one are taken as equal in all processes. Where torch has no rule for an operation,
    and for random numbers on the CPU, which torch does not divide, the divided tensors are gathered.
    """

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def enter(self, _module: nn.Module, _args: Any) -> None:
        """Begin a forward pass; one within another one changes nothing."""
        if not self._depth:
            self.__enter__()  # type: ignore[no-untyped-call]
        self._depth += 1

    def leave(self, _module: nn.Module, _args: Any, _outputs: Any) -> None:
        """End the forward pass that began last."""
        self._depth -= 1
        if not self._depth:
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        example = next(filter(is_distributed_tensor, tensors), None)
        if example is None:
            return function(*args, **kwargs)
        if function is functional.scaled_dot_product_attention:
            return _attend(*args, **kwargs)
        name = getattr(function, "__name__", "")
        target = _target(name, args, kwargs)
        is_gathered = name in _LEAVING or (name in _RANDOM and example.device.type == "cpu")
        if not is_gathered and (target is None or is_distributed_tensor(target)):
            try:
                with mute_fake_tensor_logs():
                    return function(*_replicated(args, example), **_replicated(kwargs, example))
            except torch.OutOfMemoryError:
                raise
            except _NO_RULE:
                pass  # no rule, or an error of the model's own, which follows in the words of plain torch
        return _whole(function, args, kwargs, target)


def _target(name: str, args: Any, kwargs: Any) -> Tensor | None:
    """Return the tensor that an operation changes in place, if it does."""
    if isinstance(kwargs.get("out"), Tensor):
        return kwargs["out"]  # type: ignore[no-any-return]
    changes = name in _IN_PLACE or name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    return args[0] if changes and args and isinstance(args[0], Tensor) else None


def _whole(function: Callable[..., Any], args: Any, kwargs: Any, target: Tensor | None) -> Any:
    """Call an operation with whole tensors; one that changes a divided tensor writes to it afterwards."""
    args, kwargs = pytree.tree_map(_gathered, (args, kwargs))
    result = function(*args, **kwargs)
    if target is None or not is_distributed_tensor(target):
        return result
    changed = kwargs["out"] if "out" in kwargs else args[0]
    return target.copy_(_replicate(changed, target))


def _gathered(value: Any) -> Any:
    return full_tensor(value) if isinstance(value, Tensor) else value


def _replicated(values: Any, example: Tensor) -> Any:
    """Return nested values with the plain tensors among them as tensors of all processes, whole in each."""
    return pytree.tree_map(lambda one: _replicate(one, example) if isinstance(one, Tensor) else one, values)


def _replicate(value: Tensor, example: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor, Replicate

    if is_distributed_tensor(value):
        return value
    return DTensor.from_local(value, example.device_mesh, [Replicate()], run_check=False)  # type: ignore[attr-defined]


def _attend(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, **options: Any
) -> Tensor:
    """Attend with the heads that each process has; with whole tensors if it is not the heads that are divided."""
    from torch.distributed.tensor import DTensor

    attend: Callable[..., Tensor] = functional.scaled_dot_product_attention
    inputs = (query, key, value)
    axis = _divided_axis(inputs)
    if attn_mask is not None and axis is not None:
        whole = full_tensor(attn_mask)
        from_end = query.ndim - axis
        axis = axis if whole.ndim < from_end or whole.shape[-from_end] == 1 else None
        attn_mask = whole
    if dropout_p or axis is None:  # random numbers as in one process
        whole_inputs = [full_tensor(one) for one in inputs]
        return attend(*whole_inputs, _gathered(attn_mask), dropout_p, **options)
    local = [one.to_local() for one in inputs]  # type: ignore[attr-defined]
    found = attend(*local, attn_mask, **options)
    return DTensor.from_local(found, query.device_mesh, query.placements, run_check=False)  # type: ignore[attr-defined]


def _divided_axis(inputs: tuple[Tensor, ...]) -> int | None:
    """Return the one axis before the last two, counted from the first, along which all tensors are divided equally."""
    if not all(map(is_distributed_tensor, inputs)):
        return None
    first: Any = inputs[0]
    if any(one.placements != first.placements for one in inputs) or not first.placements[0].is_shard():  # type: ignore[attr-defined]
        return None
    axis = int(first.placements[0].dim)
    world = first.device_mesh.size()
    return axis if axis < first.ndim - 2 and all(one.shape[axis] % world == 0 for one in inputs) else None
