"""The structure that data have in a step of the user's: `x`, `(x, y)` or `(x, y, sample_weight)`, as in Keras."""

from __future__ import annotations

from typing import Any


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return inputs, targets and weights in the structure that `fit` passes to `train_step(self, data)`.

    Args:
        x: Inputs.
        y: Targets. Default none.
        sample_weight: A weight for each sample. Default none; ignored if there are no targets.

    Returns:
        `(x, y, sample_weight)`; `(x, y)` if there are no weights; `x` itself if there are no targets either, within a
        tuple `(x,)` if it is a tuple or list.

    Source: `keras.utils.pack_x_y_sample_weight` of Keras 3.

    >>> pack_x_y_sample_weight(1, 2), pack_x_y_sample_weight(1), pack_x_y_sample_weight([1, 2])
    ((1, 2), 1, ([1, 2],))
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return inputs, targets and weights of data in any of the structures that `fit` takes.

    Args:
        data: `(x, y, sample_weight)`, `(x, y)` or `(x,)` as a tuple or list, or `x` alone.

    Returns:
        `(x, y, sample_weight)`, with `None` for what is not there.

    Raises:
        ValueError: The tuple or list has no or more than three entries.

    Source: `keras.utils.unpack_x_y_sample_weight` of Keras 3.

    >>> unpack_x_y_sample_weight((1, 2)), unpack_x_y_sample_weight(1)
    ((1, 2, None), (1, None, None))
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"data must be x, (x,), (x, y) or (x, y, sample_weight), got {len(data)} entries.")
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight
