"""NetworkEstimator: what the estimators share: the network of a fit, its training, copies and pickles."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from kerastorch.callbacks.history import History
from kerastorch.model import Model
from kerastorch.wrappers.compile_choice import choose_loss, choose_optimizer
from kerastorch.wrappers.compiled_copy import PackedModel, copy_compiled, trainer_of
from kerastorch.wrappers.default_networks import LEARNING_RATE
from kerastorch.wrappers.fit_arguments import FitSettings, check_flag, merge_arguments, training_arguments
from kerastorch.wrappers.inputs import check_inputs, check_weights, choose_dtype, seeded
from kerastorch.wrappers.network_dtype import numpy_dtype, outputs_in_dtype
from kerastorch.wrappers.network_source import network_of_model, network_of_module
from kerastorch.wrappers.outputs import OutputPlan
from kerastorch.wrappers.parameters import NestedParameters
from kerastorch.wrappers.targets import Array, Targets
from kerastorch.wrappers.training_rows import Rows, hold_out

_SAMPLE = 8  # rows that show what a network returns


class NetworkEstimator(NestedParameters):
    """Base of the estimators.

    Subclasses say how targets are encoded, which network is the default one, and what is returned for its outputs.
    """

    model_: Model
    history_: History
    loss_curve_: list[float]
    n_features_in_: int
    _plan: OutputPlan
    _random: np.random.RandomState | None = None

    def __init__(
        self,
        model: Model | torch.nn.Module | Callable[..., torch.nn.Module] | None = None,
        warm_start: bool = False,
        model_kwargs: Mapping[str, object] | None = None,
        fit_kwargs: Mapping[str, object] | None = None,
        *,
        module: type[torch.nn.Module] | Callable[..., torch.nn.Module] | None = None,
        hidden: tuple[int, ...] | int = (100,),
        optimizer: object = None,
        loss: object = None,
        learning_rate: float | None = None,
        metrics: object = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        callbacks: object = None,
        validation_fraction: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = 0,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        **module__: object,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.module = module
        self.hidden = hidden
        self.optimizer = optimizer
        self.loss = loss
        self.learning_rate = learning_rate
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.callbacks = callbacks
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose
        self.device = device
        self.dtype = dtype
        self._nested = self._checked_nested(module__)

    # --- what subclasses define -----------------------------------------------------------------------------------

    @abstractmethod
    def _default_network(self, rows: Rows, targets: Targets, dtype: torch.dtype) -> tuple[Model, object]:
        """Return the network that is trained if neither a model nor a module was given, and its loss or `None`."""

    def _class_weight(self, given: dict[str, Any]) -> Any:
        """Return the weights of classes, and remove them from the arguments of `fit`."""
        return given.pop("class_weight", None)

    # --- training -------------------------------------------------------------------------------------------------

    @property
    def n_iter_(self) -> int:
        """The number of epochs that the network was trained for."""
        return len(self.loss_curve_)

    def _train(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        given: Mapping[str, Any],
        encoding: Targets | None,
        *,
        all_classes: bool = False,
    ) -> Self:
        """Train a network.

        Args:
            x: Inputs, validated.
            y: Targets, validated.
            sample_weight: Weights of the rows, or `None`.
            given: Arguments for `Model.fit`.
            encoding: Encoding of the targets for a new network; `None` to train that of the last fit further.
            all_classes: Whether the classes are known from elsewhere, so that `y` may have one alone.
        """
        continues, settings = encoding is None, self._fit_settings()
        targets = self._plan.targets if encoding is None else encoding
        written = merge_arguments(self.fit_kwargs, given)
        named_weight = written.pop("sample_weight", None)
        rows = Rows.of(x, targets.encode(y), check_weights(named_weight if sample_weight is None else sample_weight, x))
        rows = rows.with_class_weight(targets, self._class_weight(written)).without_zero_weights()
        if not all_classes and not continues:
            rows.check_classes(targets)
        validation = written.pop("validation_data", None)
        with seeded(self._next_seed(continues)):
            held = None
            if validation is None and self.validation_fraction and "validation_split" not in written:
                rows, held = hold_out(rows, targets, self.validation_fraction)
            model, plan = (self.model_, self._plan) if continues else self._network(rows, targets)
            dtype = numpy_dtype(model)
            if held is not None:
                written["validation_data"] = held.as_data(plan.encode(held.numbers, dtype), dtype)
            elif validation is not None:
                written["validation_data"] = self._encoded_validation(validation, plan, dtype)
            has_validation = "validation_data" in written or bool(written.get("validation_split"))
            arguments = training_arguments(settings, written, len(rows), has_validation=has_validation)
            weights = rows.relative_weights(dtype)
            history = model.fit(rows.x, plan.encode(rows.numbers, dtype), sample_weight=weights, **arguments)
        before = self.loss_curve_ if continues else []
        self.model_, self._plan, self.history_ = model, plan, history
        self.loss_curve_ = [*before, *history.history.get("loss", [])]
        return self

    def _fit_settings(self) -> FitSettings:
        return FitSettings(
            self.epochs, self.batch_size, self.callbacks, self.validation_fraction, self.verbose, self.model is not None
        )

    def _continues(self) -> bool:
        """Return whether `fit` trains the network of the last fit further."""
        return check_flag("warm_start", self.warm_start) and self.__sklearn_is_fitted__()

    def _next_seed(self, continues: bool) -> int | None:
        """Return the seed of a fit; `None` to draw from the global generators."""
        if self.random_state is None:
            return None
        if not continues or self._random is None:
            self._random = check_random_state(self.random_state)
        return int(self._random.randint(2**31 - 1))

    def _network(self, rows: Rows, targets: Targets) -> tuple[Model, OutputPlan]:
        """Return a new network, compiled, and the plan of its outputs."""
        dtype, default_loss = choose_dtype(rows.x, self.dtype, self.device), None
        if self.model is not None and self.module is not None:
            raise ValueError("pass either model, or module, not both.")
        if self.model is not None:
            shown_targets = targets.one_hot(rows.numbers)
            model = network_of_model(self.model, rows.x, shown_targets, self.model_kwargs)
        elif self.module is not None:
            model = network_of_module(self.module, self.nested("module__"), rows.x, targets)
        else:
            _check_is_table(rows.x)
            model, default_loss = self._default_network(rows, targets, dtype)
        outputs = outputs_in_dtype(model, rows.x[:_SAMPLE], dtype, may_stay=is_auto(self.dtype))
        if trainer_of(model) is None:
            self._compile(model, outputs, targets, default_loss)
        else:
            self._check_no_compile_parameters()
        return model, OutputPlan.of(model, outputs, targets)

    def _compile(self, model: Model, outputs: Any, targets: Targets, default_loss: object) -> None:
        rate = self.learning_rate
        if rate is None and self.optimizer is None and self.model is None and self.module is None:
            rate = LEARNING_RATE
        optimizer = choose_optimizer(
            "adam" if self.optimizer is None else self.optimizer, rate, self.nested("optimizer__")
        )
        loss = default_loss if self.loss is None else self.loss
        model.compile(
            optimizer=optimizer,
            loss=choose_loss(model, outputs, targets) if loss is None else loss,
            metrics=self.metrics,
            device=self.device,
        )

    def _check_no_compile_parameters(self) -> None:
        """Raise an error for parameters that have no effect on a model that is compiled already."""
        for name in ("optimizer", "loss", "metrics", "learning_rate"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} has no effect on a model that is compiled already; leave it out, or give a model that is "
                    "not compiled."
                )

    def _encoded_validation(self, data: Any, plan: OutputPlan, dtype: Any) -> Any:
        """Return `validation_data=(X, y)` or `(X, y, sample_weight)` with targets as the loss takes them."""
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError("validation_data must be (X, y) or (X, y, sample_weight).")
        x = check_inputs(self, data[0], reset=False)
        y = plan.encode(plan.targets.encode(np.asarray(data[1]), "y of validation_data"), dtype)
        return (x, y) if len(data) == 2 else (x, y, check_weights(data[2], x))

    # --- predictions ----------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> Any:
        """Return the outputs of the fitted network for inputs, which are checked."""
        check_is_fitted(self)
        return self.model_.predict(check_inputs(self, x, reset=False), verbose=0)

    def _predicted(self, x: Any) -> Array:
        """Return the predicted targets for inputs."""
        outputs = self._outputs(x)
        return self._plan.targets.decode(self._plan.numbers(outputs))

    # --- what scikit-learn asks -----------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags

    def __sklearn_clone__(self) -> Self:
        parameters: dict[str, Any] = {
            name: copy_compiled(value) if isinstance(value, Model) else clone(value, safe=False)
            for name, value in self.get_params(deep=False).items()
        }
        twin = type(self)(**parameters)
        for name in ("_metadata_request", "_sklearn_output_config"):
            if name in vars(self):
                setattr(twin, name, copy.deepcopy(vars(self)[name]))
        return twin

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        packed = {name: PackedModel.of(value) for name, value in state.items() if isinstance(value, Model)}
        return {**state, **packed}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        unpacked = {name: value.unpack() for name, value in state.items() if isinstance(value, PackedModel)}
        super().__setstate__({**state, **unpacked})


def _check_is_table(x: Any) -> None:
    if x.ndim != 2:
        raise ValueError(
            f"the default network takes rows of features, but X has the shape {x.shape}; pass a model or a module, or "
            "X.reshape(len(X), -1)."
        )


def is_auto(value: object) -> bool:
    """Return whether a parameter is `"auto"`."""
    return isinstance(value, str) and value == "auto"
