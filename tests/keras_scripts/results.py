"""Write down numbers of a script, for the comparison with Keras."""

import json
import os

import numpy as np


def store(name, value):
    """Append a value to the file that `KERAS_SCRIPT_RESULTS` names; do nothing without it."""
    path = os.environ.get("KERAS_SCRIPT_RESULTS")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps([name, plain(value)]) + "\n")


def plain(value):
    """Return tensors and arrays as lists of numbers, shapes as lists."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if value is not None and repr(value) == "None":  # a size that varies
        return None
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return value
