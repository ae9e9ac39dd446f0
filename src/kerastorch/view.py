"""View: a module that has another's parameters, buffers and children under the same names."""

from __future__ import annotations

from typing import Any, Self

from torch import nn

from kerastorch.errors import mismatch
from kerastorch.weights import Weights


class View(Weights):
    """A view of `module`; without one, the base of a module with a `forward` of its own."""

    module_viewed: nn.Module | None = None

    def __init__(self, module: nn.Module | None = None) -> None:
        super().__init__()
        if module is None:
            return
        if not isinstance(module, nn.Module):
            raise mismatch("module", module, "a torch.nn.Module")
        # the same dicts, not copies: a child replaced, or a lazy weight made, on one side is so on the other
        for shared in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            self.__dict__[shared] = module.__dict__[shared]
        self.__dict__["module_viewed"] = module  # not a child: it would put a prefix before every name
        self.training = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The viewed module's forward; a subclass writes its own."""
        if self.module_viewed is None:
            hint = " It has a call(); name it forward." if hasattr(self, "call") else ""
            raise TypeError(f"{type(self).__name__} must define forward(self, x).{hint}")
        return self.module_viewed(*args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        """Training mode, as torch's; the viewed module follows."""
        if self.module_viewed is None:
            return super().train(mode)
        self.module_viewed.train(mode)  # the children are the same
        self.training = mode
        return self

    def _save_to_state_dict(self, *args: Any) -> None:
        viewed = self.module_viewed
        save: Any = super()._save_to_state_dict if viewed is None else viewed._save_to_state_dict
        save(*args)

    def _load_from_state_dict(self, *args: Any) -> None:
        viewed = self.module_viewed
        load: Any = super()._load_from_state_dict if viewed is None else viewed._load_from_state_dict
        load(*args)
