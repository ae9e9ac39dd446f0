"""Compute Keras' results for `ops_cases.py`, and store them in `ops_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_ops_values.py

The file has a row of results for each operation. A result is the text of a tensor (`stored_tensors.py`), a list of
results, or `null` if Keras raises an error for the arguments.
"""

import json
import pathlib
import warnings

import numpy as np

HERE = pathlib.Path(__file__).parent


def described(value):
    from stored_tensors import stored

    if isinstance(value, (tuple, list)):
        return [described(one) for one in value]
    if not hasattr(value, "shape"):
        return {"value": value}
    is_array = isinstance(value, np.ndarray)
    flat = value.ravel().tolist() if is_array else value.detach().resolve_conj().reshape(-1).tolist()
    return ("array " if is_array else "") + stored(value.shape, str(value.dtype).removeprefix("torch."), flat)


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
    return described(found)


def main():
    from ops_cases import cases

    warnings.simplefilter("ignore")
    values = {key: result(key, case) for key, case in cases().items()}
    rows = {}
    for key, value in values.items():
        rows.setdefault(key.rpartition("#")[0], []).append(value)
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in rows.items())
    (HERE / "ops_values.json").write_text(f"{{\n{text}\n}}\n")
    print(len(values), "cases,", sum(value is None for value in values.values()), "errors")


if __name__ == "__main__":
    main()
