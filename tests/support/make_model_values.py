"""Store the layers that Keras lists for the models of `model_cases.py` in `model_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_model_values.py
"""

import json
import pathlib


def layer_rows(model):
    """Return the class and the shapes of the output of each layer."""
    return [[type(layer).__name__, *_shapes(layer)] for layer in model.layers]


def _shapes(layer):
    try:
        output = layer.output
    except (AttributeError, ValueError):  # it was called twice
        return []
    outputs = output if isinstance(output, (list, tuple)) else [output]
    return [[size if isinstance(size, int) else None for size in one.shape] for one in outputs]


def main():
    """Write the file."""
    import keras
    from model_cases import CASES  # this file is collected by the tests, which do not find it under this name

    values = {name: layer_rows(make(keras)) for name, make in CASES.items()}
    (pathlib.Path(__file__).parent / "model_values.json").write_text(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
