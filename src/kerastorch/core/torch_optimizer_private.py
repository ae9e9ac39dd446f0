"""Private names of torch's optimizers and schedules that kerastorch uses; see `torch_private`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

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


def step_wrapper_is_idle(optimizer: Optimizer) -> bool:
    """Return whether torch's wrapper of `Optimizer.step` has nothing to do.

    That is so if no profiler is recording, and no step hook is registered.
    """
    before, after = _GLOBAL_HOOKS
    return not (is_profiler_enabled() or before or after or has_step_hooks(optimizer))


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
