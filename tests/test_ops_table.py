"""`kt.ops` beside Keras' `keras.ops`: values, dtypes and shapes for random arguments, and use in functional models."""

import itertools
import json
import pathlib
import sys

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

import kerastorch as kt

SUPPORT = pathlib.Path(__file__).parent / "support"
sys.path.insert(0, str(SUPPORT))
import stored_tensors  # noqa: E402
from ops_cases import UNARY, cases, made  # noqa: E402

CASES = cases()
ROWS = json.loads((SUPPORT / "ops_values.json").read_text())
VALUES = {f"{name}#{at}": value for name, row in ROWS.items() for at, value in enumerate(row)}
NAMES = [name for name, _ in itertools.groupby(sorted(CASES), lambda key: key.rpartition("#")[0])]
BY_NAME = {name: [key for key in CASES if key.rpartition("#")[0] == name] for name in NAMES}


KEEPDIMS = "Keras' torch backend forgets keepdims if axis is None"
UNLIKE_KERAS = {
    key: reason
    for name, wanted, reason in (
        *((name, lambda args, kwargs: kwargs == {"axis": None, "keepdims": True}, KEEPDIMS)
          for name in ("amax", "amin", "max", "min", "prod", "nanprod", "ptp", "sum")),
        ("argpartition", lambda args, kwargs: True, "another order that argpartition allows"),
        ("average_pool", lambda args, kwargs: kwargs.get("padding") == "same" and "strides" in kwargs,
         "padding counts in Keras' torch backend, unlike in its others"),
        ("convert_to_numpy", lambda args, kwargs: getattr(args[0], "dtype", "") == "bfloat16", "NumPy has no bfloat16"),
        ("count_nonzero", lambda args, kwargs: len(getattr(args[0], "shape", ())) == 3 and kwargs.get("axis") in (0, 1, -1),
         "Keras' torch backend transposes the result"),
        ("sparse_plus", lambda args, kwargs: getattr(args[0], "dtype", "") == "uint8", "-1 wraps around in Keras"),
        ("sparse_sigmoid", lambda args, kwargs: getattr(args[0], "dtype", "") == "uint8", "-1 wraps around in Keras"),
        ("sparsemax", lambda args, kwargs: True, "Keras' results do not sum to 1"),
        ("empty", lambda args, kwargs: True, "the elements are not set"),
        ("empty_like", lambda args, kwargs: True, "the elements are not set"),
    )
    for key in BY_NAME[name]
    if wanted(*CASES[key][1:])
}  # fmt: skip


def function(name):
    found = kt.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def convert(array, dtype):
    return kt.ops.convert_to_tensor(array, dtype=dtype)


def arguments(key):
    _, args, kwargs = CASES[key]
    return made((args, kwargs), key, convert)


def difference(found, expected):
    """Return how a result differs from a stored one, `None` if it does not."""
    if isinstance(expected, list):
        if not isinstance(found, (tuple, list)) or len(found) != len(expected):
            return f"{found!r} instead of {len(expected)} results"
        parts = (difference(one, other) for one, other in zip(found, expected, strict=True))
        return next((part for part in parts if part), None)
    if isinstance(expected, dict):
        return None if found == expected["value"] else f"{found!r} instead of {expected['value']!r}"
    is_array = isinstance(found, np.ndarray)
    if is_array != expected.startswith("array "):
        return f"a {type(found).__name__}"
    flat = found.ravel().tolist() if is_array else found.detach().resolve_conj().reshape(-1).tolist()
    dtype = str(found.dtype).removeprefix("torch.")
    return stored_tensors.difference(found.shape, dtype, flat, expected.removeprefix("array "))


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_gives_what_keras_gives(name):
    wrong = {}
    for key in BY_NAME[name]:
        if VALUES[key] is None or key in UNLIKE_KERAS:
            continue
        args, kwargs = arguments(key)
        try:
            found = difference(function(name)(*args, **kwargs), VALUES[key])
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if found:
            wrong[key, repr(CASES[key][1:])] = found
    assert not wrong, "\n".join(f"{key}: {found}" for key, found in wrong.items())


