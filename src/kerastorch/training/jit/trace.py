"""One step of learning, recorded as a torch.fx graph: what `train_step` does with tensors, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import operator
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from kerastorch.data.batches import Batch
from kerastorch.data.structure import leaves, map_structure
from kerastorch.optimizers.base import Average, Clip, Decay, TorchOptimizer
from kerastorch.training.jit.cells import Cell
from kerastorch.training.update import Update
from kerastorch.tree import modules

LARGEST = 4000  # operations: beyond, compiling takes many minutes


class UntraceableError(Exception):
    """A step that cannot be recorded, with the cause in words."""


class Found(NamedTuple):
    """What steps leave beside new weights; of several, vectors.

    Attributes:
        logs: those of `train_step`.
        is_total: whether their loss is the objective's.
        count: how much each counts, `None` for its rows.
        counts: the same for single logs.
        scores: for the metrics, of each step: `(y_pred, y_true)` by output.
    """

    logs: dict[str, Any]
    is_total: bool
    count: Any
    counts: dict[str, Any]
    scores: list[dict[str, tuple[Any, Any]]]


class Trace(NamedTuple):
    """A recorded step.

    Attributes:
        graph: takes `inputs` and the tensors of a batch, writes new values into `inputs`, returns tensors.
        inputs: weights, buffers, optimizer state and learning rates, as they live in the model and the optimizer.
        owned: how many of `inputs` are weights and buffers: they come first.
        rates: of each parameter group, the learning rate as a tensor among `inputs`.
        assemble: makes of the tensors returned, and those of the batch, what the step found.
    """

    graph: GraphModule
    inputs: list[Tensor]
    owned: int
    rates: list[Tensor]
    assemble: Callable[[list[Tensor], list[Tensor]], Found]


class _Step(nn.Module):
    """All modules that a step computes with, as one."""

    def __init__(self, model: nn.Module, losses: list[nn.Module], step: Callable[[Batch], Any]) -> None:
        super().__init__()
        self.model = model
        self.losses = nn.ModuleList(losses)
        self._step = step

    def forward(self, batch: Batch) -> Any:
        return self._step(batch)


class _Recorder:
    """In the place of the meter: keeps what the metrics would be given."""

    def __init__(self) -> None:
        self.scores: list[dict[str, tuple[Any, Any]]] = []

    def update(self, y_pred: Mapping[str, Any], y_true: Mapping[str, Any]) -> None:
        self.scores.append({name: (y_pred[name], y_true.get(name)) for name in y_pred})


def trace(trainer: Any, update: Update, cells: list[Cell], batches: Sequence[Batch]) -> Trace:
    """Record what `model.train_step` computes on batches, one after the other, on tensors without values.

    Args:
        trainer: knows the model, the objective and the metrics.
        update: of the optimizer, whose state has been made.
        cells: what the optimizer works on.
        batches: of the shape meant.

    Raises:
        UntraceableError: with the cause.
    """
    optimizer, objective, model = update.optimizer, trainer.objective, trainer.model
    losses = [f for loss in objective.losses.values() if isinstance(f := getattr(loss, "function", loss), nn.Module)]
    step = _Step(model, losses, model.train_step)
    weights, buffers = dict(step.named_parameters()), dict(step.named_buffers())
    rates = [_rate(group) for group in optimizer.param_groups]
    state = [tensor for cell in cells for tensor in cell.tensors()]
    inputs = [*weights.values(), *buffers.values(), *state, *rates]
    parts = [leaf for _, leaf in leaves([tuple(batch) for batch in batches])]
    found: list[Found] = []
    seen: list[Tensor] = []

    def steps(*tensors: Tensor) -> list[Tensor]:
        given = iter(tensors)
        values = {name: next(given) for name in weights}
        kept = {name: next(given) for name in buffers}
        states = [({key: next(given) for key in c.rows}, {key: next(given) for key in c.scalars}) for c in cells]
        lr = [next(given) for _ in rates]
        found[:] = [one_step(values, kept, states, lr, _refilled(batch, given)) for batch in batches]
        found[:] = [found[0] if len(found) == 1 else _joined(found)]
        seen[:] = tensors
        return [tensor.detach() for tensor in _returned(found[0], tensors)]

    def one_step(
        values: dict[str, Tensor],
        kept: dict[str, Tensor],
        states: list[tuple[dict[str, Tensor], dict[str, Tensor]]],
        lr: list[Tensor],
        batch: Batch,
    ) -> Found:
        leaf = {name: value.detach().requires_grad_(weights[name].requires_grad) for name, value in values.items()}
        leaf_of = {id(weight): leaf[name] for name, weight in weights.items()}
        recorder, learned = _Recorder(), []

        def minimize(loss: Tensor) -> None:
            learned.append(loss)
            if len(learned) > 1:
                raise UntraceableError("train_step calls minimize more than once")
            _learn(update, cells, [[leaf_of[id(w)] for w in cell.weights] for cell in cells], states, lr, loss)

        with _in_place_of(trainer, recorder, minimize, leaf_of), torch.enable_grad():
            logs = functional_call(step, {**leaf, **kept}, (batch,))
            _check(logs, learned)
            total = logs.get("loss") is objective.total
            return Found(dict(logs), total, objective.count, dict(objective.counts), recorder.scores)

    with _watched(model, losses), _compiling():
        graph = make_fx(steps, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs, *parts)
    _draw_apart(graph)
    _compute_once(graph)
    if any("mkldnn_rnn" in str(node.target) for node in graph.graph.nodes):
        raise UntraceableError("torch's LSTM on the CPU has a kernel of its own, which compiled graphs cannot call")
    size = len(graph.graph.nodes)
    if size > LARGEST:
        raise UntraceableError(f"the graph has {size} operations, which would take many minutes to compile")
    return Trace(graph, inputs, len(weights) + len(buffers), rates, _assembler(found[0], seen, len(parts)))


def _draw_apart(graph: GraphModule) -> None:
    """Dropout's masks from a kernel that returns them.

    Inductor (2.13) may draw in place only after it has read the mask, when it fuses what lies around. `native_dropout`
    draws the same numbers.
    """
    aten = torch.ops.aten
    for node in graph.graph.nodes:
        if node.target is not aten.bernoulli_.float or node.kwargs.get("generator") is not None:
            continue
        into, keep = node.args[0], node.args[1] if len(node.args) > 1 else 0.5
        with graph.graph.inserting_before(node):
            drawn = graph.graph.call_function(aten.native_dropout.default, (into, 1 - keep, True))
            mask = graph.graph.call_function(operator.getitem, (drawn, 1))
            filled = graph.graph.call_function(aten.copy_.default, (into, mask))
        node.replace_all_uses_with(filled)
        graph.graph.erase_node(node)
    graph.recompile()


def _compute_once(graph: GraphModule) -> None:
    """Single numbers in buffers of their own.

    Inductor computes them anew for each vector of the tensors they go into; an optimizer's `1 - beta ** step` then
    takes longer than the rest of its update.
    """
    importlib.import_module("torch._inductor.test_operators")  # has the operation that does nothing but that
    store = torch.ops._inductor_test.realize.default
    for node in list(graph.graph.nodes):
        if not _single(node) or not _costly(node):
            continue
        wide = [user for user in node.users if not _single(user)]
        if not wide:
            continue
        with graph.graph.inserting_after(node):
            stored = graph.graph.call_function(store, (node,))
        for user in wide:
            user.replace_input_with(node, stored)
    graph.recompile()


def _single(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim == 0 and node.op == "call_function"


def _costly(node: Node) -> bool:
    """Whether a single number is made of others by more than sums and products."""
    name = str(node.target)
    if any(word in name for word in (".pow.", ".pow_.", ".sqrt.", ".sqrt_.", ".exp.", ".log.")):
        return True
    return any(_costly(one) for one in node.all_input_nodes if _single(one))


def _refilled(batch: Batch, tensors: Iterator[Tensor]) -> Batch:
    """A batch of the same structure with other tensors."""
    return Batch(*map_structure(lambda t: None if t is None else next(tensors), tuple(batch)))


def _rate(group: dict[str, Any]) -> Tensor:
    rate, weight = group["lr"], group["params"][0]
    return rate if isinstance(rate, Tensor) else torch.tensor(rate, dtype=weight.dtype, device=weight.device)


def _check(logs: Any, steps: list[Tensor]) -> None:
    if not steps:
        raise UntraceableError("train_step does not call trainer.minimize")
    if not isinstance(logs, Mapping):
        raise UntraceableError("train_step returns no dict")
    for name, value in logs.items():
        if not isinstance(value, Tensor):
            raise UntraceableError(f"train_step returns a number as {name!r}; return a tensor")


@contextmanager
def _in_place_of(trainer: Any, meter: Any, minimize: Any, leaf_of: dict[int, Tensor]) -> Iterator[None]:
    """The trainer with another meter, another `minimize`, and penalties on other tensors."""
    objective = trainer.objective
    kept = trainer.meter, trainer.minimize, objective.penalties
    trainer.meter, trainer.minimize = meter, minimize
    objective.penalties = [p._replace(weight=leaf_of.get(id(p.weight), p.weight)) for p in objective.penalties]
    objective.forget()
    try:
        yield
    finally:
        trainer.meter, trainer.minimize, objective.penalties = kept
        objective.forget()
        objective.total, objective.parts, objective.counts = None, {}, {}


# --- the optimizer ----------------------------------------------------------------------------------------------


def _learn(
    update: Update,
    cells: list[Cell],
    leaves_of: list[list[Tensor]],
    states: list[tuple[dict[str, Tensor], dict[str, Tensor]]],
    lr: list[Tensor],
    loss: Tensor,
) -> None:
    """Backward, and the optimizer's own step on the cells; the leaves get the new values."""
    flat = [leaf for some in leaves_of for leaf in some]
    gradients = iter(torch.autograd.grad(loss * update.scale if update.scale != 1.0 else loss, flat, allow_unused=True))
    held = []
    for cell, some, (rows, scalars) in zip(cells, leaves_of, states, strict=True):
        grads = [next(gradients) for _ in some]
        if any(gradient is None for gradient in grads):
            raise UntraceableError("a weight that had a gradient in the first step has none now")
        with torch.no_grad():
            weight = torch.cat([leaf.flatten() for leaf in some]) if cell.joined else some[0].detach().clone()
            weight.grad = torch.cat([g.flatten() for g in grads]) if cell.joined else grads[0]
            if update.scale != 1.0:
                weight.grad = weight.grad / update.scale
        # counted in float64: what optimizers make of it, 1 - beta**step, loses digits in float32
        first = {key: (value[0] if cell.joined else value).double() for key, value in scalars.items()}
        held.append((weight, {**cell.constants, **rows, **first}))
    _step(update.optimizer, cells, held, lr)
    with torch.no_grad():
        for cell, some, (weight, state), (_, scalars) in zip(cells, leaves_of, held, states, strict=True):
            parts = weight.split(cell.sizes) if cell.joined else [weight]
            for leaf, part in zip(some, parts, strict=True):
                leaf.copy_(part.view_as(leaf))
            for key, value in scalars.items():
                value.copy_(state[key].expand_as(value))


