"""A model's graph for TensorBoard: one call, each operation of torch written down under the module it happens in."""

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


def event_of(model: Any, seen: Any) -> Any:
    """The event that shows the graph of `model`.

    It is called once, on zeros, in evaluation mode; modes and random numbers are put back.

    Args:
        model: a built model.
        seen: specs of its inputs, in their structure.

    Raises:
        Exception: whatever its forward raises.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    x = map_structure(lambda spec: spec.zeros(TRIAL_BATCH_SIZES[0], 1).to(device), seen)
    recorder = _Recorder(model)
    for name, tensor in leaves(x, "input"):
        recorder.add(re.sub(r"\W+", "/", name).strip("/"), "input", [], tensor)
    with _unnoticed(model), recorder.scopes(model), recorder:
        outputs = model.predict_step(x)
    for index, tensor in enumerate(one for one in pytree.tree_leaves(outputs) if isinstance(one, Tensor)):
        recorder.add(f"output/{index}", "output", [tensor], tensor)
    graph = GraphDef(node=recorder.nodes, versions=VersionDef(producer=22))
    return Event(graph_def=graph.SerializeToString())


class _Recorder(TorchDispatchMode):
    """Writes nodes down.

    Args:
        model: whose weights are known by name.

    Attributes:
        nodes: what was written.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Any] = []
        self._taken: Counter[str] = Counter()
        self._scope = [""]
        self._names: dict[int, str] = {}
        self._kept: list[Tensor] = []  # so that an `id` is not used again
        self._kinds = {path: type(module).__name__ for path, module in named_modules(model)}
        self._weights = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        operation = operation_name(func)
        made = [one for one in pytree.tree_leaves(found) if isinstance(one, Tensor)]
        self.add(f"{self._scope[-1]}{operation}", operation, given, *made)
        return found

    def add(self, name: str, operation: str, given: list[Tensor], *made: Tensor) -> None:
        """One node and what it makes of what."""
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.node_def_pb2 import NodeDef
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        for tensor in given:
            weight = self._weights.get(id(tensor))
            if weight is not None and id(tensor) not in self._names:
                owner, _, own = weight.rpartition(".")
                self.add(f"{self._scope_of(owner)}{own}", "weight", [], tensor)
        self._taken[name] += 1
        if self._taken[name] > 1:
            name = f"{name}_{self._taken[name] - 1}"
        shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in one.shape]) for one in made]
        self.nodes.append(
            NodeDef(
                name=name,
                op=operation,
                input=[self._names[id(tensor)] for tensor in given if id(tensor) in self._names],
                attr={"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))},
            )
        )
        self._kept += made
        self._names.update((id(tensor), name) for tensor in made)

    @contextmanager
    def scopes(self, model: nn.Module) -> Iterator[None]:
        """For the time of one call it knows which module is at work."""
        with ExitStack() as stack:
            for path, module in named_modules(model):
                scope = self._scope_of(path)
                begin = module.register_forward_pre_hook(lambda module, args, scope=scope: self._scope.append(scope))
                stack.callback(begin.remove)
                end = module.register_forward_hook(lambda module, args, output: self._leave(), always_call=True)
                stack.callback(end.remove)
            yield

    def _scope_of(self, path: str) -> str:
        """`Sequential[encoder]/Dense[0]/` of `encoder.0`."""
        parts = path.split(".") if path else []
        paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
        return "".join(f"{self._kinds.get(one, '')}[{part}]/" for one, part in zip(paths, parts, strict=True))

    def _leave(self) -> None:
        self._scope.pop()


@contextmanager
def _unnoticed(model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(preserved_rng_states())
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.no_grad())
        if any(map(is_compiled, modules(model))):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
