"""Calls of `keras.tree`, for `make_tree_values.py` and `test_keras_tree.py`, and descriptions of their results."""

from collections import OrderedDict, defaultdict, deque, namedtuple

Point = namedtuple("Point", "a b")
Other = namedtuple("Point", "a b")

STRUCTURES = {
    "leaf": 3,
    "none": None,
    "text": "ab",
    "list": [1, 2],
    "tuple": (1, (2, 3)),
    "empty list": [],
    "empty tuple": (),
    "empty dict": {},
    "list of empty": [(), [], {}, 1],
    "one": [5],
    "one nested": [[5]],
    "with none": [None, (None, 1)],
    "dict": {"c": 1, "a": [2, 3], "b": {"z": 4, "y": 5}},
    "numbers as keys": {10: "x", 2: "y"},
    "ordered dict": OrderedDict([("c", 1), ("a", 2)]),
    "default dict": defaultdict(list, {"c": 1, "a": [2]}),
    "point": Point(1, {"d": 2, "c": 3}),
    "points": [Point((1, 2), None), Point(3, 4)],
    "deque": deque([1, [2]], maxlen=4),
    "set": {1},
    "range": range(3),
    "shapes": {"b": (None, 3), "a": [(2, 3), [4]]},
    "shape": (None, 3),
    "mixed": [(1, 2), [3], {"a": 4}],
}
PAIRS = {
    "same": ([(0, 1)], [(2, 3)]),
    "leaves": (1, "a"),
    "leaf and list": (1, [1]),
    "list and leaf": ([1], 1),
    "list and tuple": ([1, 2], (1, 2)),
    "lengths": ([1, 2], [1, 2, 3]),
    "dict in another order": ({"a": 1, "b": 2}, {"b": 3, "a": 4}),
    "dict kinds": ({"a": 1, "b": 2}, OrderedDict([("b", 3), ("a", 4)])),
    "default dict": (defaultdict(int, {"a": 1}), {"a": 2}),
    "keys": ({"a": 1}, {"b": 1}),
    "more keys": ({"a": 1}, {"a": 1, "b": 1}),
    "one named tuple": (Point(1, 2), Point(3, 4)),
    "two named tuples": (Point(1, 2), Other(3, 4)),
    "tuple and named tuple": ((1, 2), Point(3, 4)),
    "deeper": ([1, [2]], [1, [[2]]]),
    "shallower": ([1, [2]], [1, 2]),
    "none and one": ([None], [1]),
    "empties": ([], []),
    "empty kinds": ([], {}),
    "deques": (deque([1]), deque([2])),
    "deque and list": (deque([1]), [2]),
    "within": ({"a": [1, (2, 3)]}, {"a": [1, [2, 3]]}),
}


def double(x):
    return ["double", x]


def pairs_of(*parts):
    return ["pair", *parts]


def calls(tree):
    """Return functions without arguments by name."""
    found = {}
    for name, one in STRUCTURES.items():
        leaves = list(range(100, 100 + len(tree.flatten(one))))
        found |= {
            f"is_nested: {name}": lambda one=one: tree.is_nested(one),
            f"flatten: {name}": lambda one=one: tree.flatten(one),
            f"flatten_with_path: {name}": lambda one=one: tree.flatten_with_path(one),
            f"map_structure: {name}": lambda one=one: tree.map_structure(double, one),
            f"map_structure without None: {name}": lambda one=one: tree.map_structure(double, one, none_is_leaf=False),
            f"pack_sequence_as: {name}": lambda one=one, leaves=leaves: tree.pack_sequence_as(one, leaves),
            f"pack too few: {name}": lambda one=one, leaves=leaves: tree.pack_sequence_as(one, leaves[1:]),
            f"pack too many: {name}": lambda one=one, leaves=leaves: tree.pack_sequence_as(one, [*leaves, 0]),
            f"lists_to_tuples: {name}": lambda one=one: tree.lists_to_tuples(one),
            f"map_shape_structure: {name}": lambda one=one: tree.map_shape_structure(double, one),
            f"visited from the top: {name}": lambda one=one: visited(tree, one, True),
            f"visited from the leaves: {name}": lambda one=one: visited(tree, one, False),
            f"replaced from the top: {name}": lambda one=one: tree.traverse(of_two(tree), one),
            f"replaced from the leaves: {name}": lambda one=one: tree.traverse(of_two(tree), one, top_down=False),
        }
    for name, (a, b) in PAIRS.items():
        found |= {
            f"assert_same_structure: {name}": lambda a=a, b=b: tree.assert_same_structure(a, b),
            f"assert_same_paths: {name}": lambda a=a, b=b: tree.assert_same_paths(a, b),
            f"map_structure of two: {name}": lambda a=a, b=b: tree.map_structure(pairs_of, a, b),
            f"map of two without None: {name}": lambda a=a, b=b: tree.map_structure(pairs_of, a, b, none_is_leaf=False),
            f"map_structure_up_to: {name}": lambda a=a, b=b: tree.map_structure_up_to(a, double, b),
            f"map_structure_up_to of two: {name}": lambda a=a, b=b: tree.map_structure_up_to(a, pairs_of, b, b),
        }
    return found


def visited(tree, structure, top_down):
    parts = []
    tree.traverse(parts.append, structure, top_down)
    return parts


def of_two(tree):
    """Return a function that replaces pairs by `None`, and single parts by a text."""
    return lambda part: {1: "one", 2: tree.MAP_TO_NONE}.get(len(part)) if isinstance(part, (tuple, list)) else None


def described(value):
    """Return a value as JSON holds it, with the types of containers; dicts have their items sorted."""
    if isinstance(value, dict):
        return [type(value).__name__, sorted([described(key), described(part)] for key, part in value.items())]
    if isinstance(value, (list, tuple, deque)):
        return [type(value).__name__, [described(part) for part in value]]
    return repr(value)


def outcome(call):
    """Return the description of the result of a call; the name of the error in its place."""
    try:
        return described(call())
    except (TypeError, ValueError) as error:
        return f"raises {type(error).__name__}"
