"""How steps are executed: compiled or not, and how many between two looks of the callbacks."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from kerastorch.errors import whole


class Execution(NamedTuple):
    """What `compile` was told about it.

    Attributes:
        jit: compile the training step.
        steps: batches that run between two calls of the batch hooks.
    """

    jit: bool = False
    steps: int = 1

    @classmethod
    def of(cls, jit_compile: Any, steps_per_execution: Any) -> Self:
        """Checked.

        Raises:
            ValueError: anything but `True`, `False` and `'auto'`; a number of steps below 1.
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto', got {jit_compile!r}.")
        return cls(jit_compile is True, whole("steps_per_execution", steps_per_execution))
