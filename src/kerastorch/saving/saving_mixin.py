"""`save`, `get_config` and `from_config` of a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from torch import nn

from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import current_codec, decode, encode, init_arguments, register, use_codec
from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.functional_model import Functional
from kerastorch.saving.deserializer import Reader
from kerastorch.saving.functional_config import decode_functional, encode_functional
from kerastorch.saving.keras_objects import serialize_keras_object
from kerastorch.saving.registry import custom_object_scope, known_objects
from kerastorch.saving.serializer import Writer


class SavingMixin(Functional):
    """Base of a model that has a config and can be saved to a file."""

    def __init_subclass__(cls, *, is_serialized: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if is_serialized and is_own(cls):
            register(cls, f"kerastorch.{cls.__name__}")

    @public_api
    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: int | float | str | None = None,
    ) -> None:
        """Write the model to a file: architecture, weights, arguments of `compile`, and state of the optimizer.

        The file holds no program. What would need one, such as a `lambda`, is left out with a warning; then
        `load_model(filepath, module=...)` takes the model from you. The file is replaced as a whole: at any time it is
        the old or the new one.

        If several processes train the model together, rank 0 writes the file, and the others return when it is there.

        Args:
            filepath: Path of the file, which ends in `.kt`, or in `.keras` for a file that Keras 3 opens, too; or in
                `.h5` for one of a functional or sequential model that scripts of Keras still read, without the state
                of the optimizer. Missing folders are created.
            overwrite: Whether an existing file is replaced. If not, it is an error.
            max_shard_size: Largest size of the tensors in one file: a number of GB (10**9 bytes), or a text such as
                `"500MB"`. If weights and optimizer state need more, they are written to files beside the model's, such
                as `model.kt-00001-of-00002.safetensors`, which `load_model` needs, too. `load_weights` reads the
                weights alone by `model.kt.safetensors.index.json`, an index as that of Hugging Face. Default: one file.

        Raises:
            FileExistsError: The file exists and `overwrite` is `False`.
            TypeError: The suffix is `.keras` or `.h5`, and Keras has no counterpart of a layer, an argument or an
                operation; or it is `.h5`, and the model is neither functional nor sequential.
            ValueError: The suffix is another one; the model is not built; `max_shard_size` is no size.

        Warns:
            UserWarning: The architecture or the arguments of `compile` cannot be written; the message gives the reason.
        """
        from kerastorch.saving.save import save_model  # rarely used, so imported late

        save_model(self, filepath, overwrite, max_shard_size)

    def get_config(self) -> dict[str, Any]:
        """Return the config, from which `from_config` makes another model like this one, with new weights.

        The config of a functional model is a list of calls, that of a view is its module. The config of your own class
        has the arguments of its `__init__`, read from the attributes of the same names; if attributes have other names,
        write a `get_config`.

        Raises:
            TypeError: A part of the model cannot be encoded.
        """
        with writing():
            config = self._config()
            return config | ({"trainable": False} if not self.trainable else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a new model, with new weights, from a config that `get_config` returned.

        Args:
            config: The config.
            custom_objects: Your own classes and functions, by the names that they were saved under. Registered ones and
                those of a `custom_object_scope` are found without it.

        Raises:
            ValueError: A name in the config is not known.
        """
        with custom_object_scope(custom_objects or {}), reading() as reader:
            config = dict(config)
            trainable = config.pop("trainable", True)
            model = cls._from(reader, config)
            if trainable is False:
                model.trainable = False
            return model

    def to_json(self) -> str:
        """Return the architecture as JSON, from which `kerastorch.keras.models.model_from_json` makes a new model.

        Raises:
            TypeError: A part of the model cannot be encoded.
        """
        return json.dumps(serialize_keras_object(self))

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return what `compile` was given, from which `compile_from_config` compiles a model; `None` before `compile`.

        Raises:
            TypeError: An argument cannot be encoded, such as a `lambda`.
        """
        from kerastorch.saving.compile_config import encode_compile_args  # rarely used, so imported late

        compiled: Any = self.__dict__.get("_trainer")
        return None if compiled is None else encode_compile_args(compiled)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model as another one was.

        Args:
            config: What `get_compile_config` of the other model returned.

        Raises:
            CheckpointError: A name in the config is not known.
        """
        from kerastorch.saving.compile_config import decode_compile_args

        this: Any = self
        this.compile(**decode_compile_args(config, self, known_objects(), "The config"))

    def _config(self) -> dict[str, Any]:
        """Return the encoded config without `trainable`; called with a `Writer` in use."""
        if self._has_own_init():
            return init_arguments(self, frozenset({"inputs", "outputs", "trainable"}))
        name = {"name": self.__dict__.get("name")}
        if self.is_functional:
            writer: Any = current_codec()
            return name | encode_functional(writer, *self.symbols)
        if isinstance(self.module_viewed, nn.Module):
            return name | {"viewed": encode(self.module_viewed)}
        return name

    @classmethod
    def _from(cls, reader: Reader, config: dict[str, Any]) -> Self:
        """Return a new model from the config that `_config` returned; called with `reader` in use."""
        if "calls" in config:
            inputs, outputs = decode_functional(reader, config)
            return cls(inputs, outputs, name=config["name"])  # type: ignore[call-arg]
        if "viewed" in config:
            viewed = decode(config["viewed"])
            if not isinstance(viewed, nn.Module):
                raise ValueError(f"a model is a view of a module, got {viewed!r}.")
            return cls(viewed, name=config["name"])  # type: ignore[call-arg]
        return cls(**{name: decode(value) for name, value in config.items()})

    def _holds_layers(self) -> bool:
        """Return whether the config has all layers of the model, each with its own input shapes."""
        return (getattr(self, "is_chain", False) or self.is_functional) and not self._has_own_init()

    def _has_own_init(self) -> bool:
        """Return whether `__init__` is that of a user's class."""
        owner = next(one for one in type(self).__mro__ if "__init__" in vars(one))
        return not is_own(owner)


@contextmanager
def writing() -> Iterator[Writer]:
    """Yield the `Writer` in use, or a new one that is in use meanwhile."""
    writer = current_codec()
    if isinstance(writer, Writer):
        yield writer
        return
    with use_codec(writer := Writer()):
        yield writer


@contextmanager
def reading() -> Iterator[Reader]:
    """Yield the `Reader` in use, or a new one that knows the registered classes and is in use meanwhile."""
    reader = current_codec()
    if isinstance(reader, Reader):
        yield reader
        return
    with use_codec(reader := Reader(known_objects())):
        yield reader
