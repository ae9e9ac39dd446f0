"""Blocks of Keras' scripts: `device`, `name_scope`, `RematScope`; and the function `remat`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import torch
from torch.utils.checkpoint import checkpoint

from kerastorch.core.errors import unknown
from kerastorch.layers.base import Layer
from kerastorch.runtime.activation_checkpointing import CheckpointedForward

_MODES = ("full", "list_of_layers", None)
_remat: ContextVar[RematScope | None] = ContextVar("remat", default=None)


def device(device_name: str) -> torch.device:
    """Return a device for a `with` block in which new tensors, and the weights of new layers, are on it.

    Args:
        device_name: `"cpu"`, `"cuda:0"`, or `"gpu:0"` for the same.

    >>> with device("cpu:0"):
    ...     print(torch.zeros(2).device)
    cpu
    """
    kind, _, number = device_name.lower().partition(":")
    kind = "cuda" if kind == "gpu" else kind
    return torch.device(kind if kind == "cpu" or not number else f"{kind}:{number}")


@contextmanager
def name_scope(name: str, caller: Any = None) -> Iterator[None]:  # noqa: ARG001  # Keras' arguments
    """Do nothing: a weight has the path of its layer as its name.

    Args:
        name: A name.
        caller: Any object.
    """
    yield


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose intermediate results are computed again in the backward pass, and not stored.

    Args:
        f: A function of tensors.

    >>> x = torch.ones(2, requires_grad=True)
    >>> remat(torch.exp)(x).sum().backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(f, *args, use_reentrant=False, **kwargs) if torch.is_grad_enabled() else f(*args, **kwargs)

    return call


class RematScope:
    """A `with` block whose new layers compute their activations again in the backward pass.

    The layers of `kerastorch.keras` that are made in the block are meant. `model.checkpoint_activations` chooses layers
    of a model that exists.

    Args:
        mode: `"full"` for all layers, `"list_of_layers"` for those in `layer_names`, `None` for none. Default `"full"`.
        output_size_threshold: Is of no use here: sizes of outputs are not known when layers are made.
        layer_names: Names of layers. Default none.

    Raises:
        ValueError: There is no such mode; `"larger_than"` and `"activations"` are not there.
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        if mode in ("larger_than", "activations"):
            raise ValueError(
                f"RematScope(mode={mode!r}) is not there: use mode='list_of_layers' with layer_names, or "
                "model.checkpoint_activations('blocks.*') for a model that exists."
            )
        if mode not in _MODES:
            raise unknown("mode", str(mode), ("full", "list_of_layers"))
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = frozenset(layer_names or ())

    def __enter__(self) -> Self:
        self._token = _remat.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _remat.reset(self._token)

    def includes(self, layer: Layer) -> bool:
        """Return whether the activations of a new layer are computed again."""
        return self.mode == "full" or (self.mode == "list_of_layers" and layer.name in self.layer_names)


def apply_remat_scope(layer: Layer) -> None:
    """Let a new layer compute its activations again if it is made in a `RematScope` that includes it."""
    scope = _remat.get()
    if scope is not None and scope.includes(layer):
        layer.forward = CheckpointedForward(layer)  # type: ignore[method-assign]
