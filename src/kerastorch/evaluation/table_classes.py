"""Classes that the columns of a table of probabilities name."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerastorch.core.tables import column_names
from kerastorch.plots.arrays import to_array


def classes_of_table(y_true: Any, y_pred: Any, names: tuple[str, ...] | None) -> tuple[Any, tuple[str, ...] | None]:
    """Return targets and names of classes that fit the columns of a table of predictions, in their order.

    Args:
        y_true: Targets.
        y_pred: Predictions; all but tables of several columns leave the other arguments as they are.
        names: `class_names`, which come first.

    Raises:
        ValueError: The table has other columns than classes, or the columns of the targets in another order.
    """
    columns = column_names(y_pred)
    if columns is None or len(columns) < 2:
        return y_true, names
    targets = column_names(y_true) or []
    if len(targets) > 1:
        if targets != columns and sorted(map(str, targets)) == sorted(map(str, columns)):
            raise ValueError(
                f"y_true has the columns {_listed(targets)}, and y_pred {_listed(columns)}. Pass them in one order: "
                "y_pred[list(y_true)]."
            )
        return y_true, names
    if names is not None or columns == list(range(len(columns))):
        return y_true, names
    true = to_array("y_true", y_true)
    are_numbers = true.dtype.kind != "U" and all(isinstance(one, (int, np.integer)) for one in columns)
    if true.size != len(true) or (true.dtype.kind != "U" and not are_numbers):
        return y_true, names
    place: dict[Any, int] = {one if are_numbers else str(one): at for at, one in enumerate(columns)}
    missing = [one for one in np.unique(true).tolist() if one not in place]
    if missing:
        raise ValueError(
            f"y_true has the class {missing[0]!r}, and y_pred the columns {_listed(columns)}. Name the columns by the "
            "classes, or pass class_names in the order of the columns."
        )
    return np.array([place[one] for one in true.ravel().tolist()]), tuple(map(str, columns))


def _listed(columns: list[Any]) -> str:
    return ", ".join(map(str, columns[:10])) + (", ..." if len(columns) > 10 else "")
