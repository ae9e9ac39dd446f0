"""NonFiniteProbe: observes a training step by hooks, to name the first tensor that is NaN or infinite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.name_lookup import own_name
from kerastorch.core.torch_private import TorchDispatchMode, current_autograd_node, operation_name
from kerastorch.runtime.tensor_stats import TensorStats, tensors_of, worst_value


@dataclass
class LayerRecord:
    """What one module did in the observed step.

    Attributes:
        path: Path of the module in the model; empty for the model itself.
        layer: Name of its class.
        label: Name that the user has given to the layer, or its path.
        output: Statistics of the outputs of its last call; `None` for a module that was not called.
        gradient: Statistics of the gradient of these outputs; `None` if there was none.
    """

    path: str
    layer: str
    label: str
    output: TensorStats | None = None
    gradient: TensorStats | None = None


@dataclass(frozen=True)
class ForwardFault:
    """A call of a module in which the first value arose that is not finite.

    Attributes:
        path: Path of the module.
        value: `'nan'`, `'inf'` or `'-inf'`.
        before: Path of the child that received the value, if it arose in the code between the calls of two children.
        operation: Name of the operation that returned the value, if it was seen.
    """

    path: str
    value: str
    before: str | None
    operation: str


@dataclass(frozen=True)
class GradientFault:
    """The gradient of a tensor between two modules, the first one in the backward pass that is not finite.

    Attributes:
        value: `'nan'`, `'inf'` or `'-inf'`.
        producer: Path of the module that returned the tensor; `None` for an input of the model.
        consumer: Path of the innermost module that the tensor was given to; `None` if there is none.
        operation: Name of the operation whose backward returned the value, if it was seen.
    """

    value: str
    producer: str | None
    consumer: str | None
    operation: str


@dataclass
class _Hooked:
    """A tensor with a gradient hook, and the modules that it passes between."""

    tensor: Tensor
    producer: str | None = None
    consumers: list[str] = field(default_factory=list)


class NonFiniteProbe:
    """Hooks on all modules of a model that record outputs and gradients of one forward and backward pass.

    Reading the values waits for the device, so that a probe is attached only to repeat a step that has failed.

    Args:
        model: The model.

    Attributes:
        records: The modules in the order in which their calls end.
        forward_fault: The first output that is not finite.
        first_nan: Path of the first module with NaN in its output.
        gradient_fault: The first gradient of an activation that is not finite.
        loss_operation: Name of the first operation outside of the model whose result is not finite.
        is_frozen: Nothing more is recorded.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.is_frozen = False
        self.records: dict[str, LayerRecord] = {}
        self.forward_fault: ForwardFault | None = None
        self.first_nan: str | None = None
        self.gradient_fault: GradientFault | None = None
        self.loss_operation = ""
        self._hooked: dict[int, _Hooked] = {}
        self._open: list[str] = []  # paths of the running calls
        self._forward_operations: dict[str, str] = {}  # the first one by path of the running call
        self._backward_operation = ""

    def freeze(self) -> None:
        """Record nothing more."""
        self.is_frozen = True

    def forget_faults(self) -> None:
        """Forget values that were not finite, as infinity in a mask, because loss and gradients were finite."""
        self.forward_fault = self.first_nan = self.gradient_fault = None
        self.loss_operation = self._backward_operation = ""
        self._forward_operations = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Observe the calls of all modules within the block. Scripted modules take no hooks and are left out."""
        with ExitStack() as stack:
            for path, part in self._model.named_modules():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                before = part.register_forward_pre_hook(self._begin(path), with_kwargs=True)
                after = part.register_forward_hook(self._end(path, type(part).__name__, own_name(part) or path))
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.enter_context(_FirstOperations(self))
            yield

    def _begin(self, path: str) -> Callable[..., None]:
        def begin(_: nn.Module, args: Any, kwargs: Any) -> None:
            if self.is_frozen:
                return
            given = tensors_of([list(args), kwargs])
            if self.forward_fault is None and self._open:
                # a mask may hold -inf; a value that depends on weights requires a gradient
                bad = next((worst for one in given if one.requires_grad and (worst := worst_value(one))), "")
                if bad:
                    self.forward_fault = ForwardFault(self._open[-1], bad, path, self._operation(self._open[-1]))
            for tensor in given:
                if tensor.requires_grad:
                    self._watch(tensor).consumers.append(path)
            self._open.append(path)

        return begin

    def _end(self, path: str, layer: str, label: str) -> Callable[..., None]:
        def end(_: nn.Module, __: Any, output: Any) -> None:
            if self.is_frozen:
                return
            while self._open and self._open.pop() != path:  # a call that raised has left its path
                pass
            tensors = tensors_of(output)
            stats = TensorStats.of(tensors)
            self.records.pop(path, None)  # in the order of the last calls
            self.records[path] = LayerRecord(path, layer, label, stats)
            if stats is not None and stats.worst and self.forward_fault is None:
                self.forward_fault = ForwardFault(path, stats.worst, None, self._operation(path))
            if stats is not None and stats.worst == "nan" and self.first_nan is None:
                self.first_nan = path
            for tensor in tensors:
                if tensor.requires_grad and not tensor.is_leaf:
                    hooked = self._watch(tensor)
                    if hooked.producer is None:  # the innermost module; containers return the same tensor
                        hooked.producer = path

        return end

    def _watch(self, tensor: Tensor) -> _Hooked:
        """Return the entry of a tensor, whose gradient is observed from now on."""
        entry = self._hooked.get(id(tensor))
        if entry is None or entry.tensor is not tensor:
            entry = self._hooked[id(tensor)] = _Hooked(tensor)
            tensor.register_hook(lambda gradient: self._observe_gradient(entry, gradient))
        return entry

    def _observe_gradient(self, entry: _Hooked, gradient: Tensor) -> None:
        if self.is_frozen:
            return
        stats = TensorStats.of([gradient])
        record = self.records.get(entry.producer) if entry.producer is not None else None
        if record is not None:
            record.gradient = stats
        if stats is None or not stats.worst or self.gradient_fault is not None:
            return
        consumer = max(entry.consumers, key=_depth) if entry.consumers else None
        self.gradient_fault = GradientFault(stats.worst, entry.producer, consumer, self._backward_operation)

    # --- operations -------------------------------------------------------------------------------------------

    def _operation(self, path: str) -> str:
        return self._forward_operations.get(path, "")

    def record_operation(self, name: str) -> None:
        """Note the first operation whose result is not finite, in the innermost running call or in the backward pass.

        Args:
            name: Name of the operation.
        """
        node = current_autograd_node()
        if self.is_frozen:
            return
        if node:
            self._backward_operation = self._backward_operation or node
        elif self._open:
            self._forward_operations.setdefault(self._open[-1], name)
        elif not self.loss_operation:
            self.loss_operation = name


class _FirstOperations(TorchDispatchMode):
    """A mode that reports operations with finite arguments and results that are not finite.

    Operations that only allocate memory are left out, as their results are not yet computed.
    """

    def __init__(self, probe: NonFiniteProbe) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._probe = probe

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation_name(func)
        given = [] if "empty" in name else tensors_of([list(args), kwargs])
        was_finite = bool(given) and not any(map(worst_value, given))
        output = func(*args, **kwargs)
        if was_finite and any(map(worst_value, tensors_of(output))):
            self._probe.record_operation(name)
        return output


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0
