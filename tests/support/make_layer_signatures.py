"""Store the arguments of the layers of Keras, with their defaults, in `layer_signatures.json`.

To make the file again, install Keras 3 into an environment of its own, and run there:

    KERAS_BACKEND=torch python tests/support/make_layer_signatures.py
"""

import inspect
import json
import pathlib

HERE = pathlib.Path(__file__).parent


def arguments(layer):
    """Return the arguments of a constructor in order, as pairs of name and default; `"required"` without one."""
    parameters = list(inspect.signature(layer.__init__).parameters.values())[1:]
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [[one.name, "required" if one.default is one.empty else one.default] for one in named]


def main():
    """Write the file."""
    import keras

    found = {name: getattr(keras.layers, name) for name in sorted(dir(keras.layers)) if not name.startswith("_")}
    signatures = {name: arguments(one) for name, one in found.items() if isinstance(one, type)}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in signatures.items())
    (HERE / "layer_signatures.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
