"""Find and replace parts of JSON values."""

import copy

VALUES = (
    None, True, False, 0, -1, 1, 2, 7, 8, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**12, 10**30, 0.0, -0.0, 1.5,
    1e308,
    "", "a", "F32", "BF16", "U8", "BOOL", "F8_E4M3", "C64", "O", "tuple", "set", "map", "tensor", "array", "float",
    "dtype",
    "device", "nan", "inf", "cpu", "cuda", "float32", "os.system", "../x", "\x00", "😀", "__metadata__", "$", "value",
    [], [[]], [0], [0, 0], [0, 4], [1] * 65, [-1, 2], {}, {"$": "tuple"}, {"$": "tensor", "value": "a"},
    {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
)  # fmt: skip


def leaves(value, place=()):
    """(place, leaf) of all that is in a JSON value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from leaves(item, (*place, at))
    else:
        yield place, value


def dicts(value, place=()):
    """The places of all dicts in a JSON value."""
    if isinstance(value, dict):
        yield place
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, (dict, list)):
            yield from dicts(item, (*place, key))


def at(value, place):
    for key in place:
        value = value[key]
    return value


def replaced(value, place, other):
    value = copy.deepcopy(value)
    at(value, place[:-1])[place[-1]] = other
    return value
