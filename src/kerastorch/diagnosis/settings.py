"""FitSettings: what is known about a fit besides its curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from kerastorch.diagnosis.target_facts import TargetFacts

_FACTS = ("targets", "validation_targets")


@dataclass(frozen=True)
class OutputSettings:
    """What is known about one of several outputs of a model.

    Attributes:
        name: Its name, with which the names of its logs begin.
        loss: Name of its loss.
        task: `"multiclass"`, `"binary"`, `"regression"`, or empty if it is unknown.
        targets: Facts about its training targets; `None` if they are not in memory.
        validation_targets: The same for the validation.
    """

    name: str
    loss: str = ""
    task: str = ""
    targets: TargetFacts | None = None
    validation_targets: TargetFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as text, numbers and dicts, for a JSON file."""
        return {**asdict(self), **{name: _as_dict(getattr(self, name)) for name in _FACTS}}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` returned; names that this version does not know are ignored."""
        known = {one.name for one in fields(cls)}
        found: dict[str, Any] = {name: value for name, value in settings.items() if name in known}
        return cls(**{**found, **{name: _as_facts(found.get(name)) for name in _FACTS}})


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit and facts about its data; `fit` records them in the history that it returns.

    Attributes:
        optimizer: Class name of the optimizer, several joined with `+`; empty if it is unknown.
        learning_rate: Learning rate at the start, the largest one of several groups; `None` if it is unknown.
        momentum: Momentum of the optimizer, the largest one of several groups; 0 if it has none or others of that
            kind, such as Adam's. Default 0.
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
        augmentation: Class names of the layers that change the inputs at random.
        input_kind: `"images"`, `"sequences"`, `"text"` or `"table"` by the layers; empty if these do not tell.
        has_class_weight: Whether classes or rows have weights in the training loss.
        is_clipped: Whether gradients are clipped.
        callbacks: Class names of the callbacks of the fit.
        targets: Facts about the training targets; `None` if they are not in memory.
        validation_targets: The same for the validation.
        outputs: The outputs with a loss, if there are several; empty for one.
    """

    optimizer: str = ""
    learning_rate: float | None = None
    momentum: float = 0.0
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
    augmentation: tuple[str, ...] = ()
    input_kind: str = ""
    has_class_weight: bool = False
    is_clipped: bool = False
    callbacks: tuple[str, ...] = ()
    targets: TargetFacts | None = None
    validation_targets: TargetFacts | None = None
    outputs: tuple[OutputSettings, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether anything is known about the fit."""
        return bool(self.optimizer)

    @property
    def is_classification(self) -> bool | None:
        """Whether the targets are classes; `None` if it is unknown."""
        return self.task in ("multiclass", "binary") if self.task else None

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """The outputs of each layer with weights, without the last one, or the last ones of several outputs."""
        return self.widths[: -max(1, len(self.outputs))]

    @property
    def has_several_losses(self) -> bool:
        """Whether the loss is a sum of several."""
        return bool(self.outputs) or "+" in self.loss

    def of_output(self, output: OutputSettings) -> Self:
        """Return the settings with the loss and the targets of one output alone, whose width is unknown."""
        return replace(
            self, loss=output.loss, task=output.task, targets=output.targets,
            validation_targets=output.validation_targets, outputs=(), widths=(*self.hidden_widths, 0),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as numbers, text, lists and dicts, for a JSON file; defaults are left out."""
        settings = {**asdict(self), **{name: _as_dict(getattr(self, name)) for name in _FACTS}}
        settings["outputs"] = [one.to_dict() for one in self.outputs]
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
        found["outputs"] = tuple(map(OutputSettings.from_dict, found.get("outputs", ())))
        return cls(**{**found, **{name: _as_facts(found.get(name)) for name in _FACTS}})


def _as_dict(facts: TargetFacts | None) -> dict[str, Any] | None:
    return None if facts is None else facts.to_dict()


def _as_facts(facts: Mapping[str, Any] | None) -> TargetFacts | None:
    return None if facts is None else TargetFacts.from_dict(facts)


UNKNOWN = FitSettings()
