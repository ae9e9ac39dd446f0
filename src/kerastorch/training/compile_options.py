"""CompileOptions: whether training steps are compiled, and how many run between two batch hooks."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, Self

from kerastorch.core.errors import check_int

MAX_STEPS = 8  # steps in one graph: more take longer to compile than they save
MAX_WEIGHTS = 48  # of all steps in one graph: with more, the cost of calling the graph is small anyway


class CompileOptions(NamedTuple):
    """Options of `compile` for the execution of steps.

    Attributes:
        jit: Compile the training step.
        steps: Batches between two calls of the batch hooks; `'auto'` is 1 if nothing is compiled.
    """

    jit: bool = False
    steps: int | Literal["auto"] = 1

    @classmethod
    def of(cls, jit_compile: Any, steps_per_execution: Any) -> Self:
        """Validate `jit_compile` and `steps_per_execution`.

        Raises:
            ValueError: Another value than `True`, `False` and `'auto'`; a number of steps below 1.
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto', got {jit_compile!r}.")
        # 'auto' does not compile: a choice by measured times would make the rounding of a seeded run depend on them
        if steps_per_execution == "auto":
            return cls(jit_compile is True, "auto")
        return cls(jit_compile is True, check_int("steps_per_execution", steps_per_execution))

    @property
    def every(self) -> int:
        """Return the number of batches between two calls of the batch hooks."""
        return 1 if self.steps == "auto" else self.steps

    def steps_per_graph(self, weights: int) -> int:
        """Return the number of steps in one graph, for an optimizer of `weights` tensors."""
        if self.steps == "auto":
            return max(1, min(MAX_STEPS, MAX_WEIGHTS // max(weights, 1)))
        return math.gcd(self.steps, MAX_STEPS) if self.steps % MAX_STEPS else MAX_STEPS


EAGER = CompileOptions()
