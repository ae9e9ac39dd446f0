"""Compute what Keras' functions of bounding boxes and its layers on images with boxes return: `box_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_box_values.py
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent


def rounded(value):
    """Return an array, or a dict of arrays, as nested lists of numbers with 7 digits."""
    import keras

    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    array = np.asarray(keras.ops.convert_to_numpy(value)).astype("float64")
    return np.vectorize(lambda x: float(f"{x:.7g}"))(array).tolist()


def result_of_function(name, arguments):
    """Return what a function of `keras.utils.bounding_boxes` returns."""
    import keras

    function = getattr(keras.utils.bounding_boxes, name)
    given = {
        key: keras.ops.convert_to_tensor(one, "float32") if isinstance(one, list) and key != "variance" else one
        for key, one in arguments.items()
    }
    if name == "clip_to_image_size":
        given["bounding_boxes"] = {key: np.asarray(one) for key, one in given["bounding_boxes"].items()}
        given["bounding_boxes"] = {key: keras.ops.convert_to_tensor(x) for key, x in given["bounding_boxes"].items()}
    return rounded(function(**given))


def result_of_layer(name, arguments, shape):
    """Return the boxes and labels that a layer returns in training."""
    import keras
    from box_cases import BOXES, LABELS

    layer = getattr(keras.layers, name)(**arguments, bounding_box_format="xyxy", data_format="channels_last")
    boxes = {"boxes": np.asarray(BOXES, "float32"), "labels": np.asarray(LABELS)}
    found = layer({"images": np.zeros(shape, "float32"), "bounding_boxes": boxes}, training=True)
    return rounded(found["bounding_boxes"])


def main():
    """Write the file."""
    from box_cases import FUNCTIONS, LAYERS  # this file is collected by the tests, which do not find it by this name

    values = {name: result_of_function(*case) for name, case in FUNCTIONS.items()}
    values |= {name: result_of_layer(*case) for name, case in LAYERS.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
    (HERE / "box_values.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
