"""What the `forward` of a module takes, as far as its signature shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from kerastorch.core.signatures import parameters_of


class ForwardInputs(NamedTuple):
    """The parameters of a `forward`.

    Attributes:
        names: Names of the parameters that can be passed by name, in order.
        required: Names of the positional parameters without a default.
        n_positional: Largest number of positional arguments; `None` for any number.
        takes_any_name: Whether it has `**kwargs`.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    n_positional: int | None
    takes_any_name: bool

    @classmethod
    def of(cls, forward: Callable[..., Any]) -> Self:
        """Read the signature of a bound method."""
        parameters = list(parameters_of(forward).values())
        kinds = {one.kind for one in parameters}
        positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        return cls(
            tuple(one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)),
            tuple(one.name for one in positional if one.default is one.empty),
            None if inspect.Parameter.VAR_POSITIONAL in kinds else len(positional),
            inspect.Parameter.VAR_KEYWORD in kinds,
        )

    @classmethod
    def of_names(cls, names: Sequence[str], keys: Sequence[Any]) -> Self:
        """Return those of a functional model, whose inputs have names, and keys if they are passed as a dict."""
        known = dict.fromkeys((*keys, *names))
        return cls(tuple(known), tuple(keys), len(keys), False)

    def takes(self, name: Any) -> bool:
        """Return whether an argument can be passed by this name."""
        return name in self.names or (self.takes_any_name and isinstance(name, str))
