"""Private names of torch's optimizers and schedules that kerastorch uses; see `torch_private`."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch.autograd import profiler
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

from kerastorch.core.torch_private import required


def step_pre_hooks(optimizer: Optimizer) -> Mapping[int, Callable[..., Any]]:
    """Return the hooks that run before each step of an optimizer, as the optimizer's own mapping."""
    return required(optimizer, "_optimizer_step_pre_hooks")  # type: ignore[no-any-return]


def step_post_hooks(optimizer: Optimizer) -> Mapping[int, Callable[..., Any]]:
    """Return the hooks that run after each step of an optimizer, as the optimizer's own mapping."""
    return required(optimizer, "_optimizer_step_post_hooks")  # type: ignore[no-any-return]


def ensure_step_hooks(optimizer: Optimizer) -> None:
    """Let an optimizer of another package have step hooks if its constructor has not called `Optimizer.__init__`.

    Only the instance is changed: other optimizers of its class may be stepped in a user's own loop.
    """
    if hasattr(optimizer, "_optimizer_step_pre_hooks"):
        return
    for name in ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre",
                 "load_state_dict_post"):  # fmt: skip
        setattr(optimizer, f"_optimizer_{name}_hooks", OrderedDict())
    vars(optimizer).setdefault("defaults", {})
    if not getattr(type(optimizer).step, "hooked", False):
        optimizer.step = MethodType(Optimizer.profile_hook_step(type(optimizer).step), optimizer)  # type: ignore[method-assign]


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Return whether hooks run before or after each step of an optimizer, or whether that is unknown."""
    return bool(
        getattr(optimizer, "_optimizer_step_pre_hooks", True) or getattr(optimizer, "_optimizer_step_post_hooks", True)
    )


def is_profiler_enabled() -> bool:
    """Return whether a profiler is recording, so that torch's annotations of a step must run."""
    return bool(getattr(profiler, "_is_profiler_enabled", True))


_GLOBAL_HOOKS: Any = tuple(
    getattr(torch_optimizer, name, {"missing": None})
    for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
)


def step_wrapper_has_work() -> bool:
    """Return whether torch's wrapper of `Optimizer.step` does more than calling the hooks of the optimizer.

    That is so if a profiler is recording, or a hook for all optimizers is registered.
    """
    before, after = _GLOBAL_HOOKS
    return is_profiler_enabled() or bool(before or after)


def unscale_before_step(optimizer: Optimizer) -> None:
    """Make `GradScaler` divide gradients before the step, and not in the kernel of a fused optimizer."""
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # unknown to torch: has no effect


def mark_stepped(optimizer: Optimizer) -> None:
    """Record that an optimizer stepped, so that a schedule does not warn about the order of steps."""
    optimizer._opt_called = True  # type: ignore[attr-defined]  # unknown to torch: has no effect


def is_wrapped_by_schedule(step: Any) -> bool:
    """Return whether a schedule, rather than the user, replaced the `step` of an optimizer."""
    return hasattr(step, "_wrapped_by_lr_sched")


def schedulers_in(scheduler: Any) -> list[Any]:
    """Return the schedules that a `ChainedScheduler` or `SequentialLR` consists of."""
    return list(required(scheduler, "_schedulers"))


def milestones_of(scheduler: Any) -> list[int]:
    """Return the steps at which a `SequentialLR` switches to the next schedule."""
    return list(required(scheduler, "_milestones"))


# --- torch's compiler, which optimizers import (one to two seconds) though most scripts never compile ------------

_COMPILER = "torch._dynamo"
_CACHE = "__dynamo_disable"  # the attribute in which torch keeps what it calls instead of such a method


def _left_out_of_graphs() -> list[Any]:
    """Return the functions in methods of optimizers that torch hides from its compiler, which it imports for that."""
    methods = [getattr(Optimizer, name, None) for name in ("add_param_group", "state_dict", "load_state_dict")]
    return [
        method.__wrapped__  # type: ignore[union-attr]
        for method in methods
        if _CACHE in getattr(getattr(method, "__code__", None), "co_consts", ()) and hasattr(method, "__wrapped__")
    ]


@contextmanager
def without_compiler_import() -> Iterator[None]:
    """Make or load optimizers without importing torch's compiler, unless it is imported already.

    What torch would call is put into the place where torch keeps it, and taken away at the end, so that nothing is
    left behind. If the compiler is imported meanwhile, torch's way is taken.
    """
    placed = [] if _COMPILER in sys.modules else [one for one in _left_out_of_graphs() if not hasattr(one, _CACHE)]
    for function in placed:
        setattr(function, _CACHE, _uncompiled(function))
    try:
        yield
    finally:
        for function in placed:
            vars(function).pop(_CACHE, None)


def _uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _COMPILER in sys.modules:
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _code(function: Any) -> Any:
    return getattr(function, "__code__", None)


_decorate: Any = getattr(torch_optimizer, "_use_grad_for_differentiable", None)
_STEP_WRAPPER = _code(Optimizer.profile_hook_step(print))
_GRADIENT_MODE = None if _decorate is None else _code(_decorate(print))


def unwrapped_step(kind: type[Optimizer]) -> Callable[..., Any] | None:
    """Return the `step` of a class of optimizers without annotations for profilers and torch's compiler, and hooks.

    Returns:
        A function of the optimizer; None if the class has wrapped `step` in another way than torch does.
    """
    wrapped: Any = kind.step
    if _code(wrapped) is not _STEP_WRAPPER or not hasattr(wrapped, "__wrapped__"):
        return None
    inside: Callable[..., Any] = wrapped.__wrapped__
    if _GRADIENT_MODE is None or _code(inside) is not _GRADIENT_MODE or not hasattr(inside, "__wrapped__"):
        return inside
    function = inside.__wrapped__

    @wraps(function)
    def step(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(optimizer.defaults["differentiable"]):
            return function(optimizer, *args, **kwargs)

    return step
