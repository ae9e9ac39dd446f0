"""What a model is exported and compared on: the user's examples, or numbers drawn for what it takes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.module_tree import modules, tensors
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.tensor_spec import EXPORT_BATCH_SIZES, EXPORT_SIZES, TensorSpec, specs_of
from kerastorch.core.torch_private import pytree
from kerastorch.core.wrapper_prefixes import unwrap
from kerastorch.data.arrays import to_tensors as as_tensors
from kerastorch.functional.functional_model import Functional
from kerastorch.functional.module_view import ModuleView
from kerastorch.layers.embedding import Embedding
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module, split_arguments
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.runtime.input_specs import resolve_input_specs
from kerastorch.symbolic.symbolic_tensor import has_symbols


class ExportInputs:
    """Of one model.

    Args:
        model: built, in evaluation mode.
        signature: shapes, `Input`s or arrays in their structure; `None` for what the model knows.

    Attributes:
        model: as given.
        target: what torch traces: the module within views and wrappers that has the forward.
        trials: what the model is called on, for three batch sizes where that varies; the first is traced.
        expected: what the model returned for each.

    Raises:
        ValueError: nobody knows what it takes, or it cannot take it.
    """

    def __init__(self, model: nn.Module, signature: Any) -> None:
        self.model, self.target = model, _traceable(model)
        parts = modules(model)
        place = next((tensor.device for tensor in tensors(parts)), torch.device("cpu"))
        self._feed, self._most = BatchTransfer(parts, place), _most(parts)
        self._sample = _sample(signature)
        self._specs = _specs(model, signature, self._sample)
        self._run()
        self._axes = self._open(self.trials[0])

    def call(self, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """`x` as arguments of `target`, by position as far as they go."""
        plan = self.model._plan if isinstance(self.model, Functional) else None
        if plan is not None and self.target is not self.model:
            return tuple(plan.bind((x,), {})), {}
        args, kwargs = split_arguments(self.target, x)
        bound = inspect.signature(self.target.forward).bind(*args, **kwargs)
        return bound.args, bound.kwargs

    def names(self) -> list[str]:
        """Of the tensors among the arguments."""
        args, kwargs = self.call(self.trials[0])
        found = inspect.signature(self.target.forward).bind(*args, **kwargs).arguments
        return unique(named(found))

    def leaves(self, x: Any) -> list[Tensor]:
        """The tensors among the arguments that `x` makes, in their order."""
        return [leaf for leaf in pytree.tree_leaves(self.call(x)) if isinstance(leaf, Tensor)]

    def varying(self) -> list[list[int]]:
        """Of each of them the axes that vary."""
        return [self._axes.get(id(leaf), []) for leaf in self.leaves(self.trials[0])]

    def dynamic(self) -> dict[str, Any]:
        """The sizes that vary, as torch.export takes them."""
        args, kwargs = self.call(self.trials[0])
        found = inspect.signature(self.target.forward).bind(*args, **kwargs).arguments

        def sizes(leaf: Any) -> Any:
            return dict.fromkeys(self._axes.get(id(leaf), ()), torch.export.Dim.DYNAMIC) or None

        return {name: pytree.tree_map(sizes, value) for name, value in found.items()}

    def _run(self) -> None:
        first: tuple[Exception, Any] | None = None
        for one, other, step in EXPORT_SIZES if _open_axes(self._specs) > 1 else EXPORT_SIZES[:1]:
            batches = EXPORT_BATCH_SIZES if _open_axes(self._specs) else EXPORT_BATCH_SIZES[:1]
            trials = [self._made(batch, one if batch == 3 else other, step) for batch in batches]
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

    def _made(self, batch: int, length: int, step: int) -> Any:
        if self._sample is not None:
            return self._feed.inputs(map_structure(lambda one: _rows(one, batch), self._sample))
        zeros = _zeros(self._specs, batch, length, step)
        drawn = torch.Generator().manual_seed(batch)
        return map_structure(lambda zero: self._drawn(zero, drawn), self._feed.inputs(zeros))

    def _drawn(self, zero: Tensor, generator: torch.Generator) -> Tensor:
        """Floats from a normal distribution; indices that every embedding has, and not 0, which may be padding."""
        if zero.dtype == torch.bool:
            return torch.ones_like(zero)
        if zero.is_floating_point():
            return torch.randn(zero.shape, generator=generator).to(zero)
        return torch.randint(min(1, self._most - 1), self._most, zero.shape, generator=generator).to(zero)

    def _open(self, x: Any) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}

        def note(tensor: Tensor, spec: TensorSpec) -> None:
            found[id(tensor)] = [axis for axis, size in enumerate(spec.shape) if size is None]

        map_structure(note, x, self._specs)
        return found


def _traceable(model: nn.Module) -> nn.Module:
    while isinstance(model, ModuleView) and type(model).forward in (ModuleView.forward, Functional.forward):
        if model.module_viewed is None:
            break
        model = model.module_viewed
    inner = unwrap(model)
    return model if inner is model or isinstance(model, ModuleView) else _traceable(inner)


def _sample(signature: Any) -> Any:
    """The examples in a signature, as tensors; `None` where there are shapes."""
    given = pytree.tree_leaves(signature)
    if has_symbols(signature) or not any(hasattr(leaf, "__array__") for leaf in given):
        return None
    return as_tensors(signature, "input_signature")


def _specs(model: nn.Module, signature: Any, sample: Any) -> Any:
    if sample is not None:
        return specs_of(sample)
    found = resolve_input_specs(model, signature, None)
    if found is None:
        raise ValueError(
            "export: nobody knows what the model is given. Pass input_signature, a shape as (None, 28, 28) or a batch "
            "of data, put an Input in front, or call build(input_shape)."
        )
    return found


def _open_axes(given: Any) -> int:
    return max((spec.shape.count(None) for _, spec in leaves(given)), default=0)


def _zeros(given: Any, batch: int, length: int, step: int) -> Any:
    lengths = itertools.count(length, step)

    def zeros(spec: TensorSpec) -> Tensor:
        first = spec.shape.index(None) if None in spec.shape else -1
        sizes = [
            size if size is not None else batch if axis == first else next(lengths)
            for axis, size in enumerate(spec.shape)
        ]
        return torch.zeros(sizes, dtype=spec.dtype)

    return map_structure(zeros, given)


def _rows(tensor: Tensor, many: int) -> Tensor:
    """So many rows, over and over."""
    return tensor[torch.arange(many) % len(tensor)]


def _most(parts: list[nn.Module]) -> int:
    """Indices below this one are in every embedding."""
    sizes = [
        int(part.num_embeddings if isinstance(part, (nn.Embedding, nn.EmbeddingBag)) else part.input_dim)
        for part in parts
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag, Embedding))
    ]
    return min(sizes, default=2)


def named(value: Any) -> list[str]:
    """The name of each tensor in a structure: its keys and numbers on the way."""
    found = pytree.tree_flatten_with_path(value)[0]
    return ["_".join(str(_key(one)) for one in path) for path, leaf in found if isinstance(leaf, Tensor)]


def _key(one: Any) -> Any:
    return next(getattr(one, name) for name in ("key", "idx", "name") if hasattr(one, name))


def unique(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, those that come again, or are taken, with a number."""
    taken, found = set(taken), []
    for name in names:
        free, number = name or "output", 0
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        found.append(free)
    return found