def _step(
    optimizer: TorchOptimizer, cells: list[Cell], held: list[tuple[Tensor, dict[str, Any]]], lr: list[Tensor]
) -> None:
    """`optimizer.step` of a copy that holds the given weights with the given state."""
    twin = object.__new__(type(optimizer))
    twin.__dict__.update(optimizer.__dict__)
    twin.param_groups = [
        {
            **group,
            "lr": rate,
            "params": [weight for cell, (weight, _) in zip(cells, held, strict=True) if cell.group == number],
            **{key: value for key, value in _PLAIN.items() if key in group},
        }
        for number, (group, rate) in enumerate(zip(optimizer.param_groups, lr, strict=True))
    ]
    twin.state = defaultdict(dict, dict(held))
    with torch.no_grad():
        for hook in optimizer._optimizer_step_pre_hooks.values():
            hook(twin, (), {})
        inspect.unwrap(type(optimizer).step)(twin)
    for weight, state in held:
        if dict(twin.state[weight]).keys() != state.keys():
            raise UntraceableError(f"{type(optimizer).__name__} makes new state in a later step")


# one tensor after the other, with all arithmetic on tensors
_PLAIN = {"foreach": False, "fused": None, "capturable": True}


def refuse_optimizer(update: Update) -> None:
    """Refuse an optimizer whose step is more than its `step` method on dense gradients.

    Raises:
        UntraceableError: with the cause.
    """
    optimizer = update.optimizer
    name = type(optimizer).__name__
    if update.needs_closure:
        raise UntraceableError(f"{name} asks for the loss several times a step")
    if update.every > 1:
        raise UntraceableError("gradient_accumulation_steps is larger than 1")
    before, after = (list(hooks.values()) for hooks in (
        optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks,
    ))  # fmt: skip
    if not all(isinstance(hook, (Clip, Decay)) for hook in before) or not all(isinstance(h, Average) for h in after):
        raise UntraceableError("the optimizer has step hooks of your own")
    if "step" in vars(optimizer) and not hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        raise UntraceableError("the optimizer's step was replaced")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise UntraceableError(f"{name}(differentiable=True)")


