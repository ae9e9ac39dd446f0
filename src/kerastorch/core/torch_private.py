"""Every private name of torch that kerastorch uses, with what happens if a version of torch lacks it.

Importing this file always works. If a name is missing, either a public substitute takes its place, or the feature
that needs the name raises `NotImplementedError` when it is used. `Module._parameters`, `_buffers` and `_modules`, and
methods that torch documents for subclasses to override, such as `_load_from_state_dict`, are used directly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.nn.modules import batchnorm, conv, dropout

from kerastorch.core import kernel_substitutes
from kerastorch.core.distributed_tensors import has_one_mesh


class _Missing:
    """A stand-in for a private name that torch lacks, which raises on each use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise _lacks(self._name)

    def __getattr__(self, attribute: str) -> NoReturn:
        raise _lacks(self._name)


def _lacks(name: str) -> NotImplementedError:
    return NotImplementedError(f"torch {torch.__version__} has no {name}, which kerastorch uses here.")


def required(owner: Any, name: str) -> Any:
    """Return a private attribute, which must exist for the feature that asks for it."""
    found = getattr(owner, name, None)
    if found is None:
        raise _lacks(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}")
    return found


def end_sharding(root: nn.Module) -> None:
    """Let torch find out now that a module is the outermost one that `fully_shard` was called with.

    By itself it takes the first module that is called, and a part of a model may be called before the whole.
    """
    required(required(root, "_get_fsdp_state")(), "_lazy_init")()


def current_backward() -> int:
    """Return the number of the backward pass that runs in this thread; -1 if there is none."""
    return int(required(torch._C, "_current_graph_task_id")())


def call_after_backward(function: Callable[[], None]) -> None:
    """Call a function at the end of the backward pass that runs now, from one of whose hooks this is called."""
    required(torch.autograd.Variable, "_execution_engine").queue_callback(function)


# --- nested structures and dispatch modes ----------------------------------------------------------------------

# Maps and flattens nested lists, tuples and dicts: inputs, states of layers, optimizer states.
try:
    from torch.utils import _pytree
except ImportError:
    _pytree = _Missing("torch.utils._pytree")  # type: ignore[assignment]
pytree = _pytree

# Base of what counts multiply-adds for a summary and what draws the graph for TensorBoard: sees each operation.
if TYPE_CHECKING:
    from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode
else:
    try:
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError:

        class TorchDispatchMode:
            """A stand-in for torch's class, which raises when an instance is created."""

            def __init__(self) -> None:
                raise _lacks("torch.utils._python_dispatch.TorchDispatchMode")


def disable_torch_function() -> AbstractContextManager[None]:
    """Return a context without `__torch_function__`, for views of tensors whose operations are observed."""
    return required(torch._C, "DisableTorchFunction")()  # type: ignore[no-any-return]


def operation_packet(operation: Any) -> Any:
    """Return the operation without its overload: the key of the formulas that count multiply-adds."""
    return required(operation, "_overloadpacket")


def operation_name(operation: Any) -> str:
    """Return the name of an operation without its namespace: a node's label in TensorBoard's graph."""
    schema = getattr(operation, "_schema", None)
    return str(operation if schema is None else schema.name).rpartition("::")[2]


def current_autograd_node() -> str:
    """Return the name of the node whose backward runs in this thread, such as `'SqrtBackward0'`, or an empty string."""
    find = getattr(torch._C, "_current_autograd_node", None)
    node = None if find is None else find()
    return "" if node is None else str(node.name())


def operation_schema(operation: Any) -> Any:
    """Return the arguments and results of an operation, with what it changes in place."""
    return required(operation, "_schema")


def aten_operation(name: str) -> Any:
    """Return a private operation of `torch.ops.aten`, or `None`: torch does not count its multiply-adds."""
    return getattr(torch.ops.aten, name, None)


def rename_node(node: torch.fx.Node, name: str) -> None:
    """Rename a node of a graph: a functional model's inputs keep names that do not collide."""
    required(node, "_rename")(name)


# --- fake tensors and compilation (imported when first used: they are slow to import) ---------------------------


def fake_tensor_module() -> Any:
    """Import torch's fake tensors: shapes without values, for symbolic tensors and summaries."""
    try:
        return importlib.import_module("torch._subclasses.fake_tensor")
    except ImportError as error:
        raise _lacks("torch._subclasses.fake_tensor") from error


