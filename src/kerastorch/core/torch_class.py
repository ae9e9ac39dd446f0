"""Built layers as instances of the classes of torch that compute the same.

Libraries find the modules that they can change by `isinstance(module, nn.Linear)`. A layer that computes what a class
of torch computes is an instance of that class as soon as it is built: its class then derives from its own class and
from torch's. `forward`, names of weights and configs stay those of its own class. The joined class makes a module of
torch if it is called with arguments; its `from_config` makes a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

from torch import nn

from kerastorch.core.sharded_modules import class_before_sharding

_DECLARED, _JOINED = "_declared_class", "_joined_class"  # attributes of classes, which subclasses must not inherit


class TorchClass(NamedTuple):
    """The class of torch that a layer can be an instance of.

    Attributes:
        kind: The class, such as `nn.Linear`.
        aliases: Attribute of `kind` -> attribute of the layer that holds the same value.
        decided_by: Attributes of the layer that may change after it is built, and on which it depends whether it
            computes the same as `kind`.
    """

    kind: type[nn.Module]
    aliases: Mapping[str, str] = MappingProxyType({})
    decided_by: tuple[str, ...] = ()


class HasTorchClass(Protocol):
    """A layer that may be an instance of a class of torch."""

    built: bool
    torch_class: TorchClass | None

    def torch_attributes(self) -> dict[str, Any] | None:
        """Return the attributes of torch's class besides weights and aliases; `None` if the layer computes more."""


def declared_class(kind: type) -> type:
    """Return the class in whose place a layer has got a class that also derives from one of torch.

    A class that `fully_shard` has put in the place of another one counts as that. Every other class is returned
    unchanged.

    >>> import torch
    >>> from kerastorch.layers import Dense
    >>> layer = Dense(2)
    >>> _ = layer(torch.zeros(1, 3))
    >>> type(layer) is Dense, declared_class(type(layer)) is Dense, isinstance(layer, nn.Linear)
    (False, True, True)
    """
    kind = class_before_sharding(kind)
    return cast(type, vars(kind).get(_DECLARED, kind))


def join_torch_class(layer: HasTorchClass) -> None:
    """Make a layer an instance of its class of torch if it is built and computes the same, else undo that."""
    declared = declared_class(type(layer))
    attributes = layer.torch_attributes() if layer.built and _describes_its_call(declared) else None
    wanted = declared if attributes is None or layer.torch_class is None else _joined(declared, layer.torch_class)
    if wanted is not type(layer):
        layer.__class__ = wanted
    vars(layer).update(attributes or {})


def _describes_its_call(declared: type) -> bool:
    """Return whether `torch_attributes` is defined for the `forward` and the masks that a class has.

    It is not if a subclass overrides one of them.
    """
    owner = _owner(declared, "torch_attributes")
    return all(issubclass(owner, _owner(declared, name)) for name in ("forward", "compute_mask"))


def _owner(kind: type, name: str) -> type:
    """Return the class that defines the attribute that a class has or inherits."""
    return next(one for one in kind.__mro__ if name in vars(one))


def _joined(declared: type, torch_class: TorchClass) -> type:
    """Return the class that derives from a layer's class and from torch's; it is made once."""
    found = vars(declared).get(_JOINED)
    if found is None:
        namespace = {
            "__module__": declared.__module__,
            "__qualname__": declared.__qualname__,
            "__doc__": declared.__doc__,
            "__init__": _constructor(torch_class.kind),
            "from_config": declared.from_config,  # type: ignore[attr-defined]
            _DECLARED: declared,
            **{name: _alias(own) for name, own in torch_class.aliases.items()},
        }
        found = type(declared.__name__, (declared, _Joined, torch_class.kind), namespace)
        setattr(declared, _JOINED, found)
    return cast(type, found)


def _constructor(kind: Any) -> Any:
    """Return an `__init__` that makes a module of torch.

    Libraries that find a module of torch call its class with torch's arguments, to make another module like it.
    """

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        object.__setattr__(self, "__class__", kind)
        kind.__init__(self, *args, **kwargs)

    return __init__


def _alias(own: str) -> property:
    """Return a property that reads and sets another attribute."""

    def set_own(layer: object, value: Any) -> None:
        setattr(layer, own, value)

    return property(attrgetter(own), set_own)


class _Joined:
    """Methods of a layer that is an instance of a class of torch; they come before those of torch's class."""

    torch_class: TorchClass

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self.torch_class.decided_by and _DECLARED in vars(type(self)):
            join_torch_class(cast(HasTorchClass, self))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Return what `pickle` and `copy` need, with the layer's own class, which can be imported by its name."""
        _, _, *state = cast(tuple[Any, ...], super().__reduce_ex__(max(protocol, 2)))
        return _new_instance, (declared_class(type(self)),), *state


def _new_instance(kind: Any) -> Any:
    """Return an instance of a class that has no state yet."""
    return kind.__new__(kind)
