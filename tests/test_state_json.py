"""Nested state as JSON and tensors, and back."""

import enum
import json
import math
from collections import OrderedDict, deque, namedtuple
from types import MappingProxyType

import numpy as np
import pytest
import torch

from kerastorch.checkpoint.state_json import pack, unpack
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError


def back(value):
    packed = pack(value)
    return unpack(json.loads(json.dumps(packed.json, allow_nan=False)), packed.tensors, "here")


Point = namedtuple("Point", "x y")


class Color(enum.IntEnum):
    RED = 1


def named(value):
    """The id of a case; a set's members are sorted, as every process has them in another order."""
    return repr(sorted(value, key=repr)) if isinstance(value, set) else repr(value)


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 2**200, -(2**63), 0.1, -0.0, 5e-324, 1.7976931348623157e308, "", "a.b", "größe",
        "\n\0",
        [], [1, [2, [3]]], (), (1,), ((), [()]), {}, {"a": {"b": [1, (2, None)]}}, {"$": "tuple", "value": [1]},
        {1: "a", "1": "b"}, {None: 0, (1, ("a", 2.5)): 1, True: 2, frozenset({3}): 4}, {"": 0}, {"__metadata__": 1},
        set(), {1, "a", (2, 3)}, frozenset({1, 2}), {frozenset({1}), frozenset()}, {-1: "a", -2: "b"},
        torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.device("cpu"), torch.device("cuda:3"),
    ],
    ids=named,
)  # fmt: skip
def test_what_has_no_tensors_comes_back_equal_and_of_the_same_types(value):
    assert back(value) == value
    assert repr(back(value)) == repr(value) or isinstance(value, (set, frozenset, dict))
    assert type(back(value)) is type(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_comes_back(value):
    assert back([value]) == [value]


def test_nan_comes_back():
    assert math.isnan(back({"a": math.nan})["a"])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.1), float(np.float32(0.1))), (np.int64(-3), -3), (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True), (np.str_("a"), "a"), (Color.RED, 1), (Point(1, 2), (1, 2)), (range(3), [0, 1, 2]),
        (deque([1, 2]), [1, 2]), (OrderedDict(a=1), {"a": 1}), (MappingProxyType({"a": 1}), {"a": 1}),
        (torch.Size([2, 3]), (2, 3)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_relatives_of_plain_types_come_back_plain(value, plain):
    assert back(value) == plain
    assert type(back(value)) is type(plain)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.array(3, dtype=np.int8), np.array([], dtype=np.float16),
        np.array([True, False]),
        np.arange(3, dtype=np.uint16), np.arange(3, dtype=np.uint32), np.arange(3, dtype=np.uint64),
        np.arange(3, dtype=np.complex64), np.arange(12).reshape(3, 4)[::-2, ::2], np.asfortranarray(np.eye(3)),
        np.array([np.nan, np.inf, -0.0]), np.zeros((0, 4), dtype=np.int32),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)  # fmt: skip
def test_arrays_come_back_as_arrays(array):
    found = back({"a": array})["a"]
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_arrays_of_the_other_byte_order_come_back_in_this_one():
    found = back(np.array([1, 2, 3], dtype=">i4"))
    assert found.tolist() == [1, 2, 3]
    assert found.dtype == np.int32


def test_tensors_are_named_after_their_places():
    tensor = torch.ones(1)
    packed = pack({"a": [tensor, {"b.c": tensor}], "a.0": tensor, 1: {"1": tensor}, "__metadata__": tensor})
    assert list(packed.tensors) == ["a.0", "a.1.b.c", "a.0#1", "1.1", "__metadata__#1"]
    assert list(pack(tensor).tensors) == ["value"]


def test_names_that_meet_do_not_mix_tensors_up():
    state = {"a": {"b": torch.tensor(1)}, "a.b": torch.tensor(2), "a.b#1": torch.tensor(3), "": torch.tensor(4)}
    found = back([state, {1: torch.tensor(5), "1": torch.tensor(6)}])
    assert found[0]["a"]["b"] == 1
    assert [found[0][key].item() for key in ("a.b", "a.b#1", "")] == [2, 3, 4]
    assert [found[1][1].item(), found[1]["1"].item()] == [5, 6]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"optimizer": [{"lr": lambda: 1}]}, "optimizer.0.lr is a function"),
        (object(), "the state is a object"),
        ({"a": b"x"}, "a is a bytes"),
        ({"a": 1j}, "a is a complex"),
        ({"a": {"b": torch.nn.Linear(1, 1)}}, "a.b is a Linear"),
        ({"a": np.array(["x"])}, "a is an array of"),
        ({"a": np.array([None])}, "a is an array of object"),
        ({"a": np.datetime64("2020-01-01")}, "a is a datetime64"),
        ({"a": torch.Generator()}, "a is a Generator"),
    ],
)
def test_what_cannot_be_saved_is_refused_with_its_place(value, place):
    with pytest.raises(TypeError, match=place):
        pack(value)


def test_state_that_holds_itself_is_refused():
    state = {}
    state["a"] = [state]
    with pytest.raises(CheckpointError, match="holds itself"):
        pack(state)


@pytest.mark.parametrize(
    "json",
    [
        {"$": "tuple"}, {"$": "tuple", "value": "ab"}, {"$": "tuple", "value": {"a": 1}}, {"$": "set", "value": [[]]},
        {"$": "map", "value": ["ab"]}, {"$": "map", "value": [[1, 2, 3]]}, {"$": "map", "value": [[[], 1]]},
        {"$": "map", "value": 3}, {"$": "float", "value": "1"}, {"$": "float", "value": [1]},
        {"$": "float", "value": "1e9"},
        {"$": "dtype", "value": "os"}, {"$": "dtype", "value": []}, {"$": "device", "value": "nowhere"},
        {"$": "device", "value": 0}, {"$": "tensor", "value": "b"}, {"$": "tensor", "value": ["a"]},
        {"$": "array", "value": "a"}, {"$": "object", "value": "os.system"}, {"$": None, "value": []},
        {"$": [], "value": []}, {"$": "code", "value": "nan"},
    ],
    ids=str,
)  # fmt: skip
def test_what_pack_does_not_write_is_refused(json):
    with pytest.raises(CheckpointCorruptError, match="here is damaged"):
        unpack([json], {"a": torch.ones(1, dtype=torch.bfloat16)}, "here")


def test_keys_made_to_collide_are_refused():
    """-1 and -2 have one hash in Python, and so has every tuple of them."""
    keys = [[{"$": "tuple", "value": [-1 - (number >> bit & 1) for bit in range(14)]}, 0] for number in range(2**14)]
    with pytest.raises(CheckpointCorruptError, match="same hash"):
        unpack({"$": "map", "value": keys}, {}, "here")
    with pytest.raises(CheckpointCorruptError, match="same hash"):
        unpack({"$": "set", "value": [(2**61 - 1) * number for number in range(1000)]}, {}, "here")
