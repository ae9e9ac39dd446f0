"""Dry runs: calling a module, or a copy of it on fake tensors, without any lasting effect on the module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

import torch
from torch import nn

from kerastorch.core.lazy_build import build_by_call, copy_module
from kerastorch.core.module_tree import is_built, is_compiled, modules
from kerastorch.core.nested import copy_leaf, is_object, map_structure
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES, fixed_specs
from kerastorch.core.torch_private import fake_tensor_module
from kerastorch.core.train_mode import evaluation_mode
from kerastorch.core.undivided_modules import undivided
from kerastorch.layers.rnn import reset_all_states
from kerastorch.module.base_module import losses_dropped
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.call_module import call_module
from kerastorch.runtime.error_context import raise_with_context
from kerastorch.symbolic.fake_tensors import fake_mode, mute_fake_tensor_logs

T = TypeVar("T")


class DryRun:
    """A module that can be called on inputs of given specs without any lasting effect on it.

    Args:
        module: A module, built or not.
        given: Specs of its inputs, in their structure.
        fake: Whether to run a copy on fake tensors, which have shapes and no values. If not, the module itself runs on
            zeros, or a copy of it if it is not built.

    Raises:
        Exception: The error of copying or calling the module.

    Attributes:
        module: The module that is run, with all its parameters and the same names as the given one.
    """

    def __init__(self, module: nn.Module, given: Any, *, fake: bool) -> None:
        self._given, self._fake = given, fake
        module = module if is_built(module) else copy_module(module)
        parts = modules(module)
        place = next((weight.device for part in parts for weight in part.parameters(recurse=False)), "cpu")
        self._transfer = BatchTransfer(
            parts, torch.device(place)
        )  # casts inputs as `fit` does, those of embeddings to integers
        self.module = module
        if not is_built(module, parts):
            with isolated(parts):
                build_lazy(module, self.inputs(TRIAL_BATCH_SIZES[0], TRIAL_SIZES[0]))
        if fake:
            with undivided(module), fake_tensor_module().FakeCopyMode(fake_mode()):
                self.module = copy.deepcopy(module)

    def inputs(self, batch: int, varying: int) -> Any:
        """Return zeros on the module's device, cast as `fit` casts inputs.

        Args:
            batch: Number of rows.
            varying: Size of the other axes that vary.
        """
        return self._transfer.inputs(map_structure(lambda spec: spec.zeros(batch, varying), self._given))

    def run(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Call the module in evaluation mode, or the copy on fake tensors in training mode.

        Args:
            x: Inputs, as `inputs` returns them.
            training: Whether a copy on fake tensors runs in training mode; ignored without fake tensors.

        Returns:
            The inputs, as fake tensors if `fake`, and the outputs.
        """
        if not self._fake:
            return x, self._run(x)
        x = map_structure(fake_mode().from_tensor, x)
        with fake_mode(), mute_fake_tensor_logs():
            return x, self._run(x, training)

    def _run(self, x: Any, training: bool = False) -> Any:
        with isolated(modules(self.module)):
            try:
                if training:  # only the copy on fake tensors
                    return call_module(self.module.train(), x)
                with evaluation_mode(self.module), torch.no_grad():
                    return call_module(self.module, x)
            except Exception as error:
                raise_with_context(error, self.module, x)


def with_possible_sizes(specs: Any, run: Callable[[Any], T]) -> T:
    """Return `run(specs)`, or `run` with the sizes that the data had if it fails with others.

    Args:
        specs: Specs of inputs, of which the first axis varies.
        run: Calls a module on inputs of the specs that it is given.

    Raises:
        Exception: The error of the first call.
    """
    try:
        return run(specs)
    except Exception:
        fixed = fixed_specs(specs)
        if fixed is not None:
            with suppress(Exception):
                return run(fixed)
        raise


def build_lazy(module: nn.Module, x: Any) -> None:
    """Make the parameters of a module's lazy parts, if it has any, by one call in evaluation mode.

    Args:
        module: A module. Buffers such as batch statistics keep their values; random states are not restored, since
            initializers draw from them.
        x: A batch of inputs, as `call_module` takes it.

    Raises:
        Exception: The error of the call, in the words of `raise_with_context`.
    """

    def call(x: Any) -> None:
        try:
            call_module(module, x)
        except Exception as error:
            raise_with_context(error, module, x)

    if not is_built(module):
        build_by_call(module, call, [map_structure(lambda leaf: copy_leaf(leaf) if is_object(leaf) else leaf, x)])
        reset_all_states(module)


@contextmanager
def isolated(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Restore random states at the end of the block; disable fused and compiled code, and `add_loss`, within.

    Without the fused kernels of attention and of `torch.compile`, modules call their submodules, whose calls can be
    recorded.

    Args:
        parts: The modules of a model.
    """
    with ExitStack() as stack:
        stack.enter_context(preserved_rng_states())
        stack.enter_context(losses_dropped(parts))
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        if any(map(is_compiled, parts)):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