def test_each_number_of_a_stored_tensor_counts():
    for dtype, n in (("float32", 12), ("float32", 200), ("int32", 200)):
        flat = torch.randn(n, generator=torch.Generator().manual_seed(0)) * 10
        flat = flat.to(getattr(torch, dtype)).tolist()
        text = stored_tensors.stored((n,), dtype, flat)
        assert stored_tensors.difference((n,), dtype, flat, text) is None
        assert stored_tensors.difference((1, n), dtype, flat, text)
        for at in range(n):
            changed = [*flat[:at], flat[at] + 1, *flat[at + 1 :]]
            assert stored_tensors.difference((n,), dtype, changed, text), at
    special = [float("nan"), float("inf"), -0.0, 1 + 2j]
    text = stored_tensors.stored((4,), "complex64", special)
    assert stored_tensors.difference((4,), "complex64", special, text) is None


def test_what_is_unlike_keras_stays_unlike_it():
    random = ("empty", "empty_like", "convert_to_numpy")
    for key in UNLIKE_KERAS:
        args, kwargs = arguments(key)
        if key.rpartition("#")[0] not in random and VALUES[key] is not None:
            found = function(key.rpartition("#")[0])(*args, **kwargs)
            if not difference(found, VALUES[key]):
                assert UNLIKE_KERAS[key] == "Keras' results do not sum to 1", key  # a row of one class is the same


OTHER_TESTS = [
    "associative_scan",
    "cond",
    "custom_gradient",
    "eig",
    "fori_loop",
    "jvp",
    "map",
    "scan",
    "switch",
    "vectorize",
    "vectorized_map",
    "view_as_real",
    "while_loop",
    "image.elastic_transform",
]  # in test_ops.py


def test_every_operation_is_compared_with_keras_or_tested_by_itself():
    public = [name for name in dir(kt.ops) if name not in ("image", "linalg", "nn", "numpy")]
    public += [f"image.{name}" for name in dir(kt.ops.image)]
    assert sorted({*NAMES, *OTHER_TESTS}) == sorted(public)
    assert len(public) == len(set(public)) > 340


def test_the_operations_of_the_groups_are_those_of_the_package():
    for group in (kt.ops.nn, kt.ops.numpy, kt.ops.linalg):
        assert all(getattr(kt.ops, name) is getattr(group, name) for name in dir(group))


# --- functional models -------------------------------------------------------------------------------------------

CONSTANTS = [
    "arange",
    "array",
    "bartlett",
    "blackman",
    "convert_to_numpy",
    "dtype",
    "empty",
    "empty_like",
    "eye",
    "full",
    "geomspace",
    "hamming",
    "hanning",
    "identity",
    "is_tensor",
    "kaiser",
    "linspace",
    "logspace",
    "ndim",
    "ones",
    "shape",
    "size",
    "tri",
    "zeros",
]  # no tensors among the arguments, or none in the result
OF_VALUES = ["bincount", "ctc_decode", "ctc_loss", "histogram", "nonzero", "unique"]  # shapes depend on values
NAMES_IN_MODELS = [name for name in NAMES if name not in (*CONSTANTS, *OF_VALUES, "imag")]


def symbolic_call(key):
    """Return the inputs of a model, its symbolic result, and the data: each random array is the only row of an input."""
    inputs, data = [], []

    def convert_to_symbol(array, dtype):
        data.append(convert(array, dtype)[None])
        inputs.append(kt.Input(array.shape, dtype=dtype))
        return inputs[-1][0]

    args, kwargs = made(CASES[key][1:], key, convert_to_symbol)
    return inputs, function(CASES[key][0])(*args, **kwargs), data


