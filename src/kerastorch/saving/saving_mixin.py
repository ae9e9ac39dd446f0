"""What a model can be written as: its config, and a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from torch import nn

from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import current_codec, decode, encode, init_arguments, register, use_codec
from kerastorch.functional.functional_model import Functional
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.functional_config import symbols_from, written
from kerastorch.saving.registry import custom_object_scope, known
from kerastorch.saving.serializer import Writer


class SavingMixin(Functional):
    """A model that has a config, and can be saved whole."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if is_own(cls):
            register(cls, f"kerastorch.{cls.__name__}")

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model to one file: architecture, weights, what `compile` was given, the optimizer's state.

        Nothing of it is a program: what cannot be written without one, as a lambda, is left out with a warning, and
        `load_model(filepath, module=...)` takes it from you. The file is whole at any time, or as it was before.

        Args:
            filepath: ends in `.kt`; missing folders are made.
            overwrite: whether a file that is there is replaced; if not it is an error.

        Raises:
            FileExistsError: the file exists, and `overwrite` is `False`.
            ValueError: another suffix; parameters that are not made yet.

        Warns:
            UserWarning: the architecture, or what `compile` was given, cannot be written, and why.
        """
        from kerastorch.saving.save import save_model  # seldom needed, and a good part of what there is to import

        save_model(self, filepath, overwrite)

    def get_config(self) -> dict[str, Any]:
        """What makes another one like this, without weights.

        A functional model is a list of calls, a view its module, a model of your own class the arguments of its
        `__init__`, read from the attributes of the same names; write your own `get_config` where they are others.

        Raises:
            TypeError: something in it cannot be written down.
        """
        with writing():
            config = self._config()
            return config | ({"trainable": False} if not self.trainable else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """A new model from what `get_config` gave, with new weights.

        Args:
            config: what is not kerastorch's own in it must be registered, or in `custom_objects`, or in a
                `custom_object_scope`.
            custom_objects: your own classes and functions, by the names that they were written under.

        Raises:
            ValueError: a name that nobody knows.
        """
        with custom_object_scope(custom_objects or {}), reading() as reader:
            given = dict(config)
            trainable = given.pop("trainable", True)
            made = cls._from(reader, given)
            if trainable is False:
                made.trainable = False
            return made

    def _config(self) -> dict[str, Any]:
        if self._own_init():
            return init_arguments(self, frozenset({"inputs", "outputs", "trainable"}))
        name = {"name": self.__dict__.get("name")}
        if self.is_functional:
            writer: Any = current_codec()
            return name | written(writer, *self.symbols)
        if isinstance(self.module_viewed, nn.Module):
            return name | {"viewed": encode(self.module_viewed)}
        return name

    @classmethod
    def _from(cls, reader: Reader, config: dict[str, Any]) -> Self:
        if "calls" in config:
            inputs, outputs = symbols_from(reader, config)
            return cls(inputs, outputs, name=config["name"])  # type: ignore[call-arg]
        if "viewed" in config:
            viewed = decode(config["viewed"])
            if not isinstance(viewed, nn.Module):
                raise ValueError(f"a model is a view of a module, got {viewed!r}.")
            return cls(viewed, name=config["name"])  # type: ignore[call-arg]
        return cls(**{name: decode(value) for name, value in config.items()})

    def _holds_layers(self) -> bool:
        """Whether its config is that of the layers in it, and nothing more: then each of them knows its own shapes."""
        return (getattr(self, "is_chain", False) or self.is_functional) and not self._own_init()

    def _own_init(self) -> bool:
        """Whether a class of the user's says what the arguments are."""
        owner = next(one for one in type(self).__mro__ if "__init__" in vars(one))
        return not is_own(owner)


@contextmanager
def writing() -> Iterator[Writer]:
    """The writer in use, or a new one."""
    writer = current_codec()
    if isinstance(writer, Writer):
        yield writer
        return
    with use_codec(writer := Writer()):
        yield writer


@contextmanager
def reading() -> Iterator[Reader]:
    """The reader in use, or a new one that knows what is registered."""
    reader = current_codec()
    if isinstance(reader, Reader):
        yield reader
        return
    with use_codec(reader := Reader(known())):
        yield reader
