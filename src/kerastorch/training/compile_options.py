"""How steps are executed: compiled or not, and how many between two looks of the callbacks."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, Self

from kerastorch.core.errors import check_int

TOGETHER = 8  # steps in one graph at most: more take longer to compile than they save
WEIGHTS = 48  # of all steps in one graph; a step with more has enough to do to make the call of it cheap


class CompileOptions(NamedTuple):
    """What `compile` was told about it.

    Attributes:
        jit: compile the training step.
        steps: batches that run between two calls of the batch hooks; `'auto'` is one where nothing is compiled.
    """

    jit: bool = False
    steps: int | Literal["auto"] = 1

    @classmethod
    def of(cls, jit_compile: Any, steps_per_execution: Any) -> Self:
        """Checked.

        Raises:
            ValueError: anything but `True`, `False` and `'auto'`; a number of steps below 1.
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto', got {jit_compile!r}.")
        if steps_per_execution == "auto":
            return cls(jit_compile is True, "auto")
        return cls(jit_compile is True, check_int("steps_per_execution", steps_per_execution))

    @property
    def every(self) -> int:
        """Batches between two calls of the batch hooks."""
        return 1 if self.steps == "auto" else self.steps

    def steps_per_graph(self, weights: int) -> int:
        """How many steps go into one graph, for an optimizer over so many weights."""
        if self.steps == "auto":
            return max(1, min(TOGETHER, WEIGHTS // max(weights, 1)))
        return math.gcd(self.steps, TOGETHER) if self.steps % TOGETHER else TOGETHER


EAGER = CompileOptions()
