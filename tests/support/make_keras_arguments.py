"""Store the classes of Keras that files may name, with the arguments that each takes, for the files that are written.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_keras_arguments.py
"""

import inspect
import json
import pathlib

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parents[1] / "src/kerastorch/saving/keras_format/keras_arguments.json"
ROOMS = ("layers", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers")


def arguments_of(kind):
    """Return the names of the arguments of a class, with those that it passes to its base classes."""
    found = []
    for one in kind.__mro__:
        if "__init__" not in vars(one) or one is object:
            continue
        parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
        found += [one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return sorted(set(found) - {"name", "dtype", "kwargs"})


def main():
    """Write the file."""
    import keras

    rooms = {room: getattr(keras, room) for room in ROOMS}
    table = {
        f"{room}.{name}": arguments_of(kind)
        for room, module in rooms.items()
        for name, kind in sorted(vars(module).items())
        if inspect.isclass(kind)
    }
    schedules = {name: kind for name, kind in sorted(vars(keras.optimizers.schedules).items()) if inspect.isclass(kind)}
    table |= {f"optimizers.schedules.{name}": arguments_of(kind) for name, kind in schedules.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(names)}" for name, names in table.items())
    TARGET.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
