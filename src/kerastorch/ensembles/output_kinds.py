"""OutputKinds: how each output of the members of an ensemble is combined, and the arrays of all members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from kerastorch.core.nested import leaves, map_structure
from kerastorch.ensembles.combination import Array, Combination
from kerastorch.training.output_names import OutputNames


@dataclass(frozen=True)
class OutputKinds:
    """What the outputs of a model are, by their names.

    Attributes:
        names: Names of the outputs.
        by_name: What an output is.
        default: What the others are: values, or if all outputs have one loss, what this loss compares.
    """

    names: OutputNames
    by_name: Mapping[str, Combination]
    default: Combination

    @classmethod
    def of(cls, model: nn.Module) -> OutputKinds:
        """Return what the outputs of a compiled model are; of others, values."""
        trainer = vars(model).get("_trainer")
        if trainer is None:
            return cls(OutputNames.of(model), {}, Combination())
        outputs = trainer.compiled_loss.outputs
        kinds = {name: Combination.of(loss) for name, loss in outputs.losses.items()}
        return cls(
            outputs.names, kinds, Combination() if outputs.are_by_output else Combination.of(outputs.loss_of(""))
        )

    def of_output(self, name: str) -> Combination:
        """Return what the output of a name is; a part of it, such as one batch of several, is the same."""
        while name and name not in self.by_name:
            name = name.rpartition("/")[0]
        return self.by_name.get(name, self.default)

    def map(self, function: Callable[[Combination, Array], Any], outputs: Any) -> Any:
        """Call a function with what each output is, and the output.

        Args:
            function: The function.
            outputs: An array, or several in the structure of the outputs.
        """
        names = iter([name for name, output in self.names.flatten(outputs).items() if output is not None])
        return map_structure(lambda output: function(self.of_output(next(names)), output), outputs)


def stack_members(outputs: Sequence[Any]) -> Any:
    """Return outputs of all members, each with the members on its first axis.

    Raises:
        ValueError: An output is a list with an array for each batch.
    """
    columns = [[leaf for _, leaf in leaves(one)] for one in outputs]
    if any(not isinstance(leaf, np.ndarray) for column in columns for leaf in column):
        raise ValueError("the outputs of the members are not one array each; predict them by members[i].predict(x).")
    stacks = iter([np.stack(same) for same in zip(*columns, strict=True)])
    return map_structure(lambda _: next(stacks), outputs[0])


def join_samples(outputs: Array, mc_dropout: int | None, axis: int) -> Array:
    """Return outputs with the axis of the samples of dropout joined with the one before, or the one behind.

    Args:
        outputs: `(members, mc_dropout, rows, ...)`; or without `mc_dropout` `(members, rows, ...)`, which are returned.
        mc_dropout: Number of samples, or `None`.
        axis: 0 to join the samples with the members, 1 to join them with the rows.
    """
    if mc_dropout is None:
        return outputs
    shape = outputs.shape
    return outputs.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
