"""MemoryFormat: the memory format in which images reach a model; weights keep their own.

The kernels of torch take the format from their input. Converting the images alone therefore gives nearly all of the
gain, and weights, their gradients and the state of the optimizer keep their strides.
"""

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

from kerastorch.core.errors import mismatch, warn
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import leaves, map_structure, map_tensors
from kerastorch.core.onednn_limits import CHANNEL_BLOCK, overruns_in_channels_last
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.core.torch_private import module_hooks
from kerastorch.layers.convolution import Convolutional
from kerastorch.runtime.call_module import call_module
from kerastorch.training.fused_activation import LogitsRecorder

Convert = Callable[[Any], Any]

ROWS = 4  # of the trial: with several, a view that folds channels into the batch gives a different result
# functions of torch that channels-last makes faster in training; convolutions alone gain little or lose
_GAINS = {"max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d", "batch_norm"}
LARGE = 2**30  # bytes of weights: larger models are not copied for a trial
_CONVOLUTIONS = {
    4: (nn.Conv2d, nn.ConvTranspose2d),
    5: (nn.Conv3d, nn.ConvTranspose3d),
}  # by number of axes of their input
_DTYPES = (torch.float32, torch.bfloat16)  # with faster channels-last kernels


def channels_last(images: Tensor) -> Tensor:
    """Convert images to channels-last memory format; return other tensors unchanged.

    Images are `(batch, channels, height, width)`, or have a depth before the height. An image of one channel has the
    same memory in both formats, and torch treats it as contiguous unless its strides are set explicitly.
    """
    if images.ndim not in _CONVOLUTIONS or not images.is_floating_point():
        return images
    if images.shape[1] == 1:
        images = images.contiguous()
        return images.as_strided(images.shape, (images.stride(0), 1, *images.stride()[2:]))
    return images.contiguous(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)


def contiguous(images: Tensor) -> Tensor:
    """Convert images to torch's default memory format; return other tensors unchanged."""
    return images.contiguous() if images.ndim in _CONVOLUTIONS else images


# `None` stands for 'auto'
_FORMATS: dict[Hashable, Callable[[Tensor], Tensor] | None] = {
    "auto": None, "channels_last": channels_last, "contiguous": contiguous,
    torch.channels_last: channels_last, torch.contiguous_format: contiguous,
}  # fmt: skip


class MemoryFormat:
    """The memory format of `compile(memory_format=...)`.

    With `'auto'` images are converted to channels-last if a convolutional model on the CPU gains by it, and a trial on
    a copy of the model gives the same outputs. The trial runs once for each shape of a row.

    Args:
        model: The model that gets the images.
        wanted: `'auto'`, `'channels_last'`, `'contiguous'` or torch's constants for them.
        own_steps: The user's class overrides steps, which get the images, too: `'auto'` does not convert them then.

    Raises:
        ValueError: Another `wanted`.
    """

    def __init__(self, model: nn.Module, wanted: Any = "auto", own_steps: bool = False) -> None:
        if not isinstance(wanted, Hashable) or wanted not in _FORMATS:
            raise mismatch("memory_format", wanted, "'auto', 'channels_last' or 'contiguous'")
        self._model, self._wanted, self._own_steps = model, _FORMATS[wanted], own_steps
        self._verdicts: dict[Hashable, bool] = {}
        self._lock = threading.Lock()

    def to_format(self, device: torch.device) -> Convert | None:
        """Return the conversion of inputs for one `fit`, `evaluate` or `predict`; `None` if there is none."""
        if self._wanted is channels_last and device.type == "cpu" and (layer := _first_overrunning(self._model)):
            warn(
                f"layer {layer!r} is a 1x1 convolution with strides and fewer than {CHANNEL_BLOCK} input channels. On "
                "CPUs, torch computes wrong gradients for it if images are channels-last, or the process crashes. The "
                "images stay in their own format; leave memory_format out."
            )
            return None
        if self._wanted is not None:
            return partial(map_tensors, self._wanted)
        if self._own_steps or device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return None
        return _Automatic(self)

    def is_safe(self, modules_now: Hashable, x: Any, convert: Convert) -> bool:
        """Return whether the model has the same outputs for `convert(x)`; tried once for each shape of a row."""
        rows = tuple((leaf.shape[1:], leaf.dtype) for _, leaf in leaves(x))
        with self._lock:
            known = self._verdicts.get((modules_now, rows))
            if known is None:
                known = self._verdicts[modules_now, rows] = outputs_match(self._model, x, convert)
        return known


