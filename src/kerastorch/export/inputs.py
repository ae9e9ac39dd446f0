"""Inputs that a model is traced and compared on: the user's examples, or random values of the known shapes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import ExportError, warn
from kerastorch.core.model_outputs import predictions_in
from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.tensor_spec import (
    EXPORT_BATCH_SIZES,
    EXPORT_SIZES,
    TensorSpec,
    fixed_specs,
    has_values,
    specs_of,
)
from kerastorch.core.torch_private import pytree
from kerastorch.core.wrapper_prefixes import unwrap
from kerastorch.data.arrays import to_tensors as as_tensors
from kerastorch.data.named_batches import TARGETS
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.module_view import ModuleView
from kerastorch.layers.embedding import Embedding
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module, split_arguments
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.runtime.input_specs import resolve_input_specs
from kerastorch.symbolic.symbolic_tensor import has_symbols


class ExportInputs:
    """Trial inputs of a model, and its outputs for them.

    Args:
        model: A built model in evaluation mode.
        signature: Shapes, `Input`s or arrays in the structure of the model's input; `None` for the known shapes.

    Attributes:
        model: The argument of this name.
        target: The module that torch traces: without views and wrappers, the one that has the forward.
        trials: Inputs of the model, for three batch sizes if the batch size varies; the first is traced.
        expected: Outputs of the model for each of the trials.
        returns_objects: Whether the model returns objects, such as caches. They are not in `expected`.

    Raises:
        ValueError: The inputs of the model are not known, or it cannot take them.
    """

    def __init__(self, model: nn.Module, signature: Any) -> None:
        self.model, self.target = model, _traceable(model)
        parts = modules(model)
        device = next((tensor.device for tensor in tensors(parts)), torch.device("cpu"))
        self._transfer, self._index_limit = BatchTransfer(parts, device), _index_limit(parts)
        self._examples = _examples(signature)
        specs = _specs(model, signature, self._examples)
        if has_values(specs):
            raise ExportError(
                "an input of the model is no dense tensor, and a program takes dense tensors alone. Export a module "
                "whose forward takes the tensors that are in it."
            )
        self.trials: list[Any] = []
        self.expected: list[Any] = []
        self._find_trials(_without_targets(specs) if signature is None else specs, specs)
        self.returns_objects = any(map(_is_object, pytree.tree_leaves(self.expected[0])))
        if self.returns_objects:
            self.expected = [predictions_in(outputs, drops_scalars=False) for outputs in self.expected]
        self._varying_axes = self._find_varying_axes(self.trials[0])  # by id of a tensor in the first trial

    def call(self, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return `x` as positional and keyword arguments of `target`; as many as possible are positional."""
        plan = self.model._plan if isinstance(self.model, Functional) else None
        if plan is not None and self.target is not self.model:
            return tuple(plan.bind((x,), {})), {}
        args, kwargs = split_arguments(self.target, x)
        bound = inspect.signature(self.target.forward).bind(*args, **kwargs)
        return bound.args, bound.kwargs

    def names(self) -> list[str]:
        """Return a unique name for each tensor among the arguments."""
        return unique(tensor_names(self._arguments()))

    def leaves(self, x: Any) -> list[Tensor]:
        """Return the tensors among the arguments that `x` becomes, in order."""
        return [leaf for leaf in pytree.tree_leaves(self.call(x)) if isinstance(leaf, Tensor)]

    def varying(self) -> list[list[int]]:
        """Return the axes that vary, for each tensor among the arguments."""
        return [self._varying_axes.get(id(leaf), []) for leaf in self.leaves(self.trials[0])]

    def dynamic(self) -> dict[str, Any]:
        """Return the sizes that vary by argument, as `dynamic_shapes` of `torch.export.export`."""

        def sizes(leaf: Any) -> Any:
            return dict.fromkeys(self._varying_axes.get(id(leaf), ()), torch.export.Dim.DYNAMIC) or None

        return {name: pytree.tree_map(sizes, value) for name, value in self._arguments().items()}

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of `target` for the first trial, by the names of its parameters."""
        args, kwargs = self.call(self.trials[0])
        return dict(inspect.signature(self.target.forward).bind(*args, **kwargs).arguments)

    def _find_trials(self, kept: Any, specs: Any) -> None:
        """Set `trials` and `expected` for the first specs that the model can be called with.

        If these have the sizes of the data alone, warn of it.

        Args:
            kept: Specs of the inputs without targets.
            specs: Specs of all inputs.
        """
        failed: Exception | None = None
        for choice in [kept] if kept is specs else [kept, specs]:
            try:
                self._run_trials(choice)
            except Exception as error:
                failed = error
            else:
                return
        for choice in filter(None, map(fixed_specs, (kept, specs))):
            with suppress(Exception):
                self._run_trials(choice)
                shapes = ", ".join(str(spec.shape) for _, spec in leaves(choice))
                break
        else:
            assert failed is not None
            raise failed
        warn(
            "export: the model cannot be called with other lengths of the first axis than the data had, so that the "
            f"program takes inputs of these sizes alone: {shapes}."
        )

    def _run_trials(self, specs: Any) -> None:
        """Set `trials` and `expected` for the first choice of lengths that the model can take.

        If there is none, raise the error of the first choice.
        """
        self._specs = specs
        first: tuple[Exception, Any] | None = None
        n_varying = _n_varying_axes(self._specs)
        for length, other_length, step in EXPORT_SIZES if n_varying > 1 else EXPORT_SIZES[:1]:
            batch_sizes = EXPORT_BATCH_SIZES if n_varying else EXPORT_BATCH_SIZES[:1]
            trials = [
                self._make_input(size, length if size == EXPORT_BATCH_SIZES[0] else other_length, step)
                for size in batch_sizes
            ]
            try:
                self.trials, self.expected = trials, [call_module(self.model, x) for x in trials]
                return
            except Exception as error:
                first = first or (error, trials[0])
        assert first is not None
        try:
            raise first[0]
        except Exception as error:
            raise_with_context(error, self.model, first[1])

    def _make_input(self, batch_size: int, length: int, step: int) -> Any:
        """Return an input of the model: rows of the user's examples, or random values.

        Args:
            batch_size: Number of rows, if the batch size varies.
            length: Length of the first other axis that varies.
            step: By how much each further axis that varies is longer.
        """
        if self._examples is not None and not _n_varying_axes(self._specs):
            return self._transfer.inputs(map_structure(torch.clone, self._examples))
        if self._examples is not None:
            return self._transfer.inputs(map_structure(lambda example: _take_rows(example, batch_size), self._examples))
        zeros = _zeros(self._specs, batch_size, length, step)
        generator = torch.Generator().manual_seed(batch_size)
        return map_structure(lambda zero: self._draw(zero, generator), self._transfer.inputs(zeros))

    def _draw(self, zero: Tensor, generator: torch.Generator) -> Tensor:
        """Return random values like `zero`.

        Floats are from a normal distribution. Integers are indices that every embedding has, but not 0, which may be
        the index of padding.
        """
        if zero.dtype == torch.bool:
            return torch.ones_like(zero)
        if zero.is_floating_point():
            return torch.randn(zero.shape, generator=generator).to(zero)
        return torch.randint(min(1, self._index_limit - 1), self._index_limit, zero.shape, generator=generator).to(zero)

    def _find_varying_axes(self, x: Any) -> dict[int, list[int]]:
        """Return the axes that vary, by the id of each tensor in `x`."""
        axes: dict[int, list[int]] = {}

        def note(tensor: Tensor, spec: TensorSpec) -> None:
            axes[id(tensor)] = [axis for axis, size in enumerate(spec.shape) if size is None]

        map_structure(note, x, self._specs)
        return axes


def _traceable(model: nn.Module) -> nn.Module:
    """Return the module within views and wrappers whose class has the forward."""
    while isinstance(model, ModuleView) and type(model).forward in (ModuleView.forward, Functional.forward):
        if model.module_viewed is None:
            break
        model = model.module_viewed
    inner = unwrap(model)
    return model if inner is model or isinstance(model, ModuleView) else _traceable(inner)


def _examples(signature: Any) -> Any:
    """Return the examples in a signature as tensors in their structure; `None` for a signature of shapes."""
    leaves = pytree.tree_leaves(signature)
    if has_symbols(signature) or not any(hasattr(leaf, "__array__") for leaf in leaves):
        return None
    return as_tensors(signature, "input_signature")


def _specs(model: nn.Module, signature: Any, examples: Any) -> Any:
    """Return the specs of the model's inputs in their structure.

    Raises:
        ValueError: They are neither given nor known.
    """
    if examples is not None:
        return specs_of(examples)
    specs = resolve_input_specs(model, signature, None)
    if specs is None:
        raise ValueError(
            "export: the inputs of the model are not known. Pass input_signature, a shape as (None, 28, 28) or a batch "
            "of data, put an Input in front, or call build(input_shape)."
        )
    return specs


def _is_object(leaf: Any) -> bool:
    """Return whether an output is neither a tensor nor a constant that a program can return."""
    return not isinstance(leaf, (Tensor, str, int, float, complex, type(None)))


def _without_targets(specs: Any) -> Any:
    """Return specs without the targets, from which a model computes its loss but not its outputs."""
    if not isinstance(specs, Mapping):
        return specs
    kept = {name: spec for name, spec in specs.items() if name not in TARGETS or name == "mask"}
    return kept if 0 < len(kept) < len(specs) else specs


def _n_varying_axes(specs: Any) -> int:
    """Return the largest number of axes that vary in one input."""
    return max((spec.shape.count(None) for _, spec in leaves(specs)), default=0)


def _zeros(specs: Any, batch_size: int, length: int, step: int) -> Any:
    """Return zeros of the given specs; the arguments are those of `_make_input`."""
    lengths = itertools.count(length, step)

    def zeros(spec: TensorSpec) -> Tensor:
        first = spec.shape.index(None) if None in spec.shape else -1
        sizes = [
            size if size is not None else batch_size if axis == first else next(lengths)
            for axis, size in enumerate(spec.shape)
        ]
        return torch.zeros(sizes, dtype=spec.dtype)

    return map_structure(zeros, specs)


def _take_rows(tensor: Tensor, n: int) -> Tensor:
    """Return `n` rows of a tensor, which are repeated if it has fewer."""
    return tensor[torch.arange(n) % len(tensor)]


def _index_limit(parts: list[nn.Module]) -> int:
    """Return the number of indices that the smallest embedding has; 2 if there is none."""
    sizes = [
        int(part.num_embeddings if isinstance(part, (nn.Embedding, nn.EmbeddingBag)) else part.input_dim)
        for part in parts
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag, Embedding))
    ]
    return min(sizes, default=2)


def tensor_names(value: Any) -> list[str]:
    """Return a name for each tensor in a nested structure: the keys and indices that lead to it.

    >>> tensor_names({"a": [torch.zeros(1), torch.zeros(1)]})
    ['a_0', 'a_1']
    """
    leaves = pytree.tree_flatten_with_path(value)[0]
    return ["_".join(str(_key(entry)) for entry in path) for path, leaf in leaves if isinstance(leaf, Tensor)]


def _key(entry: Any) -> Any:
    """Return the key, index or attribute name of an entry in a path of pytree."""
    return next(getattr(entry, name) for name in ("key", "idx", "name") if hasattr(entry, name))


def unique(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return names in which repeated ones, and those in `taken`, have a number appended.

    >>> unique(["x", "x", "y"], ["y"])
    ['x', 'x_1', 'y_1']
    """
    taken, result = set(taken), []
    for name in names:
        free, number = name or "output", 0
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        result.append(free)
    return result
