"""What every layer is: a torch module that makes its parameters when it first sees a shape."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch import activations, constraints, initializers, regularizers
from kerastorch.constraints import Constraint
from kerastorch.core.channel_tracking import Channels
from kerastorch.core.module_tree import is_unbuilt, modules
from kerastorch.core.serialization import Configurable, current_codec
from kerastorch.module.weights_mixin import WeightsMixin
from kerastorch.regularizers import Regularizer


class Layer(WeightsMixin, Configurable):
    """Base of the layers. Write `build(input_shape)` for the parameters and `forward` for the rest.

    Until the first call there are no parameters; the call makes them, on the device and in the dtype that the
    layer was moved to, and after it the layer is a plain torch module. A layer that takes several tensors gets as many
    shapes as its `build` has parameters, and a tuple of shapes for a list of tensors.

    Each argument of `__init__` is kept as an attribute of the same name: `get_config` reads it there.

    Args:
        name: a name of its own: in a functional model that of its place, and what `get_layer` looks for.
        trainable: whether it learns.
        activity_regularizer: a penalty on the output, over the batch size, added to the training loss.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones")
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    weight_regularizers: dict[str, Regularizer]
    weight_constraints: dict[str, Constraint]
    built_on: tuple[Any, ...] | None = None  # the shapes that `ensure_built` was given
    supports_masking = False  # whether a mask of the input is one of the output
    takes_channels_last = False  # whether it takes the last axis for the channels, and no argument says another
    axis_given = True  # False: it works along the last axis, because the call named none
    keeps_axes = False  # whether each axis of the output means what it means in the input
    _placement: Tensor

    def __init__(self, *, name: str | None = None, trainable: bool = True, activity_regularizer: Any = None) -> None:
        super().__init__()
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a string, got {name!r}.")
        self.name = name
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.weight_regularizers = {}
        self.weight_constraints = {}
        self.trainable = trainable
        # an empty buffer follows .to(), .double() and .cuda(), so that the parameters are made in the right place
        self.register_buffer("_placement", torch.empty(0), persistent=False)
        self._build_first = self.register_forward_pre_hook(_build_first, with_kwargs=True)

    # --- building ---------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the parameters for inputs of this shape, the batch axis included; -1 where a size varies."""

    def check_shapes(self, *input_shapes: Any) -> None:
        """Refuse or warn of inputs that the layer is not meant for; called after `build`, with the same shapes."""

    def ensure_built(self, *input_shapes: Any) -> None:
        """Build once; later calls do nothing."""
        if self.built:
            return
        # what `trainable` froze before is not what was made not to learn
        frozen = frozenset() if self.trainable else frozenset(self._parameters)
        takes = inspect.signature(self.build).parameters.values()
        several = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in takes)
        self.build(*map(_sizes, input_shapes if several else input_shapes[: len(takes)]))
        if (
            current_codec() is None
        ):  # else it is made anew, from a file or config: what there is to say was said at first
            self.check_shapes(*map(_sizes, input_shapes))
        self.built, self.built_on = True, tuple(map(_plain, input_shapes))
        self.weights_never_trained = frozenset(
            name
            for name, weight in self._parameters.items()
            if weight is not None and not weight.requires_grad and name not in frozen
        )
        if not self.trainable:
            self.trainable = False  # what has just been made too
        self._build_first.remove()
        del self._buffers["_placement"], self._build_first
        self._non_persistent_buffers_set.discard("_placement")

    def add_weight(
        self,
        shape: Any,
        initializer: Any = "glorot_uniform",
        *,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> nn.Parameter:
        """A new parameter in torch's layout, `(out, in, ...)`; assign it to an attribute, as any parameter.

        Args:
            shape: its size on each axis.
            initializer: name or callable that fills it.
            regularizer: a penalty on it; needs `name`.
            constraint: what it must satisfy after each step; needs `name`.
            trainable: whether it learns; `False` stays so, whatever the layer's `trainable` is set to.
            name: the attribute it will be assigned to.

        Raises:
            ValueError: a size that is not known; a regularizer or constraint without `name`.
        """
        if any(size < 0 for size in shape):
            raise ValueError(
                f"{type(self).__name__} needs a size for its parameters that the input leaves open: {tuple(shape)}. "
                "Give Input a number there instead of None."
            )
        if name is None and (regularizer is not None or constraint is not None):
            raise ValueError("add_weight: a regularizer or constraint needs the name of the attribute, name=...")
        codec = current_codec()
        if codec is not None and not codec.initializes_weights:
            weight = torch.zeros(tuple(shape), dtype=self._placement.dtype, device=self._placement.device)
        else:
            weight = torch.empty(tuple(shape), dtype=self._placement.dtype, device=self._placement.device)
            with torch.no_grad():
                initializers.get(initializer)(weight)
        if name is not None:
            penalty, constrained = regularizers.get(regularizer), constraints.get(constraint)
            if penalty is not None:
                self.weight_regularizers[name] = penalty
            if constrained is not None:
                self.weight_constraints[name] = constrained
        return nn.Parameter(weight, requires_grad=trainable)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes; each layer writes its own."""
        hint = " It has a call(); name it forward." if hasattr(self, "call") else ""
        raise TypeError(f"{type(self).__name__} must define forward(self, x).{hint}")

    # --- masks ------------------------------------------------------------------------------------------------

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask of the output: `True` where a time step counts; `None` where all do.

        Args:
            x: the input, or the list of them.
            mask: of the input, or a list of masks.
        """
        return mask if self.supports_masking else None

    # --- channels ---------------------------------------------------------------------------------------------

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis that it works along, or takes for the channels, because no argument says which.

        Args:
            ndim: how many axes the input has, the batch's among them.

        Returns:
            `None` if the axis was given, or if the layer works along none.
        """
        return None if self.axis_given else -1

    def axis_advice(self, axis: int) -> str:
        """Say what to write so that it works along this axis."""
        return f"axis={axis}"

    @property
    def takes_channels_first(self) -> bool:
        """Whether it takes axis 1 of images and volumes for the channels, and has a say in that."""
        return False

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return what is known of the channels of the output, in a chain or a functional model.

        Args:
            given: what is known of those of the input.
        """
        return given if self.keeps_axes else None

    # --- as a torch module ------------------------------------------------------------------------------------

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.built and any(key.startswith(prefix) for key in state_dict):
            raise RuntimeError(
                f"{type(self).__name__} at {prefix.rstrip('.') or 'the top'!r} has no parameters yet. Build the model "
                "before loading: model.build(input_shape), an Input in front, or one call on data."
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def display_name(self) -> str:
        """Return the class, and the name if there is one, for messages."""
        return type(self).__name__ + ("" if self.name is None else f" {self.name!r}")

    def extra_repr(self) -> str:
        return "" if self.built else "unbuilt"


def _sizes(shape: Any) -> Any:
    """A shape, or a list of them, with -1 for sizes that vary."""
    if shape and isinstance(shape[0], (tuple, list)):
        return tuple(map(_sizes, shape))
    return torch.Size(-1 if size is None else size for size in shape)


def _plain(shape: Any) -> Any:
    """The same as tuples of integers."""
    if isinstance(shape, (tuple, list)):
        return tuple(map(_plain, shape))
    return shape if type(shape) is int else -1


def _build_first(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert isinstance(layer, Layer)
    shapes = [_shape(value) for value in (*args, *kwargs.values())]
    if not shapes or shapes[0] is None:
        first = next(iter((*args, *kwargs.values())), None)
        raise TypeError(f"{type(layer).__name__} takes a tensor, got {type(first).__name__}.")
    layer.ensure_built(*(shape for shape in shapes if shape is not None))


def _shape(value: Any) -> Any:
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return (-1, -1, *value.data.shape[1:])
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, (tuple, list)) and value and all(isinstance(one, Tensor) for one in value):
        return tuple(one.shape for one in value)
    return None


def is_built(module: nn.Module, parts: Iterable[nn.Module] | None = None) -> bool:
    """Whether every parameter of `module` exists: kerastorch's layers and torch's `Lazy*` alike.

    Args:
        module: any.
        parts: its modules, where they are at hand.
    """
    return not any(map(is_unbuilt, modules(module) if parts is None else parts))


def activation_name(activation: Any) -> str:
    """For `repr`."""
    return "" if activation is activations.linear else f", activation={getattr(activation, '__name__', activation)}"
