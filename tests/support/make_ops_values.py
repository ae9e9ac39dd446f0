"""Compute Keras' results for `ops_cases.py`, and store them in `ops_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_ops_values.py

A result is `[shape, dtype, values]`, or a list of these; `null` if Keras raises an error for the arguments.
"""

import json
import pathlib
import warnings

import numpy as np

HERE = pathlib.Path(__file__).parent


def number(x):
    if isinstance(x, (bool, int, np.integer, np.bool_)):
        return int(x)
    x = complex(x)
    return [float(f"{x.real:.7g}"), float(f"{x.imag:.7g}")] if x.imag else float(f"{x.real:.7g}")


def stored(value):
    if isinstance(value, (tuple, list)):
        return {"items": [stored(one) for one in value]}
    if not hasattr(value, "shape"):
        return {"value": value}
    kind = "array" if isinstance(value, np.ndarray) else "tensor"
    flat = value.ravel() if kind == "array" else value.detach().resolve_conj().reshape(-1).tolist()
    return {kind: [list(value.shape), str(value.dtype).removeprefix("torch."), [number(one) for one in flat]]}


def function(name):
    import keras  # it is not installed where the tests run, which collect this file

    found = keras.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def result(key, case):
    import keras
    from ops_cases import made

    name, args, kwargs = case
    args, kwargs = made((args, kwargs), key, lambda array, dtype: keras.ops.convert_to_tensor(array, dtype=dtype))
    try:
        found = function(name)(*args, **kwargs)
    except Exception:
        return None
    return stored(found)


def main():
    from ops_cases import cases

    warnings.simplefilter("ignore")
    values = {key: result(key, case) for key, case in cases().items()}
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in values.items())
    (HERE / "ops_values.json").write_text(f"{{\n{text}\n}}\n")
    print(len(values), "cases,", sum(value is None for value in values.values()), "errors")


if __name__ == "__main__":
    main()
