"""Layer, the base of all layers: a torch module that creates its parameters at the first call."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch import activations, constraints, regularizers
from kerastorch.constraints import Constraint
from kerastorch.core.call_mode import evaluates_by_default, follow_modes
from kerastorch.core.channel_tracking import Channels
from kerastorch.core.image_format import changed_formats
from kerastorch.core.module_tree import modules
from kerastorch.core.name_lookup import own_name
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.ownership import is_own
from kerastorch.core.serialization import Configurable, current_codec
from kerastorch.core.torch_class import TorchClass, join_torch_class
from kerastorch.core.torch_private import non_persistent_buffers
from kerastorch.core.train_mode import set_mode
from kerastorch.layers.added_weights import AddedWeight, initial_values, note_added, register_rest, take_added
from kerastorch.layers.building import build_from_call, marks_built, to_plain_shape, to_size
from kerastorch.layers.input_spec import InputSpecMixin
from kerastorch.layers.keras_layout import KerasLayoutMixin
from kerastorch.module.base_module import added_losses
from kerastorch.module.unregistered_modules import register_plain_lists
from kerastorch.regularizers import Regularizer, collect_penalties


class Layer(KerasLayoutMixin, InputSpecMixin, Configurable):
    """Base of all layers. Subclasses define `build(input_shape)`, for the parameters, and `forward` or `call`.

    A layer has no parameters until its first call, which creates them on the device and in the dtype that the layer was
    moved to; after that it is a plain torch module. `build` gets the shapes of as many inputs as it has parameters; for
    an input that is a list of tensors it gets a tuple of shapes, and for a dict a dict of them.

    Subclasses store each argument of `__init__` as an attribute of the same name, where `get_config` reads it.

    Args:
        name: Name of the layer, which `get_layer` finds, and which names its node in a functional model. Default none.
        trainable: Whether the weights are trained. Default `True`.
        activity_regularizer: Name or callable of a penalty on the output, which is divided by the batch size and added
            to the training loss. Default none.

    Attributes:
        built: Whether the parameters exist.
        declared_input: Shape of a row, without the batch axis, for a `Sequential` that begins with the layer; `None` if
            no shape was declared.
        built_on: Shapes of the inputs that the layer was built for, -1 for each size that varies; `None` before.
        supports_masking: Whether the mask of the input is also the mask of the output.
        takes_channels_last: Whether the layer takes the last axis as the channels and has no argument to change that.
        axis_given: `False` if the layer works along the last axis only because no axis was given.
        adds_keras_weights: Whether `add_weight` is given shapes in Keras' layout, `(*kernel, in, out)`, as in layers of
            your own that are based on `kerastorch.keras.Layer`.
        keeps_axes: Whether each axis of the output has the meaning of the same axis of the input.
        names_of_weights: In a layer of your own, the names that `add_weight` was given, by attribute, if it was.
        torch_class: Class of torch that a built layer is an instance of if it computes the same; `None` for none.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones")
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    keyword_advice = {
        "input_shape": "The first data build a layer, or an Input in front: Sequential([Input((3,)), ...]).",
        "input_dim": "The first data build a layer, or an Input in front: Sequential([Input((3,)), ...]).",
        "batch_input_shape": "The first data build a layer, or an Input in front: Sequential([Input((3,)), ...]).",
        "dtype": "Convert the model: model.to(torch.float64).",
        "weights": "Call set_weights([...]) on the built layer.",
    }
    weight_regularizers: dict[str, Regularizer]
    weight_constraints: dict[str, Constraint]
    declared_input: tuple[int | None, ...] | None = None
    built_on: tuple[Any, ...] | None = None
    supports_masking = False
    takes_channels_last = False
    _casts_inputs = True
    _is_building = False
    axis_given = True
    adds_keras_weights = False
    keeps_axes = False
    torch_class: TorchClass | None = None
    _placement: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = marks_built(vars(cls)["build"])  # type: ignore[method-assign]

    def __init__(self, *, name: str | None = None, trainable: bool = True, activity_regularizer: Any = None) -> None:
        super().__init__()
        if not isinstance(name, str | None):
            raise TypeError(f"name must be a string, got {name!r}.")
        if name is not None:
            self.name = name
        self.made_with_formats = changed_formats()
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.weight_regularizers = {}
        self.weight_constraints = {}
        self.trainable = trainable
        # an empty buffer follows .to(), .double() and .cuda(), so that its device and dtype are those of new parameters
        self.register_buffer("_placement", torch.empty(0), persistent=False)
        self._build_hook = self.register_forward_pre_hook(build_from_call, with_kwargs=True)

    # --- building ---------------------------------------------------------------------------------------------

    @marks_built
    def build(self, input_shape: Any) -> None:
        """Create the parameters for inputs of a shape.

        A call of it from outside builds the layer, as its first call does.

        Args:
            input_shape: Shape of the input, including the batch axis; -1 for each size that varies.
        """

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes that the layer was built for, from which `build_from_config` builds one; `None` before."""
        if self.built_on is None:
            return None
        return {"input_shape": self.built_on[0]} if len(self.built_on) == 1 else {"input_shapes": self.built_on}

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer for the shapes that `get_build_config` returned.

        Args:
            config: The config, or `{"input_shape": shape}`; sizes that vary are `None` or -1.
        """
        self.build(*(config["input_shapes"] if "input_shapes" in config else [config["input_shape"]]))

    def declare_input_shape(self, shape: Sequence[int | None]) -> None:
        """Let a `Sequential` that begins with this layer begin with an `Input` of a shape.

        Args:
            shape: The shape of a row, without the batch axis; `None` for each size that varies.
        """
        self.declared_input = tuple(shape)

    def check_shapes(self, *input_shapes: Any) -> None:
        """Raise an error or warn if the layer is not meant for inputs of these shapes.

        It is called once, after `build`.
        """

    def ensure_built(self, *input_shapes: Any) -> None:
        """Build the layer for inputs of these shapes, unless it is built.

        Args:
            *input_shapes: Shape of each input, or the shapes in a list or a dict of tensors; `None` or -1 for each
                size that varies.
        """
        if self.built:
            return
        # parameters that `trainable=False` has frozen so far are not among those that are never trained
        frozen = frozenset() if self.trainable else frozenset(self._parameters)
        parameters = inspect.signature(self.build).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
        before = modules(self)
        self._is_building = True
        try:
            self.build(*map(to_size, input_shapes if takes_all else input_shapes[: len(parameters)]))
        finally:
            self._is_building = False
        register_rest(self)
        if self._called_as_keras:
            register_plain_lists(self)
        self._set_modes([part for part in modules(self) if part not in before])
        if current_codec() is None:  # a layer that is made from a file or a config was checked when it was first built
            self.check_shapes(*map(to_size, input_shapes))
        self.built, self.built_on = True, tuple(map(to_plain_shape, input_shapes))
        self.weights_never_trained = frozenset(
            name
            for name, weight in self._parameters.items()
            if weight is not None and not weight.requires_grad and name not in frozen
        )
        if not self.trainable:
            self.trainable = False  # freezes the new parameters, too
        self._build_hook.remove()
        del self._buffers["_placement"], self._build_hook
        non_persistent_buffers(self).discard("_placement")
        join_torch_class(self)

    def _set_modes(self, parts: Sequence[nn.Module]) -> None:
        """Put layers that `build` has made into the mode of this one, in which they run for the first time."""
        if not evaluates_by_default(self):
            follow_modes(parts)
            for part in parts:
                set_mode(part, self.training)

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: torch.dtype | str | None = None,
        *,
        regularizer: Any = None,
        constraint: Any = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> nn.Parameter:
        """Return a new parameter, which the caller keeps in an attribute, or in a list or dict that is one.

        The layout is that of torch, `(out, in, ...)`.

        Args:
            shape: Size of the parameter on each axis. Default `()`, one number.
            initializer: Name or callable that fills the parameter. Default Glorot uniform, or zeros for integers.
            dtype: A dtype of torch or its name; integers are never trained. Default: that of the layer.
            regularizer: Name or callable of a penalty on the parameter. Default none.
            constraint: Name or callable that is applied to the parameter after each step. Default none.
            trainable: Whether the parameter is trained; `False` holds for every value of the layer's `trainable`.
                Default `True`.
            name: Name of the parameter if it is kept in a list or dict. One that is kept in an attribute has the name
                of the attribute. Default `weight`, numbered.

        Raises:
            ValueError: A size or the dtype is unknown.
        """
        if any(size < 0 for size in shape):
            raise ValueError(
                f"{type(self).__name__} needs a size for its parameters that the input leaves open: {tuple(shape)}. "
                "Give Input a number there instead of None."
            )
        values = initial_values(tuple(shape), initializer, dtype, self._placement, self.adds_keras_weights)
        weight = nn.Parameter(values, requires_grad=trainable and values.is_floating_point())
        penalty, constrained = regularizers.get(regularizer), constraints.get(constraint)
        note_added(self, AddedWeight(weakref.ref(weight), name, penalty, constrained))
        return weight

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register a parameter, as torch does; one from `add_weight` has its regularizer and constraint."""
        super().register_parameter(name, param)
        added = None if param is None else take_added(self, param)
        if added is not None and added.name is not None and not is_own(self):
            vars(self).setdefault("names_of_weights", {})[name] = added.name
        if added is not None and added.regularizer is not None:
            self.weight_regularizers[name] = added.regularizer
        if added is not None and added.constraint is not None:
            self.weight_constraints[name] = added.constraint

    @overridable_property
    def losses(self) -> list[Tensor]:
        """The terms that the layer adds to the loss, as scalars: what `add_loss` was given, and the penalties.

        What was added in the last call in which a layer has added anything comes first, then the penalties of trainable
        weights.
        Both include those of layers within the layer. Penalties of outputs, `activity_regularizer`, are there in a step
        of `fit` or `evaluate` only.

        Warns:
            UserWarning: A layer has an `activity_regularizer`, and no step is running.
        """
        return [*added_losses(self), *(one.compute() for one in collect_penalties(self))]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses define this method, or `call` with the same arguments.

        If `call` has a parameter `training`, it is whether the layer is in training mode, unless the caller says it.

        Raises:
            TypeError: The subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} must define forward(self, x), or call(self, x).")

    # --- masks ------------------------------------------------------------------------------------------------

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the output: `True` for each time step that counts; `None` if all count.

        Args:
            x: The input, or the list of inputs.
            mask: The mask of the input, or the list of masks; `None` for a mask if all steps count.
        """
        return mask if self.supports_masking else None

    # --- channels ---------------------------------------------------------------------------------------------

    def default_channel_axis(self, ndim: int) -> int | None:
        """Return the axis that the layer works along, or takes as the channels, by default.

        Args:
            ndim: Number of axes of the input, including the batch axis.

        Returns:
            The axis; `None` if it was given as an argument, or if the layer does not work along an axis.
        """
        return None if self.axis_given else -1

    def axis_advice(self, axis: int) -> str:
        """Return the argument that makes the layer work along `axis`, as `"axis=1"`, for messages."""
        return f"axis={axis}"

    @property
    def takes_channels_first(self) -> bool:
        """Whether axis 1 of images or volumes has the channels and an argument can change that."""
        return False

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return the channel axis of the output, in a chain or a functional model; `None` if it is unknown.

        Args:
            given: The channel axis of the input; `None` if it is unknown.
        """
        return given if self.keeps_axes else None

    # --- as a torch module ------------------------------------------------------------------------------------

    def torch_attributes(self) -> dict[str, Any] | None:
        """Return the attributes of `torch_class` that the layer has under no other name.

        Returns:
            The attributes by name; `None` if the layer is not an instance of `torch_class`, because it computes more
            with its options.
        """
        return None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        join_torch_class(self)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.built and any(key.startswith(prefix) for key in state_dict):
            raise RuntimeError(
                f"{type(self).__name__} at {prefix.rstrip('.') or 'the top'!r} has no parameters yet. Build the model "
                "before loading: model.build(input_shape), an Input in front, or one call on data."
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def display_name(self) -> str:
        """Return the name of the class, and the name of the layer if it has one, for messages."""
        return type(self).__name__ + ("" if own_name(self) is None else f" {own_name(self)!r}")

    def extra_repr(self) -> str:
        return "" if self.built else "unbuilt"


def activation_name(activation: Any) -> str:
    """Return `", activation=<name>"` for the `repr` of a layer; an empty string for a linear activation."""
    return "" if activation is activations.linear else f", activation={getattr(activation, '__name__', activation)}"