class _Automatic:
    """Conversion of `'auto'` for one `fit`, `evaluate` or `predict`; the model is examined with the first images."""

    def __init__(self, memory_format: MemoryFormat) -> None:
        self._memory_format = memory_format
        self._modules: Hashable = None
        self._axes: set[int] | None = None  # numbers of axes of the inputs that are converted

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            if x.ndim not in _CONVOLUTIONS:
                return x
        elif not _are_images_among_tensors(x):
            return x
        model = self._memory_format._model
        if self._axes is None:
            if not is_built(model):
                return x
            self._axes = _axes(model)
            self._modules = tuple(map(id, modules(model)))
        if not any(leaf.ndim in self._axes and leaf.dtype in _DTYPES for _, leaf in leaves(x)):
            return x
        return self._converted(x) if self._memory_format.is_safe(self._modules, x, self._converted) else x

    def _converted(self, x: Any) -> Any:
        axes = self._axes or ()
        return map_structure(lambda leaf: channels_last(leaf) if leaf.ndim in axes else leaf, x)


def _are_images_among_tensors(x: Any) -> bool:
    """Return whether inputs are tensors alone, and some may be images; a trial could not copy other objects."""
    found = [leaf for _, leaf in leaves(x)]
    return all(isinstance(leaf, Tensor) for leaf in found) and any(leaf.ndim in _CONVOLUTIONS for leaf in found)


def _axes(model: nn.Module) -> set[int]:
    """Return the numbers of axes of the inputs of convolutions; none if a trial on a copy is not possible."""
    found: set[int] = set()
    for module in modules(model):
        hooks = module_hooks(module, "forward", "forward_pre")
        if isinstance(module, nn.parallel.DistributedDataParallel):
            return set()  # a trial would wait for the other processes
        if any(not isinstance(getattr(hook, "__self__", None), LogitsRecorder) for hook in hooks):
            return set()  # a user's hook must not see the activations of a trial
        if getattr(module, "activity_regularizer", None) is not None or is_compiled(module):
            return set()  # a compiled copy would be compiled again, for a few rows
        found |= {axes for axes, kinds in _CONVOLUTIONS.items() if isinstance(module, kinds)}
        if isinstance(module, Convolutional) and module.rank > 1 and module.data_format == "channels_first":
            found.add(module.rank + 2)  # those with data_format='channels_last' have it already
    size = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())) if found else 0
    return set() if size > LARGE else found


def outputs_match(model: nn.Module, x: Any, convert: Callable[[Any], Any]) -> bool:
    """Return whether a copy of a model has the same outputs for `convert(x)` as for `x`, and is likely to be faster.

    The copy is called in evaluation and in training mode, each time from the same random state, which is restored.
    Outputs must agree up to rounding and have the same memory layout, and a backward pass must work. Any error means
    no: an error of the model itself will be raised when it is used.

    Args:
        model: The model, which is copied.
        x: A batch of its inputs.
        convert: The conversion to try.
    """
    before = capture_rng_states()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            few = map_structure(lambda leaf: leaf.detach()[torch.arange(ROWS) % len(leaf)].contiguous(), x)
            trial = copy.deepcopy(model)
            for training in (False, True):
                restore_rng_states(before)
                with _Called() as called:
                    expected = _outputs(trial, map_structure(torch.clone, few), training)
                if not called.names & _GAINS or called.overrunning:
                    return False
                restore_rng_states(before)
                if not _agree(expected, _outputs(trial, convert(map_structure(torch.clone, few)), training)):
                    return False
        return True
    except Exception:
        return False
    finally:
        restore_rng_states(before)


def _outputs(model: nn.Module, x: Any, training: bool) -> list[Tensor]:
    """Call a model and run a backward pass; return its outputs."""
    model.train(training)
    with torch.set_grad_enabled(training):
        found = [leaf for _, leaf in leaves(call_module(model, x))]
        differentiable = [leaf for leaf in found if leaf.requires_grad]
        if differentiable:
            torch.stack([leaf.sum() for leaf in differentiable]).sum().backward()
    return [leaf.detach() for leaf in found]


def _agree(first: list[Tensor], second: list[Tensor]) -> bool:
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
    """Records the names of the torch functions that are called.

    Attributes:
        names: The names.
        overrunning: Whether a convolution is among them whose gradient writes past its memory in channels-last format.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.overrunning = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.names.add(name)
        if name in ("conv2d", "conv3d"):
            given = {**dict(zip(("input", "weight", "bias", "stride"), args, strict=False)), **(kwargs or {})}
            self.overrunning |= overruns_in_channels_last(given["weight"], given.get("stride", 1))
        return func(*args, **(kwargs or {}))


def _first_overrunning(model: nn.Module) -> str | None:
    """Return the name of the first layer whose gradient writes past its memory in channels-last format, if any."""
    for name, module in model.named_modules():
        plain = isinstance(module, (nn.Conv2d, nn.Conv3d)) and is_built(module)
        if plain and overruns_in_channels_last(module.weight, module.stride):
            return name or "the model"
    return None
