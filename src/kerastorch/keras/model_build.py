"""`build` of models that scripts of Keras define: it runs once, before the first call or by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.ownership import is_own
from kerastorch.core.train_mode import set_mode
from kerastorch.module.unregistered_modules import register_plain_lists

_HOOK = "_model_build_hook"  # in the dict of a model that is to be built


def runs_once(build: Callable[..., None]) -> Callable[..., None]:
    """Return a `build` of a model after which the first call does not build it again.

    Args:
        build: The method of a script's own class.
    """

    @functools.wraps(build)
    def wrapper(self: nn.Module, *input_shapes: Any, **named: Any) -> None:
        hook = vars(self).pop(_HOOK, None)
        if hook is None:  # it is built already, or a subclass calls this method
            build(self, *input_shapes, **named)
            return
        before = {*self.modules()}
        hook.remove()
        vars(self)["built"] = True
        try:
            build(self, *input_shapes, **named)
        except BaseException:
            build_at_first_call(self)
            raise
        register_plain_lists(self)
        for part in {*self.modules()} - before:
            set_mode(part, self.training)

    return wrapper


def build_at_first_call(model: nn.Module) -> None:
    """Let the first call of a model build it, if its class defines `build`.

    Args:
        model: A model that is not built yet.
    """
    build: Any = getattr(type(model), "build", None)
    if build is not None and not is_own(build):
        vars(model)["built"] = False  # so that `fit` calls the model before it makes the optimizer
        vars(model)[_HOOK] = model.register_forward_pre_hook(_build, with_kwargs=True)


def _build(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Build a model for the inputs of its first call."""
    build: Any = model.build
    build(_shape_of(args[0] if args else next(iter(kwargs.values()))))


def _shape_of(value: Any) -> Any:
    """Return the shape of a tensor, or the shapes of those in a list or dict."""
    if isinstance(value, Mapping):
        return {name: _shape_of(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_shape_of(one) for one in value]
    return tuple(value.shape) if isinstance(value, Tensor) else None
