"""The task of an output, if its rows were seen in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kerastorch.losses.base import Loss
from kerastorch.metrics.task import TaskSpec


def is_known_from_loss(loss: Loss | None, classifies: bool, ndim: int) -> bool:
    """Return whether the task of an output follows from its loss and from shapes, and not from values.

    Args:
        loss: As in `TaskSpec.of`.
        classifies: As in `TaskSpec.of`.
        ndim: Number of axes of the outputs.
    """
    if loss is None:
        return not classifies
    if loss.task == "multiclass":
        return bool(loss.link) and (loss.class_axis is not None or ndim <= 2)
    return loss.task == "binary" or not (classifies or loss.has_class_axis)


def agreed_tasks(tasks: Sequence[Sequence[TaskSpec]]) -> list[TaskSpec]:
    """Return the tasks of all rows, by metric.

    Args:
        tasks: Tasks by metric, for each part of the rows.

    Raises:
        ValueError: Metrics of different parts were updated for different tasks.
    """
    agreed = []
    for found in zip(*tasks, strict=True):
        # labels of -1 in one part only are those of questions that are answered with -1 or 1 in all of them
        signed = any(task.signed for task in found) and found[0].link != "half"
        same = {replace(task, signed=signed or task.signed) for task in found}
        if len(same) > 1:
            first, other = list(dict.fromkeys(found))[:2]
            raise ValueError(
                "the rows of different processes look like different tasks, so that their metrics cannot be merged: "
                f"{first} and {other}. Give a loss that says the task, such as 'binary_crossentropy' or "
                "'categorical_crossentropy', or shuffle the data."
            )
        agreed.append(same.pop())
    return agreed
