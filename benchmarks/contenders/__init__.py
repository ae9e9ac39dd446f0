"""Who does the work: every contender by name, and the one thing to call, `make`."""

import importlib
import importlib.util
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """Where a contender is found.

    Args:
        file: its file in this folder, with a class `Contender`.
        options: arguments of that class.
        imports: the line that a user of it begins with, which is timed in a fresh process.
        needs: what must be installed besides torch.
        environment: variables set before its process starts.
        nets: networks it is for; all if empty.
    """

    file: str
    options: dict = field(default_factory=dict)
    imports: str = "import torch"
    needs: tuple[str, ...] = ()
    environment: dict = field(default_factory=dict)
    nets: tuple[str, ...] = ()

    def missing(self):
        """What of its needs is not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


def _keras(backend, steps=1):
    needs = ("keras",) if backend == "torch" else ("keras", backend)
    # Keras loads tensorflow where it is installed, whatever the backend; a user of another backend has none
    hidden = "" if backend == "tensorflow" else "import sys; sys.modules['tensorflow'] = None; "
    return Entry("with_keras", {"steps": steps}, hidden + "import keras", needs, {"KERAS_BACKEND": backend})


CONTENDERS = {
    "naive": Entry("naive"),
    "expert": Entry("expert"),
    "expert-channels-last": Entry("expert", {"channels_last": True}, nets=("conv",)),
    "kerastorch": Entry("with_kerastorch", imports="import kerastorch", needs=("kerastorch",)),
    "kerastorch-compiled": Entry("with_kerastorch", {"compiled": True}, "import kerastorch", ("kerastorch",)),
    "kerastorch-bf16": Entry(
        "with_kerastorch", {"precision": "bf16"}, "import kerastorch", ("kerastorch",), nets=("dense", "conv")
    ),
    "keras-torch": _keras("torch"),
    "keras-jax": _keras("jax"),
    "keras-jax-32": _keras("jax", 32),
    "keras-tensorflow": _keras("tensorflow"),
    "keras-tensorflow-32": _keras("tensorflow", 32),
    "poutyne": Entry("with_poutyne", imports="import poutyne", needs=("poutyne",)),
    "skorch": Entry("with_skorch", imports="import skorch", needs=("skorch",)),
    "lightning": Entry("with_lightning", imports="import lightning", needs=("lightning",)),
    "ignite": Entry("with_ignite", imports="import ignite.engine", needs=("ignite",)),
}


def takes_part(name, task):
    """Whether the contender is one for this task."""
    nets = CONTENDERS[name].nets
    return (not nets or task.net in nets) and (not task.only or name in task.only)


class Unsupported(Exception):  # noqa: N818 - no error: the contender sits a task out
    """This contender has no such thing; the text says what."""


def make(name, task, x, y):
    """The contender, ready to do `task` on `x` and `y`."""
    entry = CONTENDERS[name]
    return importlib.import_module(f"contenders.{entry.file}").Contender(task, x, y, **entry.options)
