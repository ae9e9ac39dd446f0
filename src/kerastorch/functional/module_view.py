"""ModuleView: a module with the parameters, buffers and children of another under the same names."""

from __future__ import annotations

from typing import Any, Self

from torch import nn

from kerastorch.core.call_mode import follow_mode
from kerastorch.core.errors import mismatch
from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.torch_private import MODULE_CONTENTS
from kerastorch.core.trainable import set_frozen_batchnorm_eval
from kerastorch.module.unregistered_modules import check_registered
from kerastorch.module.weights_mixin import WeightsMixin


class ModuleView(WeightsMixin):
    """A view of a module; without one, the base class of a module with a `forward` of its own.

    Args:
        module: The module to view, or `None`.

    Attributes:
        module_viewed: The module that is viewed, or `None`.

    Raises:
        ValueError: `module` is not an `nn.Module`.
    """

    module_viewed: nn.Module | None = None

    def __init__(self, module: nn.Module | None = None) -> None:
        super().__init__()
        if module is None:
            return
        if not isinstance(module, nn.Module):
            raise mismatch("module", module, "a torch.nn.Module")
        self.__dict__["module_viewed"] = module  # not registered as a child, which would prefix every name
        self._share()
        self.training = module.training

    def _share(self) -> None:
        """Use the dicts of the viewed module itself, so that a replaced child or a new weight is in both."""
        for shared in MODULE_CONTENTS:
            self.__dict__[shared] = self.module_viewed.__dict__[shared]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.module_viewed is not None:  # a copied graph has new dicts
            self._share()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the viewed module; a subclass without one defines its own `forward`."""
        if self.module_viewed is None:
            raise TypeError(
                f"{type(self).__name__} must define forward(self, x), or call(self, x).{_hint_for_lazy(self)}"
            )
        return self.module_viewed(*args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode, as in torch; frozen batch normalization stays in evaluation mode.

        Args:
            mode: Whether to train. Default `True`.

        Raises:
            ValueError: Layers are in a plain list, where torch does not register them; their mode would not change.
        """
        check_registered(self)
        if self.module_viewed is None:
            super().train(mode)
        else:
            follow_mode(self)
            self.module_viewed.train(mode)  # the children are the same
            self.training = mode
        if mode:
            set_frozen_batchnorm_eval(modules(self))
        return self

    def _save_to_state_dict(self, *args: Any) -> None:
        viewed = self.module_viewed
        save: Any = super()._save_to_state_dict if viewed is None else viewed._save_to_state_dict
        save(*args)

    def _load_from_state_dict(self, *args: Any) -> None:
        viewed = self.module_viewed
        load: Any = super()._load_from_state_dict if viewed is None else viewed._load_from_state_dict
        load(*args)


def _hint_for_lazy(model: nn.Module) -> str:
    """Return what to do if the steps of a model call its parts one by one, and a part has no weights yet."""
    lazy = [name for name, part in model.named_children() if not is_built(part)]
    if not lazy:
        return ""
    return f" Or let {lazy[0]!r} begin with an Input, so that it has weights, if train_step calls the parts by itself."
