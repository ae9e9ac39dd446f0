"""Muon, which orthogonalizes the steps of matrices and leaves all other weights to Adam."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int, suggest
from kerastorch.optimizers.base import Optimizer, Rate, TorchOptimizer
from kerastorch.optimizers.parameter_groups import MAX_NAMES, ParameterGroup, ParameterName, check_patterns
from kerastorch.optimizers.update_rules import muon


class _Place(NamedTuple):
    """The place of a parameter in a model.

    Attributes:
        parameter: The parameter, so that its id stays its own.
        path: Its name, with the names of layers in place of their numbers in a `Sequential`.
        words: Its name, and the names and classes of the modules around it.
    """

    parameter: Tensor
    path: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, name: str, parameter: Tensor, modules: Mapping[str, nn.Module]) -> _Place:
        """Return the place of a parameter.

        Args:
            name: Its name in the model.
            parameter: The parameter.
            modules: The modules of the model by name.
        """
        parts = name.split(".")[:-1]
        around = [modules[".".join(parts[: depth + 1])] for depth in range(len(parts))]
        path = ParameterName.of(name, modules).path
        layers = path.split(".")[:-1]
        return cls(parameter, path, (name, *layers, *(type(module).__name__ for module in around)))


@dataclass(eq=False, repr=False)
class Muon(Optimizer):
    """Momentum whose steps are made orthogonal matrices (Jordan et al. 2024); Adam for weights that are no matrices.

    `m = momentum * m + g`, the direction is `g + momentum * m` (`m` without `nesterov`), and an iteration of
    Newton-Schulz replaces its singular values by values near 1. The step is `learning_rate` times the result, times
    `rms_rate * sqrt(largest side)` (Liu et al. 2025), so that learning rates of AdamW fit.

    Adam updates weights that do not have exactly two axes, such as biases and the kernels of convolutions; embeddings;
    and layers that `exclude_layers` names. Name the last layer there, as its authors advise.
    `torch.optim.Muon` takes matrices only, and iterates in bfloat16; here the iteration has the dtype of the weight.

    Args:
        learning_rate: Step size, > 0.
        adam_beta_1: Momentum of Adam's average of gradients, >= 0 and < 1.
        adam_beta_2: Momentum of Adam's average of squares, >= 0 and < 1.
        adam_weight_decay: Decoupled weight decay of the weights that Adam updates, >= 0.
        epsilon: Added to Adam's root.
        weight_decay: Decoupled weight decay of the matrices, >= 0.
        exclude_layers: Regular expressions; Adam updates weights in whose names one of them is found. In a `Sequential`
            the names of layers count, too: `["head"]` finds `Dense(10, name="head")`.
        exclude_embeddings: Whether Adam updates the weights of embeddings: those with "embedding" in their names, and
            those of submodules whose classes have "embedding" in theirs, such as `nn.EmbeddingBag`. Only `fit` knows
            the classes; in a loop of your own, names decide.
        muon_a: First coefficient of the iteration.
        muon_b: Second coefficient of the iteration.
        muon_c: Third coefficient of the iteration.
        adam_lr_ratio: Learning rate of Adam, as a multiple of `learning_rate`, > 0.
        momentum: From 0 to 1.
        ns_steps: Number of iterations, >= 1.
        nesterov: Whether to use Nesterov's momentum.
        rms_rate: Factor of the step, > 0; `None` for the plain orthogonal matrix.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.eye(3))
    >>> optimizer = Muon(0.1, weight_decay=None, rms_rate=None)([weight])
    >>> (weight * torch.diag(torch.tensor([100.0, 1.0, -10.0]))).sum().backward()
    >>> optimizer.step()
    >>> (weight.diag() < 1).tolist()  # steps of about 0.1 in each direction
    [True, True, False]
    """

    keyword_advice: ClassVar[Mapping[str, str]] = {
        **Optimizer.keyword_advice,
        "beta_1": "Its name is adam_beta_1.",
        "beta_2": "Its name is adam_beta_2.",
    }
    kind = muon.Muon

    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: Rate | None = 0.004
    epsilon: float = 1e-7
    weight_decay: Rate | None = field(default=0.004, kw_only=True)
    exclude_layers: list[str] | None = field(default=None, kw_only=True)
    exclude_embeddings: bool = field(default=True, kw_only=True)
    muon_a: float = field(default=3.4445, kw_only=True)
    muon_b: float = field(default=-4.7750, kw_only=True)
    muon_c: float = field(default=2.0315, kw_only=True)
    adam_lr_ratio: float = field(default=1.0, kw_only=True)
    momentum: float = field(default=0.95, kw_only=True)
    ns_steps: int = field(default=5, kw_only=True)
    nesterov: bool = field(default=True, kw_only=True)
    rms_rate: float | None = field(default=0.2, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("adam_beta_1", "adam_beta_2"):
            check_float(name, getattr(self, name), least=0, below=1)
        decay = self.adam_weight_decay
        if isinstance(decay, Mapping):
            check_patterns("adam_weight_decay", decay)
        for one in decay.values() if isinstance(decay, Mapping) else [decay or 0.0]:
            check_float("adam_weight_decay", one, least=0)
        for name in ("muon_a", "muon_b", "muon_c"):
            check_float(name, getattr(self, name))
        check_float("adam_lr_ratio", self.adam_lr_ratio, above=0)
        check_int("ns_steps", self.ns_steps)
        if self.rms_rate is not None:
            check_float("rms_rate", self.rms_rate, above=0)
        if isinstance(self.exclude_layers, str):
            raise ValueError(f"exclude_layers is a list of expressions: [{self.exclude_layers!r}].")
        self._places: dict[int, _Place] = {}  # by id of the parameter

    def arguments(self) -> dict[str, Any]:
        return {
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "ns_coefficients": (self.muon_a, self.muon_b, self.muon_c),
            "ns_steps": self.ns_steps,
            "rms_rate": self.rms_rate,
            "adam_betas": (self.adam_beta_1, self.adam_beta_2),
            "adam_eps": self.epsilon,
            "adam_lr_ratio": self.adam_lr_ratio,
            "weight_decay": 0.0,  # each group has its own
        }

    def exclude_from_weight_decay(
        self, var_list: Iterable[Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        super().exclude_from_weight_decay(var_list, var_names)
        decay = self.weight_decay
        self.weight_decay = self.adam_weight_decay
        super().exclude_from_weight_decay(None, var_names)
        self.weight_decay, self.adam_weight_decay = decay, self.weight_decay

    def read_modules(self, model: nn.Module) -> None:
        modules = dict(model.named_modules())
        self._places = {id(one): _Place.of(name, one, modules) for name, one in model.named_parameters()}

    @property
    def is_grouped(self) -> bool:
        """Return `True`: Muon and Adam have a group of parameters each."""
        return True

    def group(self, named: Mapping[str, Tensor]) -> list[ParameterGroup]:
        """Divide parameters into groups of equal settings, for Muon and for Adam.

        Args:
            named: Parameters by name.

        Raises:
            ValueError: A pattern matches no parameter, or no pattern of `learning_rate` matches a parameter.
        """
        self._check_exclusions(named)
        matrices = {id(one) for name, one in named.items() if self._is_for_muon(name, one)}
        of_adam = copy.copy(self)
        of_adam.weight_decay = self.adam_weight_decay
        parts = [
            replace(group, params=[one for one in group.params if (id(one) in matrices) is by_muon], options=options)
            for settings, by_muon, options in ((self, True, {}), (of_adam, False, {"use_adam": True}))
            for group in Optimizer.group(settings, named)
        ]
        return [part for part in parts if part.params]

    def _is_for_muon(self, name: str, parameter: Tensor) -> bool:
        texts = self._texts(name, parameter)
        if parameter.ndim != 2 or any(re.search(one, text) for one in self.exclude_layers or () for text in texts):
            return False
        place = self._places.get(id(parameter))
        words = (name,) if place is None else place.words
        return not (self.exclude_embeddings and any("embedding" in word.lower() for word in words))

    def _texts(self, name: str, parameter: Tensor) -> tuple[str, str]:
        """Return the names of a parameter in which `exclude_layers` is searched."""
        place = self._places.get(id(parameter))
        return name, name if place is None else place.path

    def _check_exclusions(self, named: Mapping[str, Tensor]) -> None:
        """Raise an error if an expression in `exclude_layers` is found in no name."""
        texts = [text for name, one in named.items() for text in self._texts(name, one)]
        for expression in self.exclude_layers or ():
            if not any(re.search(expression, text) for text in texts):
                names = list(dict.fromkeys(self._texts(name, one)[1] for name, one in named.items()))
                raise ValueError(
                    f"exclude_layers: {expression!r} is found in no name.{suggest(expression, names)} The model has: "
                    f"{', '.join(names[:MAX_NAMES])}{', ...' if len(names) > MAX_NAMES else ''}."
                )

    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return the optimizer for callers with their own gradient accumulation and loss scaling.

        Raises:
            ValueError: The settings have names of layers or of parameters, and the parameters have no names.
            TypeError: The parameters are in groups.
        """
        params = list(params)
        if any(isinstance(one, dict) for one in params):
            raise TypeError("Muon makes the groups itself: give it model.named_parameters(), and rates by pattern.")
        if not all(isinstance(one, tuple) for one in params):
            if self.exclude_layers:
                raise ValueError("Muon(exclude_layers=...) needs names: call it with model.named_parameters().")
            if not super().is_grouped:  # else the base asks for names
                params = [(str(number), one) for number, one in enumerate(params)]
        return super().build(params)
