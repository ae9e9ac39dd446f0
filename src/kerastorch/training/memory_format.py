"""Layout: the memory format in which images reach a model; the weights keep theirs."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import leaves, map_structure
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.core.torch_private import module_hooks
from kerastorch.layers.convolution import Convolutional
from kerastorch.runtime.call_module import call_module
from kerastorch.training.fused_activation import LogitsRecorder

Arrange = Callable[[Any], Any]

ROWS = 4  # more than one, so that a view that folds channels into the batch is found out
# torch's functions that channels-last makes faster in training; convolutions alone gain little, or lose
_GAINS = {"max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d", "batch_norm"}
LARGE = 2**30  # bytes of weights: a copy of a larger model is not made for a rehearsal
_CONVOLUTIONS = {4: (nn.Conv2d, nn.ConvTranspose2d), 5: (nn.Conv3d, nn.ConvTranspose3d)}  # by axes of their input
_DTYPES = (torch.float32, torch.bfloat16)  # those of the kernels that are faster so


def channels_last(images: Tensor) -> Tensor:
    """`(batch, channels, height, width)`, or with a depth, in channels-last memory format; other tensors as they are.

    One channel looks the same in both formats, so that torch takes it for contiguous; strides written out tell it.
    """
    if images.ndim not in _CONVOLUTIONS or not images.is_floating_point():
        return images
    if images.shape[1] == 1:
        images = images.contiguous()
        return images.as_strided(images.shape, (images.stride(0), 1, *images.stride()[2:]))
    return images.contiguous(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)


def contiguous(images: Tensor) -> Tensor:
    """Images in torch's default memory format; other tensors as they are."""
    return images.contiguous() if images.ndim in _CONVOLUTIONS else images


# `None` is 'auto'
_WANTED: dict[Hashable, Callable[[Tensor], Tensor] | None] = {
    "auto": None, "channels_last": channels_last, "contiguous": contiguous,
    torch.channels_last: channels_last, torch.contiguous_format: contiguous,
}  # fmt: skip


class MemoryFormat:
    """What `compile(memory_format=...)` asks for.

    With `'auto'` images are put in channels-last format where a convolutional model on the CPU gains by it and a
    rehearsal shows that it works as before; that is found out once for each shape of a row.

    Args:
        model: what will be called.
        wanted: `'auto'`, `'channels_last'`, `'contiguous'` or torch's constants for them.
        own_steps: the model has steps of its own, which see the images too: `'auto'` leaves them as they are.

    Raises:
        ValueError: another `wanted`.
    """

    def __init__(self, model: nn.Module, wanted: Any = "auto", own_steps: bool = False) -> None:
        if not isinstance(wanted, Hashable) or wanted not in _WANTED:
            raise mismatch("memory_format", wanted, "'auto', 'channels_last' or 'contiguous'")
        self._model, self._wanted, self._own_steps = model, _WANTED[wanted], own_steps
        self._verdicts: dict[Hashable, bool] = {}
        self._lock = threading.Lock()

    def to_format(self, device: torch.device) -> Arrange | None:
        """What one call of `fit`, `evaluate` or `predict` does to inputs on `device`; `None` for nothing."""
        if self._wanted is not None:
            return partial(map_structure, self._wanted)
        if self._own_steps or device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return None
        return _Automatic(self)

    def is_safe(self, modules_now: Hashable, x: Any, arrange: Arrange) -> bool:
        """Whether the model does the same with `arrange(x)`."""
        rows = tuple((leaf.shape[1:], leaf.dtype) for _, leaf in leaves(x))
        with self._lock:
            known = self._verdicts.get((modules_now, rows))
            if known is None:
                known = self._verdicts[modules_now, rows] = outputs_match(self._model, x, arrange)
        return known