@pytest.mark.parametrize("name", NAMES_IN_MODELS)
def test_an_operation_is_part_of_a_functional_model(name):
    has_arrays = [key for key in BY_NAME[name] if "A(" in repr(CASES[key]) and VALUES[key] is not None]
    sized = [key for key in has_arrays if "(0, 3)" not in repr(CASES[key]) and "shape=()" not in repr(CASES[key])]
    if name.startswith("segment"):  # without a number of segments, their shape depends on values
        sized = [key for key in sized if "num_segments" in CASES[key][2]]
    assert sized
    for key in [*sized[:2], sized[-1]]:
        args, kwargs = arguments(key)
        inputs, found, data = symbolic_call(key)
        expected = function(name)(*args, **kwargs)
        found, expected = (list(one) if isinstance(one, tuple) else one for one in (found, expected))
        model = kt.Model(inputs, found)
        torch.testing.assert_close(model(*data), expected, equal_nan=True)


@pytest.mark.parametrize("name", OF_VALUES)
def test_an_operation_whose_shape_depends_on_values_says_so_in_a_functional_model(name):
    key = next(key for key in BY_NAME[name] if "A(" in repr(CASES[key]))
    with pytest.raises(TypeError, match="numbers"):
        symbolic_call(key)


BATCHES = [name for name in UNARY["normal"].split() if name not in (*CONSTANTS, *OF_VALUES)]
ACROSS_ROWS = [
    "bitwise_invert",
    "bitwise_not",
    "corrcoef",
    "cumsum",
    "cumprod",
    "diag",
    "flip",
    "flipud",
    "median",
    "nanmedian",
    "ravel",
    "transpose",
    "trace",
    "average",
    "unstack",
]


@pytest.mark.parametrize("name", [name for name in BATCHES if name not in ACROSS_ROWS])
def test_an_operation_takes_a_batch_whose_size_varies(name):
    x = kt.Input((4,))
    result = function(name)(x)
    data = torch.linspace(-2, 2, 20).reshape(5, 4)
    torch.testing.assert_close(kt.Model(x, result)(data), function(name)(data), equal_nan=True)
    assert result.ndim == 0 or result.shape[0] is not None


# results that depend on values, so that tensors without values have none
NEEDS_VALUES = {
    "bincount", "convert_to_numpy", "ctc_decode", "ctc_loss", "histogram", "nonzero", "repeat", "segment_sum", "unique",
    "where",
}  # fmt: skip


def _devices(value):
    return {one.device.type for one in pytree.tree_leaves(value) if isinstance(one, torch.Tensor)}


@pytest.mark.parametrize("name", NAMES)
def test_new_tensors_are_on_the_device_of_the_arguments(name):
    for key in BY_NAME[name]:
        args, kwargs = arguments(key)
        if not _devices((args, kwargs)) or VALUES[key] is None:
            continue
        with torch.device("meta"):  # torch's default device, on which no tensor may be made
            assert _devices(function(name)(*args, **kwargs)) <= {"cpu"}, key
        args, kwargs = pytree.tree_map_only(torch.Tensor, lambda one: one.to("meta"), (args, kwargs))
        try:
            found = function(name)(*args, **kwargs)
        except (NotImplementedError, RuntimeError):
            assert name in NEEDS_VALUES, key
        else:
            assert _devices(found) <= {"meta"}, key


@pytest.mark.parametrize("seed", [None, 3])
def test_random_numbers_are_drawn_on_the_device_of_the_arguments(seed):
    x, p, n = torch.rand(4, 3), torch.rand(4) + 0.1, torch.full((4,), 5.0)
    draws = kt.random
    with torch.device("meta"):
        found = [
            draws.dropout(x, 0.5, seed=seed), draws.shuffle(x, seed=seed), draws.categorical(x, 3, seed=seed),
            draws.binomial((4,), n, p.clamp_max(1), seed=seed), draws.beta((4,), p, p, seed=seed),
            draws.gamma((4,), p, seed=seed),
        ]  # fmt: skip
        assert isinstance(draws.SeedGenerator().seed, int)
    assert _devices(found) == {"cpu"}