EXPORT_LOGGERS = ("torch._export", "torch._dynamo")  # log what an export does, and failures that the error states
FAKE_TENSOR_LOGGER = "torch._subclasses.fake_tensor"  # logs each failed operation, which the error states anyway


def inductor() -> Any:
    """Import Inductor, whose `compile` turns a captured training step into machine code."""
    try:
        return importlib.import_module("torch._inductor")
    except ImportError as error:
        raise _lacks("torch._inductor") from error


def inductor_realize() -> Any:
    """Return the operation that makes Inductor store a value instead of computing it again."""
    try:
        importlib.import_module("torch._inductor.test_operators")  # registers the operation
    except ImportError as error:
        raise _lacks("torch._inductor.test_operators") from error
    return torch.ops._inductor_test.realize.default


@contextmanager
def compiling_flag() -> Iterator[None]:
    """Set the flag that makes torch's optimizers leave their scalars on the device.

    A step that is captured as a graph cannot read them.
    """
    before = getattr(torch.compiler, "_is_compiling_flag", None)
    if before is None:
        raise _lacks("torch.compiler._is_compiling_flag")
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


# --- kernels ---------------------------------------------------------------------------------------------------


def _unless_mixed(name: str, substitute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel for many tensors; it is replaced by a loop for those that torch does not take together."""
    kernel: Callable[..., Any] | None = getattr(torch, name, None)
    if kernel is None:
        return substitute

    def call(tensors: list[Tensor], *args: Any, **kwargs: Any) -> Any:
        return (kernel if has_one_mesh(tensors) else substitute)(tensors, *args, **kwargs)

    return call


# One call for many tensors: norms and clipping of gradients, weight decay, accumulation, copies of weights.
foreach_norm = _unless_mixed("_foreach_norm", kernel_substitutes.norms)
foreach_copy_ = _unless_mixed("_foreach_copy_", kernel_substitutes.copy_)
foreach_mul_ = _unless_mixed("_foreach_mul_", kernel_substitutes.mul_)
foreach_div_ = _unless_mixed("_foreach_div_", kernel_substitutes.div_)


def foreach_kernel(name: str) -> Callable[..., Any]:
    """Return the kernel that calls a method of many tensors at once, such as `"lerp_"`: steps of optimizers."""
    found: Callable[..., Any] | None = getattr(torch, f"_foreach_{name}", None)
    return kernel_substitutes.loop(name) if found is None else found


# The kernel of `GradScaler.unscale_`: one pass over many gradients that finds NaN and infinity.
foreach_unscale_: Callable[..., Any] = getattr(
    torch, "_amp_foreach_non_finite_check_and_unscale_", kernel_substitutes.unscale_
)
# Gamma-distributed values from a given generator: layers that draw from beta distributions with a seed.
standard_gamma: Callable[..., Any] = getattr(torch, "_standard_gamma", _Missing("torch._standard_gamma"))
# Puts the weights of a recurrent layer into one piece of memory, without which cuDNN copies them at each call.
cudnn_rnn_flatten_weight: Callable[..., Any] = getattr(torch, "_cudnn_rnn_flatten_weight", lambda *args: None)
# `(fan_in, fan_out)` of a weight, for the initializers that scale with them.
calculate_fan_in_and_fan_out: Callable[[Tensor], tuple[int, int]] = getattr(
    init, "_calculate_fan_in_and_fan_out", kernel_substitutes.fans
)


def rnn_kernel(name: str) -> Callable[..., Any]:
    """Return torch's fused kernel `"lstm"`, `"gru"`, `"rnn_tanh"` or `"rnn_relu"`."""
    return required(getattr(torch, "_VF", torch), name)  # type: ignore[no-any-return]


# --- tensors ---------------------------------------------------------------------------------------------------

TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")  # the attributes that hold a tensor's hooks


def has_gradient_hooks(tensor: Tensor) -> bool:
    """Return whether a tensor has a hook on its gradient, which a compiled step would not call."""
    return any(getattr(tensor, name, None) for name in TENSOR_HOOKS)


def write_count(tensor: Tensor) -> int:
    """Return the number of writes in place to a tensor: tells whether its values may have changed."""
    return required(tensor, "_version")  # type: ignore[no-any-return]


def is_transformed() -> bool:
    """Return whether a transform of `torch.func`, such as `vmap`, is running: random numbers may differ by sample."""
    functorch = getattr(torch._C, "_functorch", None)
    peek = getattr(functorch, "peek_interpreter_stack", None)
    return peek is None or peek() is not None


def is_view(tensor: Tensor) -> bool:
    """Return whether a tensor shares the memory of another one, so that it must be copied to be kept."""
    found = getattr(tensor, "_is_view", None)
    return True if found is None else bool(found())


def base_of(tensor: Any) -> Tensor | None:
    """Return the tensor that a tensor is a view of: views of weights are no state of their own."""
    return getattr(tensor, "_base", None)


def sparse_values(tensor: Tensor) -> Tensor:
    """Return the stored values of a sparse tensor: of a gradient, to check whether it is finite."""
    found = getattr(tensor, "_values", None)
    return tensor.coalesce().values() if found is None else found()


def storage_key(tensor: Tensor) -> int:
    """Return a number that identifies the memory of a tensor, so that memory is counted once."""
    storage = tensor.untyped_storage()
    found = getattr(storage, "_cdata", None)
    return int(storage.data_ptr() if found is None else found)


# --- modules ---------------------------------------------------------------------------------------------------

# Base classes of the normalization, convolution and dropout modules.
BatchNormBase: Any = getattr(batchnorm, "_BatchNorm", (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
NormBase: Any = getattr(batchnorm, "_NormBase", (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
ConvBase: Any = getattr(conv, "_ConvNd", (nn.Conv1d, nn.Conv2d, nn.Conv3d))
DropoutBase: Any = getattr(dropout, "_DropoutNd", (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d))

# The attributes in which a recurrent module of torch mirrors its weights: their changes are no state of the user.
RNN_WEIGHT_MIRRORS = ("_flat_weights", "_flat_weight_refs")

# The attributes that hold what a module consists of: a view of a module shares them.
MODULE_CONTENTS = tuple(
    name for name in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set") if name in vars(nn.Module())
)

# The function that each call of a module runs through: finds the module whose `forward` is running, in the stack.
CALL_CODE: Any = getattr(getattr(nn.Module, "_call_impl", None), "__code__", None)
# The child of a module that `torch.compile(module)` returns, and where the class of the wrapper is defined.
COMPILED_CHILD = "_orig_mod"
COMPILED_CLASS = ("torch._dynamo.eval_frame", "OptimizedModule")
FSDP_CHILD = "_fsdp_wrapped_module"  # the child of a module that `FullyShardedDataParallel` wraps
# Whether layers may call `_call_impl` directly, which saves a frame in each call of a layer.
HAS_CALL_IMPL = hasattr(nn.Module, "_call_impl") and hasattr(nn.Module, "_compiled_call_impl")


def is_compiled_in_place(module: nn.Module) -> bool:
    """Return whether `module.compile()` was called, so that submodules are not called."""
    return getattr(module, "_compiled_call_impl", None) is not None


def non_persistent_buffers(module: nn.Module) -> set[str]:
    """Return the module's own set of names of buffers that are not in its `state_dict`."""
    return getattr(module, "_non_persistent_buffers_set", set())


def module_hooks(module: nn.Module, *kinds: str) -> list[Any]:
    """Return the hooks of a module of the kinds `forward`, `forward_pre`, `backward`, `backward_pre`."""
    return [hook for kind in kinds for hook in getattr(module, f"_{kind}_hooks", {}).values()]


def has_loading_hooks(module: nn.Module) -> bool:
    """Return whether hooks run before weights are loaded into a module: they may refuse the weights."""
    return bool(getattr(module, "_load_state_dict_pre_hooks", True))


# --- data loaders ----------------------------------------------------------------------------------------------


def has_persistent_iterator(loader: Any) -> bool:
    """Return whether a `DataLoader` holds running workers from its last pass."""
    return getattr(loader, "_iterator", None) is not None


def drop_persistent_iterator(loader: Any) -> None:
    """Make a `DataLoader` start new workers in its next pass."""
    loader._iterator = None


def shut_down_workers(iterator: Any) -> None:
    """Stop the workers of a `DataLoader`'s iterator now, and not when the iterator is freed."""
    stop = getattr(iterator, "_shutdown_workers", None)
    if stop is not None:
        stop()


def worker_processes(iterator: Any) -> list[Any]:
    """Return the worker processes of a `DataLoader`'s iterator, to explain why one has ended."""
    return list(getattr(iterator, "_workers", ()))


# --- process groups --------------------------------------------------------------------------------------------


def default_store() -> Any:
    """Return the store of the default process group, in which ranks leave messages that others read later."""
    from torch.distributed import distributed_c10d  # torch may have been built without it

    return required(distributed_c10d, "_get_default_store")()
