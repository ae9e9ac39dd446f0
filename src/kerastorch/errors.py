"""Catch the errors that kerastorch raises and that are not built into Python.

A wrong argument raises an error of Python, such as `ValueError` or `FileNotFoundError`. These five have other causes:

- `CheckpointError`: a file cannot be written or loaded: a model, its weights, or the state of a training. `load_model`,
  `Model.save`, `Model.load_weights` and `fit(resume=...)` raise it. The message names the file and the reason.
- `CheckpointCorruptError`, a subclass: the file is truncated, damaged or of another format, so that another copy of the
  file may help, and other code will not.
- `DistributedError`: another process of those that train together has stopped, or cannot be reached. The message has
  its rank and its error. It is a `RuntimeError`.
- `ConversionError`: `kerastorch.keras.convert` made a model that returns other outputs than that of Keras.
- `ExportError`: `Model.export` cannot export the model, or the exported model computes different values. No file is
  written then.

Weights that do not fit are a `CheckpointError`, and nothing in the model has changed:

>>> import os, tempfile
>>> import kerastorch as kt
>>> from kerastorch.errors import CheckpointCorruptError, CheckpointError
>>> small, large = (kt.Sequential([kt.Input((3,)), kt.layers.Dense(units)]) for units in (2, 4))
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "small.safetensors")
...     small.save_weights(path)
...     try:
...         large.load_weights(path)
...     except CheckpointError as error:
...         print(isinstance(error, CheckpointCorruptError), "has shape" in str(error))
False True

A file that was cut off can be told from that, by the subclass:

>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "small.safetensors")
...     small.save_weights(path)
...     os.truncate(path, os.path.getsize(path) // 2)
...     try:
...         small.load_weights(path)
...     except CheckpointCorruptError:
...         print("take the backup")
take the backup
"""

from kerastorch.core.errors import (
    CheckpointCorruptError,
    CheckpointError,
    ConversionError,
    DistributedError,
    ExportError,
)

__all__ = ["CheckpointCorruptError", "CheckpointError", "ConversionError", "DistributedError", "ExportError"]


def __dir__() -> list[str]:
    return __all__
