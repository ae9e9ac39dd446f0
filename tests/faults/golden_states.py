"""The states in the golden files, computed; run as a script, it writes the file of this release.

    python tests/faults/golden_states.py

A file is never written anew: what a release has written must be read by all that follow.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.safetensors_codec import DTYPES
from kerastorch.version import __version__

FOLDER = Path(__file__).parent / "golden"
LABEL = f"{__version__}-2026-11"  # files of one release from different months lie side by side


def of_format_1():
    """Every kind of value that the first format knows, and every dtype."""
    held = {name: _bits(dtype, (3, 4)) for name, dtype in DTYPES.items()}
    return {
        "model": {"dtypes": held, "größe.0.weight": _bits(torch.float32, (2, 3, 2)), "": _bits(torch.int64, ())},
        "shapes": [_bits(torch.float32, shape) for shape in ((), (0,), (1,), (3, 0, 2), (2, 1, 2, 1, 2))],
        "arrays": {
            name: np.arange(5).astype(name)
            for name in ("bool", "int8", "uint16", "uint32", "uint64", "float16", "float64", "complex64")
        },
        "numbers": [0, -1, 2**200, 0.1, -0.0, 5e-324, math.inf, -math.inf, math.nan, True, False, None],
        "texts": ["", "größe", "模型", "😀", "\n\t\0", '"\\'],
        "nested": (1, ("a", [2, (3.5, None)], {}), []),
        "maps": {1: "a", "1": "b", None: 0, (1, ("a", 2)): {"$": "tuple", "value": 3}, frozenset({1}): ()},
        "sets": [{1, 2, 3}, frozenset({"a"}), set()],
        "torch": [torch.float32, torch.bfloat16, torch.device("cpu"), torch.device("cuda:1")],
    }


def _bits(dtype, shape):
    """Bytes that count upwards; of truth values, every other."""
    count = math.prod(shape)
    if dtype == torch.bool:
        return (torch.arange(count) % 2).bool().reshape(shape)
    counted = torch.arange(count * dtype.itemsize, dtype=torch.int64) * 37 % 251
    return counted.to(torch.uint8).view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


if __name__ == "__main__":
    path = FOLDER / f"archive-{LABEL}.kt"
    if path.exists():
        sys.exit(f"{path} is there already.")
    archive_format.write(path, {"golden": of_format_1()})
