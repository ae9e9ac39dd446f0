"""Compute what layers of Keras return for `layer_cases.py`, and store it with the inputs in `layer_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_layer_values.py
"""

import json
import pathlib
import zlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def make_input(shape, kind, rng):
    """Return an array of the kind of a case."""
    if kind == "pixels":
        return rng.integers(0, 256, shape).astype("float32")
    return rng.normal(size=shape).astype("float32")


def values_of(case, rng):
    """Return the inputs, the weights and the outputs of a case, as nested lists."""
    import keras

    layer = getattr(keras.layers, case.layer)(**case.arguments)
    inputs = [make_input(shape, case.inputs, rng) for shape in (case.shape, *case.others)]
    masks = {name: rng.random(shape) < 0.7 for name, shape in case.masks.items()}
    layer(*inputs, **masks)
    kept = [] if case.initial else layer.trainable_weights
    weights = [rng.normal(size=weight.shape).astype("float32") / 2 for weight in kept]
    if weights:
        layer.set_weights(weights)
    outputs = layer(*inputs, **masks, training=case.training)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    return {
        "inputs": [_rounded(x) for x in inputs],
        "masks": {name: mask.tolist() for name, mask in masks.items()},
        "weights": [_rounded(weight) for weight in weights],
        "outputs": [_rounded(keras.ops.convert_to_numpy(output)) for output in outputs],
    }


def _rounded(array):
    """Return a float32 array as nested lists of its shortest decimal numbers."""
    return np.asarray(array).astype(object).tolist() if array.dtype.kind in "iub" else _shortest(array)


def _shortest(array):
    return (
        [_shortest(row) for row in array]
        if array.ndim
        else float(np.format_float_positional(array, 7, fractional=False))
    )


def main():
    """Write the file."""
    from layer_cases import CASES  # this file is collected by the tests, which do not find it under this name

    values = {name: values_of(case, np.random.default_rng(zlib.crc32(name.encode()))) for name, case in CASES.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
    (HERE / "layer_values.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
