"""`layer.input_spec = InputSpec(...)`: what a layer of one's own expects is checked at its calls."""

import copy

import numpy as np
import pytest
import torch

import kerastorch.keras as keras
from kerastorch.keras import InputSpec, layers


class Own(layers.Layer):
    def __init__(self, spec=None, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = spec

    def call(self, x):
        return x


GOOD_AND_BAD = [
    (InputSpec(ndim=2), (3, 4), (3, 4, 1), "expects 2 axes for input 0"),
    (InputSpec(max_ndim=2), (3,), (3, 4, 1), "at most 2 axes"),
    (InputSpec(min_ndim=3), (3, 4, 1), (3, 4), "at least 3 axes"),
    (InputSpec(shape=(None, 4)), (3, 4), (3, 5), r"the shape \(None, 4\)"),
    (InputSpec(axes={-1: 4}), (7, 3, 4), (4, 3), "size 4 on axis -1"),
    (InputSpec(axes={1: 3, -1: None}), (7, 3, 4), (3, 4, 4), "size 3 on axis 1"),
    (InputSpec(shape=(None, 4, 1), allow_last_axis_squeeze=True), (3, 4), (3, 5), r"the shape \(None, 4, 1\)"),
    (InputSpec(shape=(None, 4), allow_last_axis_squeeze=True), (3, 4, 1), (3, 4, 2), "the shape"),
]


@pytest.mark.parametrize(("spec", "good", "bad", "sentence"), GOOD_AND_BAD, ids=lambda one: repr(one))
def test_inputs_of_another_shape_are_errors(spec, good, bad, sentence):
    layer = Own(spec, name="mine")
    for _ in range(2):
        assert layer(np.ones(good, "float32")).shape == good
        with pytest.raises(ValueError, match=f"mine.*{sentence}"):
            layer(np.ones(bad, "float32"))


@pytest.mark.parametrize(("spec", "good", "bad", "sentence"), GOOD_AND_BAD, ids=lambda one: repr(one))
def test_symbols_are_checked_as_well_but_for_sizes_that_vary(spec, good, bad, sentence):
    layer = Own(spec, name="mine")
    assert layer(keras.Input(good[1:])).shape == (None, *good[1:])
    if len(bad) > 1 and bad[0] != 4:
        with pytest.raises(ValueError, match=sentence):
            layer(keras.Input(bad[1:]))
    varying = Own(InputSpec(shape=(5, 3, None), axes={1: 3}))
    assert varying(keras.Input((None, 2))).shape == (None, None, 2)


def test_the_dtype_is_checked():
    layer = Own(InputSpec(dtype="int64"))
    assert layer(torch.ones(2, dtype=torch.int64)).dtype == torch.int64
    with pytest.raises(ValueError, match=r"expects the dtype int64 .* the dtype float32"):
        layer(torch.ones(2))


class Sum(layers.Layer):
    def call(self, inputs):
        values = inputs.values() if isinstance(inputs, dict) else inputs
        return sum(one for one in values if one is not None)


def test_a_list_has_a_spec_for_each_input():
    layer = Sum()
    layer.input_spec = [InputSpec(ndim=2), InputSpec(ndim=2, optional=True), None]
    x = torch.ones(2, 3)
    assert layer([x, x, x]).sum() == 18
    assert layer([x, None, x]).sum() == 12
    with pytest.raises(ValueError, match="expects 3 inputs, as its input_spec says, got 2"):
        layer([x, x])
    with pytest.raises(ValueError, match="2 axes for input 1"):
        layer([x, x[0], x])


def test_inputs_of_a_dict_are_found_by_the_names_of_the_specs():
    layer = Sum()
    layer.input_spec = [InputSpec(name="b", ndim=2), InputSpec(name="a", ndim=1)]
    assert layer({"a": torch.ones(3), "b": torch.ones(2, 3)}).sum() == 12
    with pytest.raises(ValueError, match="2 axes for input 0"):
        layer({"a": torch.ones(3), "b": torch.ones(3)})
    with pytest.raises(ValueError, match="'b' is not in"):
        layer({"a": torch.ones(3)})


def test_a_spec_may_be_set_by_build_and_taken_away():
    class Fixed(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 2), initializer="ones")
            self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

        def call(self, x):
            return x @ self.kernel

    layer = Fixed()
    layer(torch.ones(2, 3))
    with pytest.raises(ValueError, match="size 3 on axis -1"):
        layer(torch.ones(2, 4))
    with pytest.raises(ValueError, match="size 3 on axis -1"):
        copy.deepcopy(layer)(torch.ones(2, 4))
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    layer.input_spec = None
    with pytest.raises(RuntimeError):
        layer(torch.ones(2, 4))


def test_a_spec_keeps_its_arguments_and_checks_them():
    spec = InputSpec(dtype="float32", shape=(None, 3), axes={1: 3}, optional=True)
    assert InputSpec.from_config(spec.get_config()) == spec
    assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 3), ndim=2, axes={1: 3})"
    assert layers.InputSpec is InputSpec
    with pytest.raises(TypeError, match="axes must be a dict"):
        InputSpec(axes={"last": 3})
    with pytest.raises(ValueError, match="names the axis 2"):
        InputSpec(ndim=2, axes={2: 3})
