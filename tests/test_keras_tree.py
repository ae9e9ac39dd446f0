"""`kerastorch.keras.tree` beside `keras.tree`: stored results, orders of keys, and errors."""

import json
import pathlib
import sys
from collections import OrderedDict

import pytest
import torch

import kerastorch.keras as keras
from kerastorch.keras import tree

SUPPORT = pathlib.Path(__file__).parent / "support"
sys.path.insert(0, str(SUPPORT))
from tree_cases import Point, calls, outcome  # noqa: E402

CALLS = calls(tree)
VALUES = json.loads((SUPPORT / "tree_values.json").read_text())
NESTED_KEYS = "Keras on torch does not sort the keys of a dict within a dict; its page and its other backends do"
DEEPER = "Keras on torch takes a deeper second structure, which its page calls an error"
UNLIKE_KERAS = {
    "flatten: dict": NESTED_KEYS,
    "flatten_with_path: dict": NESTED_KEYS,
    "pack_sequence_as: dict": NESTED_KEYS,
    "map_structure of two: leaf and list": DEEPER,
    "map_structure of two: deeper": DEEPER,
    "map of two without None: leaf and list": DEEPER,
    "map of two without None: deeper": DEEPER,
}


def test_results_are_those_of_keras():
    assert CALLS.keys() == VALUES.keys()
    found = {name: outcome(call) for name, call in CALLS.items()}
    assert {name for name in CALLS if found[name] != VALUES[name]} == UNLIKE_KERAS.keys()


def test_leaves_are_in_the_order_of_sorted_keys_and_results_in_that_of_the_argument():
    given = {"c": 1, "a": 2, "b": {"z": 3, "y": 4}}
    assert tree.flatten(given) == [2, 4, 3, 1]
    packed = tree.pack_sequence_as(given, [2, 4, 3, 1])
    assert packed == given
    assert list(packed) == ["c", "a", "b"]
    assert list(packed["b"]) == ["z", "y"]
    assert list(tree.map_structure(str, given)) == ["c", "a", "b"]
    ordered = OrderedDict(c=1, a=2)
    assert tree.flatten(ordered) == [1, 2]
    assert list(tree.pack_sequence_as(ordered, [5, 6]).items()) == [("c", 5), ("a", 6)]


def test_what_flatten_returns_is_packed_again():
    given = {"x": [Point(1, (2, None))], "a": OrderedDict(q=3, b=[4])}
    assert tree.pack_sequence_as(given, tree.flatten(given)) == given


def test_tensors_and_symbols_are_leaves():
    given = {"a": torch.ones(2), "b": keras.Input((3,))}
    assert [leaf is given[key] for leaf, key in zip(tree.flatten(given), "ab", strict=True)] == [True, True]
    doubled = tree.map_structure(lambda x: 2 * x, given)
    assert torch.equal(doubled["a"], torch.full((2,), 2.0))
    assert doubled["b"].shape == (None, 3)


def test_leaves_of_several_structures_meet_by_their_keys():
    assert tree.map_structure(lambda x, y: x - y, {"a": 5, "b": 7}, {"b": 1, "a": 2}) == {"a": 3, "b": 6}
    assert tree.map_structure_up_to({"a": 0, "b": 0}, str, OrderedDict(b=[1], a=2)) == {"a": "2", "b": "[1]"}


def test_errors_say_where_structures_differ():
    with pytest.raises(ValueError, match=r"differ at \['a'\]\[1\]: a tuple of length 2 and a leaf of type int"):
        tree.map_structure(max, {"a": [1, (2, 3)]}, {"a": [1, 2]})
    with pytest.raises(ValueError, match=r"a dict with the keys \['a'\] and a dict with the keys \['b'\]"):
        tree.assert_same_structure({"a": 1}, {"b": 1})
    with pytest.raises(ValueError, match=r"only the first has \[\('a', 0\)\]"):
        tree.assert_same_paths({"a": [1]}, {"a": 1})
    with pytest.raises(ValueError, match="has 2 leaves, flat_sequence has 3"):
        tree.pack_sequence_as([1, 2], [1, 2, 3])
    with pytest.raises(TypeError, match="must be sortable"):
        tree.flatten({"a": 1, 2: 3})
    with pytest.raises(TypeError, match="func must be a function, got 3"):
        tree.map_structure(3, [1])
    with pytest.raises(ValueError, match="At least one structure"):
        tree.map_structure(str)
    with pytest.raises(AttributeError, match="Did you mean 'flatten'"):
        tree.flaten


def test_unsorted_keys_of_an_ordered_dict_may_be_of_several_types():
    assert tree.flatten_with_path(OrderedDict([("a", 1), (2, 3)])) == [(("a",), 1), ((2,), 3)]