@contextmanager
def _compiling() -> Iterator[None]:
    """torch's optimizers then leave numbers on the device."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


# --- what a recording must leave alone --------------------------------------------------------------------------


@contextmanager
def _watched(model: nn.Module, losses: list[nn.Module]) -> Iterator[None]:
    """Refuse a step that keeps something between calls, or draws from Python's or NumPy's random numbers.

    A graph would not: it is put back, and said.
    """
    watched = [*modules(model), *(child for loss in losses for child in loss.modules())]
    before = [(module, {key: (value, _copy(value)) for key, value in vars(module).items()}) for module in watched]
    drawn = random.getstate(), np.random.get_state()
    causes = []
    try:
        yield
    finally:
        for module, kept in before:
            for key, value in list(vars(module).items()):
                if key in ("_flat_weights", "_flat_weight_refs"):  # torch's RNNs follow their weights there
                    continue
                if key not in kept or value is not kept[key][0] or not _same(value, kept[key][1]):
                    causes.append(f"{type(module).__name__} changes its attribute {key!r} in each call")
            _put_back(module, kept)
        if random.getstate() != drawn[0] or str(np.random.get_state()) != str(drawn[1]):
            causes.append("forward draws random numbers from Python or NumPy; draw them from torch")
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])
    if causes:
        raise UntraceableError(causes[0])


def _copy(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict, set) else None


def _same(value: Any, copied: Any) -> bool:
    if copied is None:
        return True
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        return all(key in copied and copied[key] is one for key, one in value.items())
    return isinstance(value, set) or all(a is b for a, b in zip(value, copied, strict=True))


def _put_back(module: nn.Module, kept: dict[str, tuple[Any, Any]]) -> None:
    own = vars(module)
    for key in set(own) - set(kept):
        del own[key]
    for key, (value, copied) in kept.items():
        own[key] = value
        if copied is not None and not _same(value, copied):
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(copied)


# --- outputs ----------------------------------------------------------------------------------------------------


def _returned(found: Found, given: Sequence[Tensor]) -> list[Tensor]:
    """What the graph returns: every tensor found that was not given."""
    known = {id(tensor) for tensor in given}
    return [value for value in _values(found) if isinstance(value, Tensor) and id(value) not in known]


def _joined(found: list[Found]) -> Found:
    """What several steps found, as one."""

    def vector(values: list[Any]) -> Any:
        if all(value is None for value in values):
            return None
        return torch.stack([torch.as_tensor(value).reshape(()) for value in values])

    names, counted = list(found[0].logs), list(found[0].counts)
    if any(value.numel() != 1 for one in found for value in one.logs.values()):
        raise UntraceableError("train_step returns tensors of several numbers")
    return Found(
        {name: vector([one.logs[name] for one in found]) for name in names},
        found[0].is_total,
        found[0].count if isinstance(found[0].count, int) else vector([one.count for one in found]),
        {name: vector([one.counts[name] for one in found]) for name in counted},
        [scores for one in found for scores in one.scores],
    )


def _values(found: Found) -> Iterator[Any]:
    yield from found.logs.values()
    yield from found.counts.values()
    for scores in found.scores:
        for pair in scores.values():
            yield from pair
    yield found.count


def _assembler(found: Found, given: Sequence[Tensor], parts: int) -> Callable[[list[Tensor], list[Tensor]], Found]:
    """What puts a call's tensors where this call's were; `given` ends in the `parts` tensors of a batch."""
    made = {id(tensor): place for place, tensor in enumerate(_returned(found, given))}
    fed = {id(tensor): len(made) + place for place, tensor in enumerate(given[len(given) - parts :])}
    constants = [value for value in _values(found) if id(value) not in made and id(value) not in fed]
    if any(isinstance(value, Tensor) for value in constants):
        raise UntraceableError("train_step returns a weight itself; return a copy")
    fixed = {id(value): len(made) + parts + place for place, value in enumerate(constants)}
    place = {**fixed, **fed, **made}
    logs = [(name, place[id(value)]) for name, value in found.logs.items()]
    counts = [(name, place[id(value)]) for name, value in found.counts.items()]
    scores = [{name: (place[id(a)], place[id(b)]) for name, (a, b) in some.items()} for some in found.scores]
    count, is_total = place[id(found.count)], found.is_total

    def assemble(returned: list[Tensor], batch: list[Tensor]) -> Found:
        values = [*returned, *batch, *constants]
        return Found(
            {name: values[at] for name, at in logs},
            is_total,
            values[count],
            {name: values[at] for name, at in counts},
            [{name: (values[a], values[b]) for name, (a, b) in some.items()} for some in scores],
        )

    return assemble
