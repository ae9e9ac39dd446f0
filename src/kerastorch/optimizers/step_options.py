"""StepOptions: Keras' options of a step, which any optimizer can have."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor, nn

from kerastorch.core.errors import check_float, check_int
from kerastorch.core.representation import represent
from kerastorch.core.serialization import Configurable
from kerastorch.core.torch_optimizer_private import has_step_hooks, unscale_before_step
from kerastorch.optimizers.own_loop import OwnLoop
from kerastorch.optimizers.parameter_groups import ParameterGroup
from kerastorch.optimizers.step_hooks import Average, Clip, TorchOptimizer

_BOUNDS: dict[str, dict[str, Any]] = {
    "clipnorm": {"above": 0},
    "clipvalue": {"above": 0},
    "global_clipnorm": {"above": 0},
    "ema_momentum": {"least": 0, "most": 1},
    "loss_scale_factor": {"above": 0},
}


_OF_OPTIMIZERS = (  # what optimizers of torch and of Keras have, but not their settings
    "step", "zero_grad", "param_groups", "state", "minimize", "state_dict", "load_state_dict",
)  # fmt: skip


@dataclass(eq=False, repr=False)
class StepOptions(OwnLoop, Configurable):
    """Base of settings that make an optimizer of torch with Keras' options.

    Args:
        clipnorm: Largest norm of each gradient; a gradient with a larger norm is scaled down to it.
        clipvalue: Each element of a gradient is clipped to `-clipvalue..clipvalue`.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to compute an exponential moving average of the weights, which replaces them when `fit` ends.
        ema_momentum: Momentum of that average: after each step it is `momentum * average + (1 - momentum) * weight`.
        ema_overwrite_frequency: Number of steps after which the average replaces the weights, again and again.
            Default: only when `fit` ends.
        loss_scale_factor: Factor by which `fit` multiplies the loss and divides the gradients.
        gradient_accumulation_steps: Number of batches, >= 2, after which `fit` makes one step, on the mean of their
            gradients. Gradients of the remaining batches are used in the next `fit` or `train_on_batch`, as in Keras.
        name: Name for error messages. Default: that of the class.

    Raises:
        ValueError: An argument is out of its bounds, or has no effect without another.
    """

    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    loss_scale_factor: float | None = field(default=None, kw_only=True)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for key, bounds in _BOUNDS.items():
            if getattr(self, key) is not None:
                check_float(key, getattr(self, key), **bounds)
        for key, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
            if getattr(self, key) is not None:
                check_int(key, getattr(self, key), least)
        if len(self.clips()) > 1:
            raise ValueError(f"pass one of clipnorm, clipvalue and global_clipnorm, got {' and '.join(self.clips())}.")
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            raise ValueError("ema_overwrite_frequency does nothing without use_ema=True.")
        self.name = self.name or type(self).__name__

    @abstractmethod
    def build(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return the optimizer of parameters, for callers with their own gradient accumulation and loss scaling.

        Args:
            params: Parameters; `(name, parameter)` pairs if the settings have patterns of names.
        """

    def read_modules(self, model: nn.Module) -> None:
        """Find what the names of parameters do not show, before the optimizer is built.

        Args:
            model: Holds the parameters.
        """

    @property
    @abstractmethod
    def is_grouped(self) -> bool:
        """Return whether parameters are divided into groups by their names."""

    @abstractmethod
    def group(self, named: Mapping[str, Tensor]) -> list[ParameterGroup]:
        """Divide parameters into groups of equal settings.

        Args:
            named: Parameters by name.

        Raises:
            ValueError: A pattern matches no parameter, or no pattern of learning rates matches a parameter.
        """

    @property
    def existing(self) -> TorchOptimizer | None:
        """Return the optimizer if the user has made it already."""
        return None

    def __call__(self, params: Iterable[Any]) -> TorchOptimizer:
        """Return the optimizer of `params`: parameters, `(name, parameter)` pairs or parameter groups.

        Clipping, weight decay and averaging are step hooks of that optimizer.

        Raises:
            ValueError: The settings have options that only `fit` can apply (`gradient_accumulation_steps`,
                `loss_scale_factor`); or patterns of names, and the parameters have no names.
        """
        self.check_without_fit()
        return self.build(params)

    def __repr__(self) -> str:
        return represent(self, always=("learning_rate",), name=type(self).__name__)

    if not TYPE_CHECKING:  # type checkers refuse the names themselves

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            hint = ""
            if name in _OF_OPTIMIZERS:
                hint = (
                    f" These are settings: compile() makes the optimizer of them, {kind}(...)(model.parameters()) does "
                    "so in a loop of your own. In a train_step of your own self.trainer.minimize(loss) makes the step."
                )
            raise AttributeError(f"{kind!r} object has no attribute {name!r}.{hint}")

    def clips(self) -> dict[str, float]:
        """Return the kind of clipping and its limit, in a dict of at most one entry."""
        clips = {key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm")}
        return {key: value for key, value in clips.items() if value is not None}

    def check_without_fit(self) -> None:
        """Raise an error if the settings have options that only `fit` can apply.

        Raises:
            ValueError: `gradient_accumulation_steps` or `loss_scale_factor` is set.
        """
        if self.gradient_accumulation_steps or self.loss_scale_factor:
            raise ValueError(
                f"{self.name}: gradient_accumulation_steps and loss_scale_factor are kept by fit(); "
                "in your own loop step every n batches and scale the loss there."
            )

    def register_clipping(self, optimizer: TorchOptimizer) -> None:
        """Register the hook that clips gradients before a step."""
        for how, limit in self.clips().items():
            optimizer.register_step_pre_hook(Clip(how, limit))

    def register_average(self, optimizer: TorchOptimizer) -> None:
        """Register the hook that averages the weights after a step; it is the last one."""
        if self.use_ema:
            optimizer.register_step_post_hook(Average(self.ema_momentum, self.ema_overwrite_frequency))
        let_scalers_unscale(optimizer)


def let_scalers_unscale(optimizer: TorchOptimizer) -> None:
    """Make `torch.amp.GradScaler` unscale gradients before the step and skip steps itself.

    By default a scaler leaves both to a fused kernel and always calls `step`: step hooks would see scaled gradients and
    run in skipped steps, and SGD's kernel would leave its momentum uninitialised if the first step is skipped. The cost
    is one device synchronisation before each step.
    """
    if has_step_hooks(optimizer) or any(group.get("momentum") for group in optimizer.param_groups):
        unscale_before_step(optimizer)
