"""The graph of a model for TensorBoard, from one call: each torch operation under the module that performs it.

`SummaryWriter.add_graph` is not used: it traces with `torch.jit`, which reads every property of a module, also those
that have no value yet, and fails on many models that run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import is_compiled, modules, named_modules
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES
from kerastorch.core.torch_private import TorchDispatchMode, operation_name, pytree
from kerastorch.core.train_mode import evaluation_mode


def graph_event(model: nn.Module, input_specs: Any) -> Any:
    """Return the TensorBoard event that displays the graph of a model.

    The model is called once, on zeros, in evaluation mode. Modes and random states are restored.

    Args:
        model: Built model.
        input_specs: Specs of its inputs, in their structure.

    Raises:
        Exception: Any error that the forward pass raises.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    x = map_structure(lambda spec: spec.zeros(TRIAL_BATCH_SIZES[0], 1).to(device), input_specs)
    recorder = _GraphRecorder(model)
    for name, tensor in leaves(x, "input"):
        recorder.add(re.sub(r"\W+", "/", name).strip("/"), "input", [], tensor)
    predict_step: Any = model.predict_step
    with _without_side_effects(model), recorder.module_scopes(model), recorder:
        outputs = predict_step(x)
    for index, tensor in enumerate(one for one in pytree.tree_leaves(outputs) if isinstance(one, Tensor)):
        recorder.add(f"output/{index}", "output", [tensor], tensor)
    graph = GraphDef(node=recorder.nodes, versions=VersionDef(producer=22))
    return Event(graph_def=graph.SerializeToString())


class _GraphRecorder(TorchDispatchMode):
    """A dispatch mode that records each torch operation as a node of a TensorBoard graph.

    Args:
        model: Model whose weights and modules give the nodes their names.

    Attributes:
        nodes: Recorded nodes, `NodeDef` of TensorBoard.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Any] = []
        self._n_uses: Counter[str] = Counter()  # of each node name
        self._scopes = [""]
        self._node_names: dict[int, str] = {}  # by the `id` of the tensor that a node makes
        self._tensors: list[Tensor] = []  # keeps all tensors alive, so that no `id` is used twice
        self._class_names = {path: type(module).__name__ for path, module in named_modules(model)}
        self._weight_names = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        inputs = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        operation = operation_name(func)
        outputs = [one for one in pytree.tree_leaves(results) if isinstance(one, Tensor)]
        self.add(f"{self._scopes[-1]}{operation}", operation, inputs, *outputs)
        return results

    def add(self, name: str, operation: str, inputs: list[Tensor], *outputs: Tensor) -> None:
        """Add a node, and nodes for those of its inputs that are weights.

        Args:
            name: Name of the node; a number is appended if it is taken.
            operation: Name of the operation.
            inputs: Tensors that the operation uses.
            outputs: Tensors that the operation makes.
        """
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.node_def_pb2 import NodeDef
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        for tensor in inputs:
            weight = self._weight_names.get(id(tensor))
            if weight is not None and id(tensor) not in self._node_names:
                owner, _, own = weight.rpartition(".")
                self.add(f"{self._scope_of(owner)}{own}", "weight", [], tensor)
        self._n_uses[name] += 1
        if self._n_uses[name] > 1:
            name = f"{name}_{self._n_uses[name] - 1}"
        shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in one.shape]) for one in outputs]
        self.nodes.append(
            NodeDef(
                name=name,
                op=operation,
                input=[self._node_names[id(tensor)] for tensor in inputs if id(tensor) in self._node_names],
                attr={"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))},
            )
        )
        self._tensors += outputs
        self._node_names.update((id(tensor), name) for tensor in outputs)

    @contextmanager
    def module_scopes(self, model: nn.Module) -> Iterator[None]:
        """Register hooks that note, during one call, in which module an operation happens."""
        with ExitStack() as stack:
            for path, module in named_modules(model):
                scope = self._scope_of(path)
                begin = module.register_forward_pre_hook(lambda module, args, scope=scope: self._scopes.append(scope))
                stack.callback(begin.remove)
                end = module.register_forward_hook(lambda module, args, output: self._leave_scope(), always_call=True)
                stack.callback(end.remove)
            yield

    def _scope_of(self, path: str) -> str:
        """Return the scope of a module, such as `Sequential[encoder]/Dense[0]/` for the path `encoder.0`."""
        parts = path.split(".") if path else []
        paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
        return "".join(f"{self._class_names.get(one, '')}[{part}]/" for one, part in zip(paths, parts, strict=True))

    def _leave_scope(self) -> None:
        """Return to the scope of the calling module; without a value, as a hook's value replaces the output."""
        self._scopes.pop()


@contextmanager
def _without_side_effects(model: nn.Module) -> Iterator[None]:
    """Call a model in evaluation mode, without gradients, and restore random states and modes afterwards."""
    with ExitStack() as stack:
        stack.enter_context(preserved_rng_states())
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.no_grad())
        if any(map(is_compiled, modules(model))):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
