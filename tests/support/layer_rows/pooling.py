"""Pooling: window by window, by slices of the input."""

import itertools

import torch

from kerastorch import layers
from support.layer_rows.row import Row, numbers


def _windows(size, pool, stride, same):
    """Where each window begins and ends: the formula of TensorFlow's guide on convolutions."""
    if not same:
        return [(start, start + pool) for start in range(0, size - pool + 1, stride)]
    over = max(pool - stride if size % stride == 0 else pool - size % stride, 0)
    starts = range(-(over // 2), size - over // 2, stride)
    return [(max(start, 0), min(start + pool, size)) for start in starts]


def _adaptive(size, count):
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _pooled(reduce, axes):
    """`axes(size, axis)` lists the windows of an axis of channels-first input."""

    def oracle(layer, x):
        every = [axes(size, axis) for axis, size in enumerate(x.shape[2:])]
        values = [
            reduce(x[(..., *(slice(*ends) for ends in window))].flatten(2)) for window in itertools.product(*every)
        ]
        return torch.stack(values, -1).unflatten(-1, [len(windows) for windows in every])

    return oracle


# where several are the largest, the gradients differ, and numbers(...) has no two alike
KINDS = {"Max": lambda x: x.amax(-1), "Average": lambda x: x.mean(-1)}
SIZES = {1: (7,), 2: (7, 6), 3: (3, 5, 6)}
# the order of the axes without `data_format`, and the other
ORDERS = {1: ("channels_last", "channels_first"), 2: ("channels_first", "channels_last")}
ORDERS[3] = ORDERS[2]
ROWS = {}


def _add(name, make, rank, order, oracle):
    """`oracle` is that of channels-first input."""
    if order == "channels_first":
        # torch has no avg_pool3d in bfloat16 on the CPU; with 'same' the layer does without
        narrows = name != "AveragePooling3D"
        ROWS[name] = Row(make, lambda: (numbers(2, 3, *SIZES[rank]),), oracle, narrows=narrows)
        return
    last = lambda layer, x: oracle(layer, x.movedim(-1, 1)).movedim(1, -1)  # noqa: E731
    ROWS[name] = Row(make, lambda: (numbers(2, *SIZES[rank], 3),), last, sizes_vary=True)


for _kind, _reduce in KINDS.items():
    for _rank, (_usual, _other) in ORDERS.items():
        _class = getattr(layers, f"{_kind}Pooling{_rank}D")
        _name = _class.__name__
        _windows_of_2 = _pooled(_reduce, lambda n, axis: _windows(n, 2, 2, False))
        _add(_name, lambda c=_class: c(2), _rank, _usual, _windows_of_2)
        _add(
            f"{_name}-same",
            lambda c=_class: c(3, strides=2, padding="same"),
            _rank,
            _usual,
            _pooled(_reduce, lambda n, axis: _windows(n, 3, 2, True)),
        )
        _add(
            f"{_name}-same_even_without_steps",
            lambda c=_class, r=_rank: c((4, 3, 2)[:r], strides=(1, 2, 1)[:r], padding="same"),
            _rank,
            _usual,
            _pooled(_reduce, lambda n, axis: _windows(n, (4, 3, 2)[axis], (1, 2, 1)[axis], True)),
        )
        _add(
            f"{_name}-steps_above_the_window-{_other}",
            lambda c=_class, o=_other: c(2, strides=3, padding="same", data_format=o),
            _rank,
            _other,
            _pooled(_reduce, lambda n, axis: _windows(n, 2, 3, True)),
        )

        _class = getattr(layers, f"Global{_kind}Pooling{_rank}D")
        _name = _class.__name__
        _add(_name, _class, _rank, _usual, lambda layer, x, f=_reduce: f(x.flatten(2)))
        _add(
            f"{_name}-{_other}",
            lambda c=_class, o=_other: c(o, keepdims=True),
            _rank,
            _other,
            lambda layer, x, f=_reduce: f(x.flatten(2)).view(2, 3, *[1] * layer.rank),
        )

        _class = getattr(layers, f"Adaptive{_kind}Pooling{_rank}D")
        _name = _class.__name__
        _add(_name, lambda c=_class: c(2), _rank, _usual, _pooled(_reduce, lambda n, axis: _adaptive(n, 2)))
        _add(
            f"{_name}-{_other}",
            lambda c=_class, r=_rank, o=_other: c((3, 2, 4)[:r], o),
            _rank,
            _other,
            _pooled(_reduce, lambda n, axis: _adaptive(n, (3, 2, 4)[axis])),
        )