class _Automatic:
    """`'auto'` for one call: the model is looked at when the first images come."""

    def __init__(self, layout: MemoryFormat) -> None:
        self._layout = layout
        self._modules: Hashable = None
        self._axes: set[int] | None = None  # of the inputs that are put in channels-last format

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.ndim not in _CONVOLUTIONS:
                return x
        elif not any(leaf.ndim in _CONVOLUTIONS for _, leaf in leaves(x)):
            return x
        model = self._layout._model
        if self._axes is None:
            if not is_built(model):
                return x
            self._axes = _axes(model)
            self._modules = tuple(map(id, modules(model)))
        if not any(leaf.ndim in self._axes and leaf.dtype in _DTYPES for _, leaf in leaves(x)):
            return x
        return self._arranged(x) if self._layout.is_safe(self._modules, x, self._arranged) else x

    def _arranged(self, x: Any) -> Any:
        axes = self._axes or ()
        return map_structure(lambda leaf: channels_last(leaf) if leaf.ndim in axes else leaf, x)


def _axes(model: nn.Module) -> set[int]:
    """How many axes the inputs of the model's convolutions have; none where a copy could not stand for the model."""
    found: set[int] = set()
    for module in modules(model):
        hooks = module_hooks(module, "forward", "forward_pre")
        if isinstance(module, nn.parallel.DistributedDataParallel):
            return set()  # a trial would wait for the other processes
        if any(not isinstance(getattr(hook, "__self__", None), LogitsRecorder) for hook in hooks):
            return set()  # what a hook of the user's does with activations is not ours to try
        if getattr(module, "activity_regularizer", None) is not None or is_compiled(module):
            return set()  # a compiled copy would be compiled again, for a few rows
        found |= {axes for axes, kinds in _CONVOLUTIONS.items() if isinstance(module, kinds)}
        if isinstance(module, Convolutional) and module.rank > 1 and module.data_format == "channels_first":
            found.add(module.rank + 2)  # those with data_format='channels_last' have it already
    size = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())) if found else 0
    return set() if size > LARGE else found


def outputs_match(model: nn.Module, x: Any, arrange: Callable[[Any], Any]) -> bool:
    """Whether `model` does with `arrange(x)` what it does with `x`, and is likely to do it faster.

    A copy is called, in evaluation and in training mode, each time from the same random state, which is put back.
    Outputs must be the same up to rounding and lie in memory alike; a backward pass must work. Whatever goes wrong,
    the answer is no: where the model itself is at fault, it will say so when it is used.
    """
    before = capture_rng_states()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            few = map_structure(lambda leaf: leaf.detach()[torch.arange(ROWS) % len(leaf)].contiguous(), x)
            twin = copy.deepcopy(model)
            for training in (False, True):
                restore_rng_states(before)
                with _Called() as called:
                    expected = _outputs(twin, map_structure(torch.clone, few), training)
                if not called.names & _GAINS:
                    return False
                restore_rng_states(before)
                if not _alike(expected, _outputs(twin, arrange(map_structure(torch.clone, few)), training)):
                    return False
        return True
    except Exception:
        return False
    finally:
        restore_rng_states(before)


def _outputs(model: nn.Module, x: Any, training: bool) -> list[Tensor]:
    model.train(training)
    with torch.set_grad_enabled(training):
        found = [leaf for _, leaf in leaves(call_module(model, x))]
        learning = [leaf for leaf in found if leaf.requires_grad]
        if learning:
            torch.stack([leaf.sum() for leaf in learning]).sum().backward()
    return [leaf.detach() for leaf in found]


def _alike(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(_close, first, second))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or not (a.stride() == b.stride() or _contiguous(a, b)):
        return False
    size = float(a.abs().max()) if a.numel() else 0.0
    tolerance = 1e-4 if a.dtype == torch.float32 else 2e-2
    return torch.allclose(a, b, rtol=10 * tolerance, atol=tolerance * size, equal_nan=True)


def _contiguous(*tensors: Tensor) -> bool:
    return all(tensor.is_contiguous() for tensor in tensors)


class _Called(TorchFunctionMode):
    """The names of the torch functions called meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))
