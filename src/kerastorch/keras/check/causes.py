"""Name the causes of errors in scripts, and say what to write instead."""

from __future__ import annotations

import re
from typing import NamedTuple

from kerastorch.keras.check.imports import DOOR


class Cause(NamedTuple):
    """Why sections stop.

    Attributes:
        title: The cause; equal for sections that stop for the same reason.
        advice: What to write instead; `""` if that is not known.
        guide: Page of the guides about it; `""` if there is none.
    """

    title: str
    advice: str = ""
    guide: str = ""


_PATTERNS: list[tuple[str, Cause]] = [
    (
        r"No module named 'kerastorch\.keras\.src|No module named 'kerastorch\.keras\.(api|engine)\b",
        Cause(
            "modules of keras.src",
            "They are private to Keras. Import the public name, such as keras.layers.Dense.",
            "keras-scripts",
        ),
    ),
    (
        r"No module named '(kerastorch\.keras\.applications\S*)'|kerastorch\.keras has no 'applications'",
        Cause(
            "keras.applications",
            "There are no pretrained models of Keras here. Use those of torchvision or timm with kt.Model(module).",
            "transfer-learning",
        ),
    ),
    (
        r"GradientTape",
        Cause(
            "tf.GradientTape",
            "Compute gradients with torch: loss.backward(), then v.value.grad or self.optimizer.apply.",
            "custom-training",
        ),
    ),
    (
        r"No module named 'tensorflow",
        Cause("TensorFlow", "Write torch, keras.ops or NumPy in place of the functions of tf.", "keras-scripts"),
    ),
    (
        r"No module named 'jax|No module named 'flax",
        Cause("JAX", "Write torch or keras.ops in place of jax.", "keras-scripts"),
    ),
    (r"EOFError: ", Cause("input()", "The check gives no input. Let the script work without it.")),
    (r"MemoryError|out of memory|can't allocate memory", Cause("memory", "Run it on a larger machine.")),
]  # fmt: skip
_MISSING_NAME = re.compile(r"kerastorch(?:\.keras)?((?:\.\w+)*) has no '(\w+)'\.?\s*(.*)", re.DOTALL)
_MISSING_MODULE = re.compile(r"No module named '(?:kerastorch\.keras|kerastorch)\.([\w.]+)'")
_ATTRIBUTE = re.compile(r"'(\w+)' object has no attribute '(\w+)'")


def cause_of(kind: str, message: str, source_line: str) -> Cause:
    """Return the cause of an error.

    Args:
        kind: Class of the error.
        message: Its message.
        source_line: The line of the script that raised it.

    >>> cause_of("AttributeError", "kerastorch.keras has no 'quantizers'.", "").title
    'keras.quantizers'
    """
    text = f"{kind}: {message}"
    for pattern, cause in _PATTERNS:
        if re.search(pattern, text) or (cause.title == "tf.GradientTape" and cause.title in source_line):
            return cause
    missing = _MISSING_NAME.search(message)
    if missing:
        path, name, hint = missing.groups()
        return Cause(f"keras{path}.{name}", hint, "from-keras")
    missing = _MISSING_MODULE.search(message)
    if missing:
        return Cause(f"keras.{missing[1]}", "", "from-keras")
    attribute = _ATTRIBUTE.search(message)
    if attribute:
        return Cause(f"{attribute[1]}.{attribute[2]}")
    return Cause(re.sub(r"\d+", "#", f"{kind}: {first_line(message)}"))


def missing_package(kind: str, message: str) -> str | None:
    """Return the package that an error asks for; `None` for other errors, and for modules of Keras itself.

    >>> missing_package("ModuleNotFoundError", "No module named 'pandas.plotting'")
    'pandas'
    """
    found = re.search(r"No module named '([^'.]+)", message)
    if kind not in ("ModuleNotFoundError", "ImportError") or found is None or found[1] == DOOR.partition(".")[0]:
        return None
    return found[1]


def first_line(message: str) -> str:
    """Return the first line of a message that has text.

    >>> first_line("\\n  no\\nmore")
    'no'
    """
    return next((line.strip() for line in message.splitlines() if line.strip()), "")
