"""LearningRate: the learning rate of a fit beside those that are usual for its optimizer."""

from __future__ import annotations

from dataclasses import dataclass

_USUAL = {  # of torch.optim: from where to where rates are usual
    "SGD": (1e-3, 0.3), "Adam": (1e-4, 2e-2), "AdamW": (1e-4, 2e-2), "NAdam": (1e-4, 2e-2), "RAdam": (1e-4, 2e-2),
    "Adamax": (2e-4, 4e-2), "RMSprop": (5e-5, 1e-2), "Adagrad": (1e-3, 0.5), "Rprop": (1e-4, 0.1),
    "Adadelta": (1e-2, 5.0), "Lion": (1e-5, 2e-3), "Adafactor": (1e-4, 5e-2),
}  # fmt: skip


@dataclass(frozen=True)
class LearningRate:
    """The learning rate at the start of a fit.

    Attributes:
        value: The rate; `None` if it is unknown.
        optimizer: Name of the optimizer's class; empty if it is unknown.
    """

    value: float | None
    optimizer: str

    @property
    def usual(self) -> tuple[float, float] | None:
        """The range of usual learning rates; `None` if the optimizer is unknown."""
        return _USUAL.get(self.optimizer)

    @property
    def excess(self) -> float:
        """The rate divided by the largest usual one; 0 if it is unknown."""
        return 0.0 if self.usual is None or self.value is None else self.value / self.usual[1]

    @property
    def lack(self) -> float:
        """The smallest usual rate divided by this one; 0 if it is unknown."""
        return 0.0 if self.usual is None or not self.value else self.usual[0] / self.value

    @property
    def evidence(self) -> tuple[str, ...]:
        """A sentence on a rate outside the usual range; none if it is inside or unknown."""
        usual = self.usual
        if usual is None or self.value is None or usual[0] <= self.value <= usual[1]:
            return ()
        return (f"The learning rate is {self.value:.2g}; usual for {self.optimizer} is {usual[0]:g} to {usual[1]:g}.",)
