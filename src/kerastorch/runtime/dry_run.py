"""Looking at a module without leaving a trace: on a copy without numbers, or on the module itself, put back after."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from kerastorch.core.lazy_build import build_by_call
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import map_structure
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES
from kerastorch.core.torch_private import fake_tensor_module
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.layers.rnn import reset_all_states
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.symbolic.fake_tensors import fake_mode, mute_fake_tensor_logs


class DryRun:
    """A module, or what stands for it, that may be run.

    Args:
        module: any, built or not; nothing about it changes.
        given: specs of its inputs.
        fake: on a copy whose tensors have shapes and no numbers; else really, on zeros.

    Raises:
        Exception: whatever a deep copy of the module, or its forward, raises.

    Attributes:
        module: what is run: built, with the names of the one given.
    """

    def __init__(self, module: nn.Module, given: Any, *, fake: bool) -> None:
        self._given, self._fake = given, fake
        module = module if is_built(module) else _copied(module)
        parts = modules(module)
        place = next((weight.device for part in parts for weight in part.parameters(recurse=False)), "cpu")
        self._feed = BatchTransfer(parts, torch.device(place))  # as fit would: what is looked up becomes integers
        self.module = module
        if not is_built(module, parts):
            with isolated(parts):
                build_lazy(module, self.inputs(TRIAL_BATCH_SIZES[0], TRIAL_SIZES[0]))
        if fake:
            with fake_tensor_module().FakeCopyMode(fake_mode()):
                self.module = copy.deepcopy(module)

    def inputs(self, batch: int, varying: int) -> Any:
        """Zeros of these sizes, on the module's device and in its dtype."""
        return self._feed.inputs(map_structure(lambda spec: spec.zeros(batch, varying), self._given))

    def run(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Call it: what it was given, and what it returned."""
        if not self._fake:
            return x, self._run(x)
        x = map_structure(fake_mode().from_tensor, x)
        with fake_mode(), mute_fake_tensor_logs():
            return x, self._run(x, training)

    def _run(self, x: Any, training: bool = False) -> Any:
        with isolated(modules(self.module)):
            try:
                if training:  # nobody but a copy is trained
                    return call_module(self.module.train(), x)
                with evaluation_mode(self.module), torch.no_grad():
                    return call_module(self.module, x)
            except Exception as error:
                raise_with_context(error, self.module, x)


def build_lazy(module: nn.Module, x: Any) -> None:
    """Make the parameters of a module's lazy parts, if it has any, by one call in evaluation mode.

    Args:
        module: any module. Buffers such as batch statistics keep their values; random states are not restored, since
            initializers draw from them.
        x: a batch of inputs, as `call_module` takes it.

    Raises:
        Exception: the error of the call, in the words of `raise_with_context`.
    """

    def call(x: Any) -> None:
        try:
            call_module(module, x)
        except Exception as error:
            raise_with_context(error, module, x)

    if not is_built(module):
        build_by_call(module, call, [x])
        reset_all_states(module)


@contextmanager
def isolated(parts: Sequence[nn.Module]) -> Iterator[None]:
    """For the time of a look: random numbers are put back, and layers call their parts, not a kernel for all."""
    with ExitStack() as stack:
        stack.enter_context(preserved_rng_states())
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        if any(map(is_compiled, parts)):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _copied(module: nn.Module) -> nn.Module:
    """A deep copy; torch has none of a lazy buffer."""
    kind: Any = nn.parameter.UninitializedBuffer
    lazy = [buffer for buffer in module.buffers() if nn.parameter.is_lazy(buffer)]
    fresh = {id(buffer): kind(device=buffer.device, dtype=buffer.dtype) for buffer in lazy}
    return copy.deepcopy(module, fresh)
