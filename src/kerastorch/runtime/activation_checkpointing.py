"""Activation checkpointing: layers whose activations are computed again in the backward pass instead of stored."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kerastorch.core.errors import suggest
from kerastorch.core.torch_private import write_count
from kerastorch.core.traceback_filter import public_api
from kerastorch.core.train_mode import in_modes
from kerastorch.functional.module_view import ModuleView
from kerastorch.layers.random_generator import RandomGenerator


class CheckpointedForward:
    """The `forward` of a module, whose activations are computed again in the backward pass.

    It is an attribute of the module, so that the module keeps its class, and its weights keep their names.

    Args:
        module: The module.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the `forward` of the class, by which inputs are passed."""
        return inspect.signature(type(self.module).forward.__get__(self.module))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the `forward` of the module's class."""
        forward = type(self.module).forward.__get__(self.module)
        if not torch.is_grad_enabled() or torch.compiler.is_exporting() or _is_traced():
            return forward(*args, **kwargs)
        state = _MutableState(self.module)
        output = checkpoint(
            forward, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), state.recomputing()), **kwargs
        )
        state.drop_unchanged()
        return output


class _MutableState:
    """What a forward pass may change in a module or depends on: buffers, random generators, and modes.

    The second forward pass begins with the values from before the first one, and what it changes is undone: running
    statistics of batch normalization are updated once. It runs in the modes of the first one, which may have been those
    of this call alone, as by `training=True`.

    Args:
        module: The module, before its forward pass.
    """

    def __init__(self, module: nn.Module) -> None:
        self._buffers = [
            (part, name, buffer, buffer.detach().clone(), write_count(buffer))
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None
        ]
        self._modes = [(part, part.training) for part in module.modules()]
        holders = [value for part in module.modules() for value in vars(part).values()]
        self._counts = [
            (one.count, one.count.clone())
            for one in holders
            if isinstance(one, RandomGenerator) and one.count is not None
        ]
        self._generators = [(one, one.get_state()) for one in holders if isinstance(one, torch.Generator)]

    def drop_unchanged(self) -> None:
        """Free the copies of large buffers that the forward pass has not written to.

        torch does not count the writes of batch normalization to its running statistics, which are vectors.
        """
        self._buffers = [
            entry for entry in self._buffers if entry[2].ndim < 2 or _is_changed(entry[0], entry[1], entry[2], entry[4])
        ]

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        """Run the second forward pass with the first values, and undo what it changes."""
        after = [(part, name, part._buffers.get(name)) for part, name, *_ in self._buffers]
        counts = [(count, count.clone()) for count, _ in self._counts]
        generators = [(one, one.get_state()) for one, _ in self._generators]
        try:
            for part, name, _, before, _ in self._buffers:
                part._buffers[name] = before  # not copied into the buffer, which autograd may have saved
            _restore(self._counts, self._generators)
            with in_modes(self._modes):
                yield
        finally:
            for part, name, buffer in after:
                part._buffers[name] = buffer
            _restore(counts, generators)


def _is_changed(part: nn.Module, name: str, buffer: Tensor, count: int) -> bool:
    return part._buffers.get(name) is not buffer or write_count(buffer) != count


def _restore(counts: Sequence[tuple[Tensor, Tensor]], generators: Sequence[tuple[torch.Generator, Tensor]]) -> None:
    """Write the states of random generators back."""
    for count, before in counts:
        count.copy_(before)
    for generator, state in generators:
        generator.set_state(state)


def _is_traced() -> bool:
    """Return whether `torch.jit.trace` records the operations of this thread, as TensorBoard's graph does."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def is_checkpointed(module: nn.Module) -> bool:
    """Return whether the activations of a module are computed again in the backward pass."""
    return isinstance(vars(module).get("forward"), CheckpointedForward)


class ActivationCheckpointingMixin(ModuleView):
    """A model that can trade time for memory."""

    @public_api
    def checkpoint_activations(self, patterns: str | Sequence[str] | None) -> list[str]:
        """Store only the inputs of some layers in training, and compute their activations again in the backward pass.

        Training gives the same bits and takes less memory and more time: about one more forward pass of these layers
        (Chen et al., 2016, https://arxiv.org/abs/1604.06174). The computation is that of `torch.utils.checkpoint` with
        `use_reentrant=False`. Random numbers are drawn again from the same states, and buffers such as the running
        statistics of batch normalization are updated once. Evaluation, prediction, `summary`, `save` and `export` are
        not affected. `jit_compile=True` trains such a model uncompiled.

        Each call replaces the layers of the last one.

        Args:
            patterns: Paths of layers as in `named_modules()`, with the wildcards of file names, as `"blocks.*"`. Of
                layers within each other the outermost one is taken. `None` stores all activations again.

        Returns:
            The paths of the layers.

        Raises:
            ValueError: A pattern matches no layer, or only containers without a `forward`.
            TypeError: `patterns` is no text.

        >>> import kerastorch as kt
        >>> blocks = [kt.Sequential([kt.layers.Dense(8, "relu"), kt.layers.Dense(8)]) for _ in range(2)]
        >>> model = kt.Sequential([*blocks, kt.layers.Dense(1)])
        >>> model.checkpoint_activations(["0", "1"])
        ['0', '1']
        >>> model.checkpoint_activations(None)
        []
        """
        chosen = {} if patterns is None else _outermost(_matches(self, patterns))
        for part in self.modules():
            if is_checkpointed(part):
                del part.forward
        for part in chosen.values():
            part.forward = CheckpointedForward(part)
        return list(chosen)


def _matches(model: nn.Module, patterns: str | Sequence[str]) -> dict[str, nn.Module]:
    """Return the modules that match any of the patterns, by path.

    Raises:
        ValueError: A pattern matches no module that can be called.
        TypeError: A pattern is no text.
    """
    given = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        raise TypeError(f"patterns must be text such as 'blocks.*', a list of texts, or None, got {patterns!r}.")
    named = {path: part for path, part in model.named_modules() if path}
    found: dict[str, nn.Module] = {}
    for pattern in given:
        matching = {path: part for path, part in named.items() if fnmatchcase(path, pattern)}
        callable_ones = {path: part for path, part in matching.items() if not _is_container(part)}
        if not matching:
            raise ValueError(f"no layer matches {pattern!r}.{suggest(pattern, named)} Layers: {', '.join(named)}.")
        if not callable_ones:
            path, part = next(iter(matching.items()))
            raise ValueError(f"{path!r} is a {type(part).__name__}, which has no forward; write '{path}.*'.")
        found |= callable_ones
    _check_can_be_replaced(found)
    return {path: part for path, part in named.items() if path in found}


def _is_container(part: nn.Module) -> bool:
    return isinstance(part, (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict))


def _check_can_be_replaced(parts: dict[str, nn.Module]) -> None:
    """Raise an error for modules whose `forward` cannot be replaced.

    Raises:
        ValueError: A module is scripted, or its `forward` was replaced already.
    """
    for path, part in parts.items():
        if isinstance(part, torch.jit.ScriptModule):
            raise ValueError(f"{path!r} is a scripted module, whose activations cannot be computed again.")
        if "forward" in vars(part) and not is_checkpointed(part):
            raise ValueError(f"the forward of {path!r} was replaced on the object; put it into the class of the layer.")


def _outermost(parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Leave out modules within others; a module under two paths appears once."""
    return {path: part for path, part in parts.items() if not any(path.startswith(f"{outer}.") for outer in parts)}
