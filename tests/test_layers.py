"""Layers: built from the first shape, plain torch modules ever after."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kerastorch import activations, initializers, regularizers
from kerastorch.core.module_tree import is_built
from kerastorch.layers import (
    ELU,
    Activation,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    LeakyReLU,
    Maxout,
    PReLU,
    ReLU,
    Softmax,
)


def _x(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


class Scale(Layer):
    """A layer as a user writes one."""

    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], "random_normal")

    def forward(self, x):
        return x * self.factor


EACH = {
    "dense": (lambda: Dense(3), (5, 4)),
    "dense-relu": (lambda: Dense(3, "relu"), (5, 4)),
    "dense-no-bias": (lambda: Dense(3, use_bias=False), (5, 4)),
    "dense-sequence": (lambda: Dense(3, "tanh"), (5, 6, 4)),
    "dense-regularized": (lambda: Dense(3, kernel_regularizer="l2", activity_regularizer="l1"), (5, 4)),
    "maxout": (lambda: Maxout(3, 2), (5, 4)),
    "flatten": (Flatten, (5, 4, 3, 2)),
    "activation": (lambda: Activation("gelu"), (5, 4)),
    "relu": (lambda: ReLU(2.0, 0.1, 0.5), (5, 4)),
    "leaky": (LeakyReLU, (5, 4)),
    "prelu": (lambda: PReLU("ones"), (5, 4)),
    "elu": (ELU, (5, 4)),
    "softmax": (Softmax, (5, 4)),
    "own": (Scale, (5, 4)),
}
each_layer = pytest.mark.parametrize(("make", "shape"), EACH.values(), ids=list(EACH))
learning = pytest.mark.parametrize(
    ("make", "shape"),
    [EACH[name] for name in ("dense", "dense-no-bias", "maxout", "prelu", "own")],
    ids=["dense", "dense-no-bias", "maxout", "prelu", "own"],
)


def _hooks(module):
    names = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    return [hook for name in names for hook in getattr(module, name).values()]


# Dense and Maxout are formulas


def _plain_dense(activation, bias):
    def forward(layer, x):
        y = torch.einsum("...i,oi->...o", x, layer.weight)
        return activation(y + layer.bias if bias else y)

    return forward


def _plain_maxout(units, pieces, bias):
    def forward(layer, x):
        y = torch.einsum("...i,oi->...o", x, layer.weight)
        y = y + layer.bias if bias else y
        return torch.stack([y[..., unit * pieces : (unit + 1) * pieces].max(-1).values for unit in range(units)], -1)

    return forward


@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 3, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (Dense(3), _plain_dense(lambda y: y, True)),
        (Dense(3, bias_initializer="random_normal"), _plain_dense(lambda y: y, True)),
        (Dense(3, use_bias=False), _plain_dense(lambda y: y, False)),
        (Dense(3, "relu"), _plain_dense(lambda y: y.clamp(min=0), True)),
        (Dense(3, torch.sin), _plain_dense(torch.sin, True)),
        (Dense(3, nn.Tanh()), _plain_dense(torch.tanh, True)),
        (Dense(3, nn.Sigmoid), _plain_dense(torch.sigmoid, True)),
        (Maxout(3), _plain_maxout(3, 2, True)),
        (Maxout(2, 5, bias_initializer="random_normal"), _plain_maxout(2, 5, True)),
        (Maxout(1, 3, use_bias=False), _plain_maxout(1, 3, False)),
    ],
)
def test_dense_and_maxout_are_their_formula_in_value_and_gradient(layer, formula, shape):
    layer = copy.deepcopy(layer)
    x = _x(*shape).requires_grad_()
    y = layer(x)
    wanted = formula(layer, x)
    torch.testing.assert_close(y, wanted)
    inputs = [x, *layer.parameters()]
    direction = torch.randn_like(y)
    for mine, plain in zip(
        torch.autograd.grad(y, inputs, direction), torch.autograd.grad(wanted, inputs, direction), strict=True
    ):
        torch.testing.assert_close(mine, plain)


def test_maxout_learns_the_absolute_value_of_two_pieces():
    layer = Maxout(1, 2, kernel_initializer=lambda w: w.copy_(torch.tensor([[1.0], [-1.0]])))
    x = torch.tensor([[-2.0], [0.5], [3.0]])
    assert torch.equal(layer(x), x.abs())


def test_the_weights_of_dense_are_those_of_a_torch_linear():
    layer = Dense(3)
    x = _x(5, 4)
    layer(x)
    linear = nn.Linear(4, 3)
    linear.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), linear(x))


def test_weights_start_as_their_initializers_say():
    torch.manual_seed(3)
    layer = Dense(50, kernel_initializer="he_normal", bias_initializer=initializers.Constant(2.0))
    layer(_x(1, 30))
    torch.manual_seed(3)
    assert torch.equal(layer.weight, initializers.HeNormal()(torch.empty(50, 30)))
    assert torch.equal(layer.bias, torch.full((50,), 2.0))


def test_dense_starts_as_keras_does_glorot_uniform_and_zeros():
    torch.manual_seed(3)
    layer = Dense(50)
    layer(_x(1, 30))
    torch.manual_seed(3)
    torch.testing.assert_close(layer.weight.data, nn.init.xavier_uniform_(torch.empty(50, 30)))
    assert (layer.bias == 0).all()


def test_an_activation_that_learns_is_part_of_the_layer():
    layer = Dense(3, nn.PReLU())
    layer(_x(5, 4)).sum().backward()
    assert set(dict(layer.named_parameters())) == {"weight", "bias", "activation.weight"}
    assert layer.activation.weight.grad is not None


def test_the_penalties_of_a_layer_are_kept_under_the_names_of_its_weights():
    layer = Maxout(2, kernel_regularizer=regularizers.L2(0.5), bias_regularizer="l1", activity_regularizer="l2")
    layer(_x(5, 4))
    assert {name: type(r) for name, r in layer.weight_regularizers.items()} == {
        "weight": regularizers.L2,
        "bias": regularizers.L1,
    }
    assert isinstance(layer.activity_regularizer, regularizers.L2)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3", True, None])
@pytest.mark.parametrize("kind", [Dense, Maxout])
def test_units_are_a_whole_number_from_one(kind, wrong):
    with pytest.raises(ValueError, match="units must be an integer >= 1, got"):
        kind(wrong)


@pytest.mark.parametrize("wrong", [0, 1, 2.0])
def test_pieces_are_a_whole_number_from_two(wrong):
    with pytest.raises(ValueError, match="pieces must be an integer >= 2, got"):
        Maxout(3, wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "rellu"}, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ({"kernel_initializer": "glorot"}, "Unknown initializer 'glorot'"),
        ({"kernel_regularizer": "l3"}, "Unknown regularizer 'l3'"),
        ({"activity_regularizer": "l3"}, "Unknown regularizer 'l3'"),
    ],
)
def test_a_misspelt_argument_is_caught_when_the_layer_is_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        Dense(3, **arguments)


# building


@learning
def test_the_parameters_are_made_by_the_first_call(make, shape):
    layer = make()
    assert not list(layer.parameters())
    assert not layer.built
    assert not is_built(layer)
    layer(_x(*shape))
    assert layer.built
    assert is_built(layer)
    before = [weight.clone() for weight in layer.parameters()]
    layer(_x(*shape))
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


@learning
def test_building_by_shape_is_as_building_by_data(make, shape):
    torch.manual_seed(2)
    one = make()
    one(_x(*shape))
    torch.manual_seed(2)
    other = make()
    other.ensure_built((None, *shape[1:]))
    other.ensure_built((None, 99))
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in other.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@each_layer
def test_nothing_of_the_building_is_left_after_it(make, shape):
    layer = make()
    layer(_x(*shape))
    assert _hooks(layer) == []
    assert not list(layer.buffers())
    assert not layer._non_persistent_buffers_set
    assert layer.state_dict().keys() == dict(layer.named_parameters()).keys()


@learning
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("move", "dtype"),
    [
        (lambda m: m.double(), torch.float64),
        (lambda m: m.to(torch.bfloat16), torch.bfloat16),
        (lambda m: nn.Sequential(m).double()[0], torch.float64),
    ],
    ids=["double", "bfloat16", "as-a-child"],
)
def test_a_dtype_asked_for_before_or_after_building_is_kept(make, shape, when, move, dtype):
    layer = make()
    if when == "after":
        layer(_x(*shape))
    layer = move(layer)
    assert layer(_x(*shape, dtype=dtype)).dtype == dtype
    assert {weight.dtype for weight in layer.parameters()} == {dtype}


def test_a_device_asked_for_before_building_is_kept():
    layer = Dense(3).to("meta")
    layer(torch.empty(5, 4, device="meta"))
    assert {weight.device.type for weight in layer.parameters()} == {"meta"}


def test_the_default_dtype_of_torch_is_that_of_the_parameters():
    torch.set_default_dtype(torch.float64)
    try:
        layer = Dense(3)
    finally:
        torch.set_default_dtype(torch.float32)
    layer(_x(5, 4, dtype=torch.float64))
    assert layer.weight.dtype == torch.float64


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("built", [False, True], ids=["unbuilt", "built"])
@each_layer
def test_a_copy_is_the_same_layer_and_shares_nothing(make, shape, built, clone):
    layer, x = make(), _x(*shape)
    if built:
        layer(x)
    twin = clone(layer)
    assert twin.built == built
    torch.manual_seed(4)
    y = twin(x)
    assert layer.built == built
    torch.manual_seed(4)
    torch.testing.assert_close(layer(x), y)
    assert _hooks(twin) == _hooks(layer) == []
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()
    assert len(twin.weight_regularizers) == len(layer.weight_regularizers)


@pytest.mark.parametrize(
    ("make", "shape", "keys"),
    [
        (lambda: Dense(3), (5, 4), {"weight": (3, 4), "bias": (3,)}),
        (lambda: Dense(3, use_bias=False), (5, 4), {"weight": (3, 4)}),
        (lambda: Maxout(3, 2), (5, 4), {"weight": (6, 4), "bias": (6,)}),
        (lambda: PReLU(shared_axes=[2]), (5, 4, 3), {"weight": (4, 1)}),
        (Flatten, (5, 4), {}),
        (lambda: Dropout(0.5), (5, 4), {}),
        (lambda: Activation("relu"), (5, 4), {}),
        (Scale, (5, 4), {"factor": (4,)}),
    ],
)
def test_the_state_dict_holds_the_parameters_under_torchs_names(make, shape, keys):
    layer = make()
    assert layer.state_dict() == {}
    layer(_x(*shape))
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == keys


def test_a_state_dict_goes_into_a_built_layer_and_into_torchs_own():
    source, target = nn.Sequential(Dense(3), Flatten(), Dense(2)), nn.Sequential(Dense(3), Flatten(), Dense(2))
    x = _x(5, 4)
    source(x), target(x)
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(x), target(x))
    plain = nn.Sequential(nn.Linear(4, 3), nn.Flatten(), nn.Linear(3, 2))
    plain.load_state_dict(source.state_dict())
    assert torch.equal(source(x), plain(x))


def test_loading_into_an_unbuilt_layer_says_to_build_it_first():
    source = nn.Sequential(Flatten(), Dense(3))
    source(_x(5, 4))
    with pytest.raises(RuntimeError, match=r"Dense at '1' has no parameters yet\. Build the model before loading"):
        nn.Sequential(Flatten(), Dense(3)).load_state_dict(source.state_dict())
    with pytest.raises(RuntimeError, match="Dense at 'the top' has no parameters yet"):
        Dense(3).load_state_dict(source[1].state_dict())


def test_loading_the_wrong_shape_is_torchs_error():
    source, target = Dense(3), Dense(3)
    source(_x(5, 4)), target(_x(5, 6))
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        target.load_state_dict(source.state_dict())


@pytest.mark.parametrize("wrong", [3, "x", None, np.array(["x"]), []])
def test_what_is_no_tensor_is_refused_by_an_unbuilt_layer(wrong):
    with pytest.raises(TypeError, match="Dense takes a tensor, got"):
        Dense(3)(wrong)


def test_an_input_may_be_given_by_its_name():
    x = _x(5, 4)
    layer = Dense(3)
    y = layer(x=x)
    assert torch.equal(y, layer(x))


def test_a_build_that_fails_can_be_tried_again():
    class Picky(Dense):
        def build(self, input_shape):
            if input_shape[-1] != 4:
                raise ValueError("four features, please")
            super().build(input_shape)

    layer = Picky(3)
    with pytest.raises(ValueError, match="four features"):
        layer(_x(5, 3))
    assert not layer.built
    assert layer(_x(5, 4)).shape == (5, 3)


def test_is_built_knows_torchs_lazy_modules_too():
    net = nn.Sequential(nn.LazyLinear(3))
    assert not is_built(net)
    net(_x(5, 4))
    assert is_built(net)


def test_a_weight_that_does_not_learn_is_kept_but_gets_no_gradient():
    class Fixed(Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(input_shape[-1:], "ones", trainable=False)

        def forward(self, x):
            return x * self.factor

    layer = Fixed()
    layer(_x(5, 4))
    assert not layer.factor.requires_grad
    assert "factor" in layer.state_dict()


def test_a_regularizer_of_a_weight_needs_no_name():
    class Nameless(Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(input_shape[-1:], "ones", regularizer="l2")

    layer = Nameless()
    layer.ensure_built((2, 3))
    assert set(layer.weight_regularizers) == {"factor"}


# Flatten and Activation


@pytest.mark.parametrize(
    ("shape", "flat"),
    [((5, 4), (5, 4)), ((5, 4, 3), (5, 12)), ((5, 4, 3, 2), (5, 24)), ((5,), (5, 1)), ((0, 4), (0, 4))],
)
def test_flatten_keeps_the_batch_and_joins_the_rest(shape, flat):
    x = _x(*shape)
    y = Flatten()(x)
    assert y.shape == flat
    assert torch.equal(y, x.reshape(flat))


@pytest.mark.parametrize(
    ("given", "plain"), [("relu", torch.relu), (torch.tanh, torch.tanh), (nn.GELU, F.gelu), (None, lambda x: x)]
)
def test_activation_is_the_function(given, plain):
    x = _x(5, 4)
    assert torch.equal(Activation(given)(x), plain(x))


# activations with arguments


@pytest.mark.parametrize(
    ("layer", "plain"),
    [
        (ReLU(), F.relu),
        (ReLU(6.0), F.relu6),
        (ReLU(negative_slope=0.2), lambda x: F.leaky_relu(x, 0.2)),
        (ReLU(threshold=0.5), lambda x: x * (x >= 0.5)),
        (
            ReLU(1.0, 0.1, 0.5),
            lambda x: torch.where(x >= 1, torch.ones_like(x), torch.where(x >= 0.5, x, 0.1 * (x - 0.5))),
        ),
        (LeakyReLU(), lambda x: F.leaky_relu(x, 0.3)),
        (LeakyReLU(0.1), lambda x: F.leaky_relu(x, 0.1)),
        (PReLU(), F.relu),
        (PReLU("ones"), lambda x: x),
        (PReLU(initializers.Constant(0.25)), lambda x: F.leaky_relu(x, 0.25)),
        (ELU(), F.elu),
        (ELU(0.5), lambda x: F.elu(x, 0.5)),
        (Softmax(), lambda x: x.softmax(-1)),
        (Softmax(axis=1), lambda x: x.softmax(1)),
    ],
)
def test_an_activation_layer_is_the_function_of_torch(layer, plain):
    mine, theirs = (_x(5, 4, 3).requires_grad_() for _ in range(2))
    y, wanted = copy.deepcopy(layer)(mine), plain(theirs)
    torch.testing.assert_close(y, wanted)
    y.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize(
    ("shared", "shape"), [(None, (4, 3, 2)), ([1], (1, 3, 2)), ([2, 3], (4, 1, 1)), ((1, 2, 3), (1, 1, 1))]
)
def test_prelu_has_one_slope_for_each_feature_unless_axes_share_it(shared, shape):
    layer = PReLU("random_uniform", shared_axes=shared)
    x = _x(5, 4, 3, 2)
    y = layer(x)
    assert layer.weight.shape == shape
    torch.testing.assert_close(y, x.clamp(min=0) + layer.weight * x.clamp(max=0))


def test_prelu_with_shared_places_is_that_of_torch():
    layer, plain = PReLU(initializers.Constant(0.25), shared_axes=[2, 3]), nn.PReLU(4)
    x = _x(5, 4, 3, 2)
    torch.testing.assert_close(layer(x), plain(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReLU(max_value=-1.0), "max_value must be a finite number >= 0, got -1"),
        (lambda: ReLU(negative_slope=-0.1), "negative_slope must be"),
        (lambda: ReLU(threshold=-0.1), "threshold must be"),
        (lambda: LeakyReLU(-0.1), "negative_slope must be"),
        (lambda: LeakyReLU("0.1"), "negative_slope must be"),
        (lambda: ELU(float("nan")), "alpha must be a finite number, got nan"),
    ],
)
def test_an_argument_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Dropout


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
def test_dropout_of_few_elements_is_that_of_torch_under_the_same_seed(rate):
    x = _x(50, 40)
    torch.manual_seed(5)
    y = Dropout(rate)(x)
    torch.manual_seed(5)
    assert torch.equal(y, F.dropout(x, rate))


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 3}, {"noise_shape": (None, 1)}, {"noise_shape": (1, 40), "seed": 3}]
)
def test_dropout_in_evaluation_is_the_input_itself(arguments):
    x = _x(50, 40)
    assert Dropout(0.5, **arguments).eval()(x) is x


@pytest.mark.parametrize("arguments", [{}, {"seed": 3}, {"noise_shape": (None, None)}])
@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_dropout_drops_its_share_and_scales_the_rest(rate, arguments):
    y = Dropout(rate, **arguments)(torch.ones(200, 200))
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 40000) ** 0.5)
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - rate)))


@pytest.mark.parametrize("arguments", [{"seed": 3}, {"noise_shape": (None, 1)}])
def test_a_rate_of_one_drops_all_and_gives_no_nan(arguments):
    x = _x(5, 4).requires_grad_()
    y = Dropout(1.0, **arguments)(x)
    y.sum().backward()
    assert (y == 0).all()
    assert (x.grad == 0).all()


@pytest.mark.parametrize("arguments", [{}, {"seed": 3}, {"noise_shape": (None, 1)}])
def test_the_gradient_of_dropout_is_its_mask(arguments):
    x = _x(50, 4).requires_grad_()
    y = Dropout(0.5, **arguments)(x)
    y.sum().backward()
    torch.testing.assert_close(y, x * x.grad)
    assert set(x.grad.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(("noise_shape", "axis"), [((None, 1, None), 1), ((50, 1, 20), 1), ((1, None, None), 0)])
def test_an_axis_of_one_in_the_noise_shape_is_dropped_as_a_whole(noise_shape, axis):
    y = Dropout(0.5, noise_shape)(torch.ones(50, 10, 20))
    first = y.narrow(axis, 0, 1)
    assert torch.equal(y, first.expand_as(y))
    assert 0.3 < (first == 0).float().mean() < 0.7


def test_a_noise_shape_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"noise_shape \(None, 1\) has 2 axes, the input 3"):
        Dropout(0.5, (None, 1))(torch.ones(5, 4, 3))


def test_a_seed_makes_dropout_repeatable_and_leaves_torchs_generator_alone():
    x = torch.ones(20, 20)
    before = torch.get_rng_state()
    first, again, other = Dropout(0.5, seed=3), Dropout(0.5, seed=3), Dropout(0.5, seed=4)
    one, two = first(x), first(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one, two)
    assert torch.equal(again(x), one)
    assert torch.equal(again(x), two)
    assert not torch.equal(other(x), one)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("used", [False, True])
def test_a_copy_of_seeded_dropout_goes_on_as_the_original(clone, used):
    x, layer = torch.ones(20, 20), Dropout(0.5, seed=3)
    if used:
        layer(x)
    twin = clone(layer)
    assert torch.equal(twin(x), layer(x))


@pytest.mark.parametrize("wrong", [-0.1, 1.5, "0.5", float("nan"), None, True])
def test_a_rate_that_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="rate must be a finite number >= 0 and <= 1, got"):
        Dropout(wrong)


# Input


@pytest.mark.parametrize(
    ("given", "shape", "dtype"),
    [
        ({"shape": (4,)}, (1, 4), torch.float32),
        ({"shape": [3, 8, 8]}, (1, 3, 8, 8), torch.float32),
        ({"shape": (None, 4)}, (1, 1, 4), torch.float32),
        ({"shape": ()}, (1,), torch.float32),
        ({"shape": (4,), "dtype": "float"}, (1, 4), torch.float32),
        ({"shape": (4,), "dtype": "int64"}, (1, 4), torch.int64),
        ({"shape": (4,), "dtype": torch.float64}, (1, 4), torch.float64),
    ],
)
def test_an_input_shows_one_sample_of_zeros(given, shape, dtype):
    example = Input(**given).example()
    assert (tuple(example.shape), example.dtype) == (shape, dtype)
    assert (example == 0).all()


@pytest.mark.parametrize("wrong", [4, (0,), (-1, 4), (4.0,), ("4",), "4"])
def test_a_shape_that_is_no_tuple_of_sizes_is_refused(wrong):
    with pytest.raises(ValueError, match=r"shape must be a tuple of sizes >= 1 .*without the batch axis, got"):
        Input(wrong)


@pytest.mark.parametrize("wrong", ["float31", "nn", 3, int])
def test_a_dtype_that_torch_does_not_have_is_refused(wrong):
    with pytest.raises(ValueError, match="dtype must be a torch dtype or its name, as 'float32', got"):
        Input((4,), wrong)


# a built layer is a plain torch module


@each_layer
def test_a_built_layer_can_be_exported(make, shape):
    layer, x = make().eval(), _x(*shape)
    y = layer(x)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), y)


@pytest.mark.parametrize("name", ["dense-relu", "maxout", "flatten", "activation", "prelu"])
def test_a_built_layer_compiles_into_one_graph_with_its_gradient(name):
    make, shape = EACH[name]
    layer = make()
    mine, plain = (_x(*shape).requires_grad_() for _ in range(2))
    wanted = layer(plain)
    torch._dynamo.reset()
    y = torch.compile(layer, fullgraph=True, backend="aot_eager")(mine)
    torch.testing.assert_close(y, wanted)
    y.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(mine.grad, plain.grad)


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (Dense(3, "relu"), "Dense(3, activation=relu, unbuilt)", "Dense(4 -> 3, activation=relu)"),
        (Dense(3), "Dense(3, unbuilt)", "Dense(4 -> 3)"),
        (Activation("relu"), "Activation(relu)", "Activation(relu)"),
        (Dropout(0.25), "Dropout(rate=0.25)", "Dropout(rate=0.25)"),
        (LeakyReLU(0.1), "LeakyReLU(negative_slope=0.1)", "LeakyReLU(negative_slope=0.1)"),
        (Softmax(1), "Softmax(axis=1)", "Softmax(axis=1)"),
    ],
)
def test_the_repr_says_what_the_layer_is(layer, before, after):
    layer = copy.deepcopy(layer)
    assert repr(layer) == before
    layer(_x(5, 4))
    assert repr(layer) == after


def test_the_maxout_layer_is_dense_and_the_activation_maxout():
    layer = Maxout(3, 4)
    x = _x(5, 4)
    y = layer(x)
    assert torch.equal(y, activations.maxout(F.linear(x, layer.weight, layer.bias), 4))


def test_the_config_of_a_layer_that_hands_kwargs_on_has_what_they_may_be():
    class Scaled(Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

    config = Scaled(3, name="mine", trainable=False).get_config()
    assert config == {"factor": 3, "name": "mine", "trainable": False, "activity_regularizer": None}
    again = Scaled.from_config(config)
    assert (again.factor, again.name, again.trainable) == (3, "mine", False)
