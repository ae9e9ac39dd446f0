"""FitSettings: what is known about a fit besides its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from kerastorch.diagnosis.target_facts import TargetFacts


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit and facts about its data; `fit` records them in the history that it returns.

    Attributes:
        optimizer: Class name of the optimizer, several joined with `+`; empty if it is unknown.
        learning_rate: Learning rate at the start, the largest one of several groups; `None` if it is unknown.
        weight_decay: Weight decay of the optimizer. Default 0.
        loss: Name of the loss, several joined with `+`; empty if it is unknown.
        task: `"multiclass"`, `"binary"`, `"regression"`, or empty if it is unknown.
        batch_size: Rows of a training batch; `None` if it is unknown.
        steps: Batches of an epoch; `None` if it is unknown.
        rows: Training rows; `None` if they are unknown.
        validation_rows: Rows for validation; `None` if they are unknown.
        validation: `"split"` for the last rows, `"random split"`, `"data"`, or empty if there is none.
        shuffle: Whether the training rows are shuffled in each epoch; `None` if the data have an order of their own.
        parameters: Number of trained weights; `None` if it is unknown.
        frozen: Number of weights that are not trained. Default 0.
        widths: Outputs of each layer with weights, in their order.
        dropout: Rates of the dropout layers, the others that add noise included.
        penalties: Different penalties on weights, as text such as `"L2(0.01)"`.
        normalization: Class names of the normalization layers.
        has_class_weight: Whether classes or rows have weights in the training loss.
        is_clipped: Whether gradients are clipped.
        callbacks: Class names of the callbacks of the fit.
        targets: Facts about the training targets; `None` if they are not in memory.
        validation_targets: The same for the validation.
    """

    optimizer: str = ""
    learning_rate: float | None = None
    weight_decay: float = 0.0
    loss: str = ""
    task: str = ""
    batch_size: int | None = None
    steps: int | None = None
    rows: int | None = None
    validation_rows: int | None = None
    validation: str = ""
    shuffle: bool | None = None
    parameters: int | None = None
    frozen: int = 0
    widths: tuple[int, ...] = ()
    dropout: tuple[float, ...] = ()
    penalties: tuple[str, ...] = ()
    normalization: tuple[str, ...] = ()
    has_class_weight: bool = False
    is_clipped: bool = False
    callbacks: tuple[str, ...] = ()
    targets: TargetFacts | None = None
    validation_targets: TargetFacts | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything is known about the fit."""
        return bool(self.optimizer)

    @property
    def is_classification(self) -> bool | None:
        """Whether the targets are classes; `None` if it is unknown."""
        return self.task in ("multiclass", "binary") if self.task else None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as numbers, text, lists and dicts, for a JSON file; defaults are left out."""
        settings = asdict(self)
        for name in ("targets", "validation_targets"):
            facts = getattr(self, name)
            settings[name] = None if facts is None else facts.to_dict()
        defaults = FitSettings()
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in settings.items()
            if getattr(self, name) != getattr(defaults, name)
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` returned; names that this version does not know are ignored."""
        known = {one.name for one in fields(cls)}
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
            if name in known
        }
        for name in ("targets", "validation_targets"):
            if found.get(name) is not None:
                found[name] = TargetFacts.from_dict(found[name])
        return cls(**found)


UNKNOWN = FitSettings()
