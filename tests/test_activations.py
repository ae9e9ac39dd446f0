"""Activations: each is its formula, in value and in gradient, and found under every form of its name."""

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats
from torch import nn

from kerastorch import activations


def _softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _projected(row):
    # the nearest point of the simplex is max(row - tau, 0) for the tau at which it sums to one
    tau = optimize.brentq(lambda t: np.maximum(row - t, 0).sum() - 1, row.min() - 2, row.max(), xtol=1e-14)
    return np.maximum(row - tau, 0)


def _glu(x):
    a, b = np.split(x, 2, -1)
    return a / (1 + np.exp(-b))


def _selu(x):
    # the constants that make mean 0 and variance 1 a fixed point (Klambauer et al. 2017, eq. 14)
    alpha = -np.sqrt(2 / np.pi) / (special.erfc(1 / np.sqrt(2)) * np.exp(0.5) - 1)
    scale = (1 - special.erfc(1 / np.sqrt(2)) * np.sqrt(np.e)) * np.sqrt(2 * np.pi)
    scale /= np.sqrt(
        2 * special.erfc(np.sqrt(2)) * np.e**2
        + np.pi * special.erfc(1 / np.sqrt(2)) ** 2 * np.e
        - 2 * (2 + np.pi) * special.erfc(1 / np.sqrt(2)) * np.sqrt(np.e)
        + np.pi
        + 2
    )
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


FORMULAS = {
    "linear": lambda x: x,
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "celu": lambda x: np.maximum(x, 0) + np.minimum(np.expm1(x), 0),
    "selu": _selu,
    "gelu": lambda x: x * stats.norm.cdf(x),
    "silu": lambda x: x * special.expit(x),
    "swish": lambda x: x * special.expit(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "sigmoid": special.expit,
    "log_sigmoid": special.log_expit,
    "logsigmoid": special.log_expit,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "exponential": np.exp,
    "exp": np.exp,
    "softmax": _softmax,
    "log_softmax": lambda x: x - special.logsumexp(x, -1, keepdims=True),
    "sparsemax": lambda x: np.apply_along_axis(_projected, -1, x),
    "glu": _glu,
    "maxout": lambda x: np.maximum(x[..., ::2], x[..., 1::2]),
}

WITH_ARGUMENTS = [
    ("relu", {"negative_slope": 0.1}, lambda x: np.where(x > 0, x, 0.1 * x)),
    ("relu", {"max_value": 2.0}, lambda x: np.clip(x, 0, 2)),
    ("relu", {"threshold": 1.0}, lambda x: np.where(x >= 1, x, 0)),
    (
        "relu",
        {"negative_slope": 0.1, "max_value": 2.5, "threshold": 1.0},
        lambda x: np.where(x >= 2.5, 2.5, np.where(x >= 1, x, 0.1 * (x - 1))),
    ),
    ("leaky_relu", {"negative_slope": 0.01}, lambda x: np.where(x > 0, x, 0.01 * x)),
    ("elu", {"alpha": 0.3}, lambda x: np.where(x > 0, x, 0.3 * np.expm1(x))),
    ("celu", {"alpha": 0.3}, lambda x: np.maximum(x, 0) + np.minimum(0.3 * np.expm1(x / 0.3), 0)),
    (
        "gelu",
        {"approximate": True},
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    ("soft_shrink", {"threshold": 1.5}, lambda x: np.sign(x) * np.maximum(np.abs(x) - 1.5, 0)),
    ("hard_shrink", {"threshold": 1.5}, lambda x: np.where(np.abs(x) > 1.5, x, 0)),
    ("threshold", {"threshold": 0.7, "default_value": -3.0}, lambda x: np.where(x > 0.7, x, -3.0)),
    ("squareplus", {"b": 1.0}, lambda x: (x + np.sqrt(x**2 + 1)) / 2),
    ("softmax", {"axis": 1}, lambda x: _softmax(x, 1)),
    ("log_softmax", {"axis": 0}, lambda x: x - special.logsumexp(x, 0, keepdims=True)),
    ("sparsemax", {"axis": 1}, lambda x: np.apply_along_axis(_projected, 1, x)),
    ("sparsemax", {"axis": 0}, lambda x: np.apply_along_axis(_projected, 0, x)),
    ("glu", {"axis": 0}, lambda x: x[:1] / (1 + np.exp(-x[1:]))),
    ("maxout", {"pieces": 3}, lambda x: np.stack([x[..., :3].max(-1), x[..., 3:].max(-1)], -1)),
    ("maxout", {"pieces": 4, "axis": 1}, lambda x: x.max(1, keepdims=True)),
    ("maxout", {"pieces": 2, "axis": -2}, lambda x: np.stack([x[:, :2].max(1), x[:, 2:].max(1)], 1)),
]

ROWS = [(activations.get(name), {}, formula) for name, formula in FORMULAS.items()]
ROWS += [(getattr(activations, name), arguments, formula) for name, arguments, formula in WITH_ARGUMENTS]
IDS = [*FORMULAS, *(f"{name}-{'-'.join(arguments)}" for name, arguments, _ in WITH_ARGUMENTS)]


def _x():
    return np.random.default_rng(1).normal(0, 2, size=(2, 4, 6))


def test_every_name_has_a_row_in_these_tests():
    assert set(activations._NAMES) == set(FORMULAS)


@pytest.mark.parametrize(("function", "arguments", "formula"), ROWS, ids=IDS)
def test_an_activation_is_its_formula(function, arguments, formula):
    x = _x()
    np.testing.assert_allclose(function(torch.tensor(x), **arguments).numpy(), formula(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, np.float32], ids=["float64", "list", "float32"])
@pytest.mark.parametrize(("function", "arguments", "formula"), ROWS, ids=IDS)
def test_an_activation_of_an_array_or_a_list_is_a_tensor_of_float32(function, arguments, formula, form):
    x = _x()
    found = function(form(x), **arguments)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, formula(x), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"glu", "maxout"}))
def test_integers_and_single_numbers_become_floats(name):
    whole = np.array([[-2, 1, 3]])
    np.testing.assert_allclose(activations.get(name)(whole.tolist()), FORMULAS[name](whole), rtol=1e-4, atol=1e-6)
    if activations.get(name) not in activations.ALONG_LAST_AXIS:
        found = activations.get(name)(2)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found, FORMULAS[name](np.array(2.0)), rtol=1e-4)


def test_what_is_no_array_of_numbers_is_refused():
    with pytest.raises(TypeError, match="x has dtype <U1; encode it as numbers first"):
        activations.relu(["a"])


@pytest.mark.parametrize(("function", "arguments", "formula"), ROWS, ids=IDS)
def test_its_gradient_is_that_of_the_formula(function, arguments, formula):
    rng, x, h = np.random.default_rng(2), _x(), 1e-6
    direction, weights = rng.normal(size=x.shape), rng.normal(size=formula(x).shape)
    slope = ((formula(x + h * direction) - formula(x - h * direction)) * weights).sum() / (2 * h)
    tensor = torch.tensor(x, requires_grad=True)
    (function(tensor, **arguments) * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose((tensor.grad.numpy() * direction).sum(), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["squareplus", "sparse_plus", "sparsemax", "maxout", "glu", "mish", "celu", "tanh_shrink", "log_softmax"]
)
def test_gradients_and_second_gradients_pass_the_numerical_check(name):
    x = torch.tensor(_x()[0], requires_grad=True)
    assert torch.autograd.gradcheck(activations.get(name), (x,))
    assert torch.autograd.gradgradcheck(activations.get(name), (x,))


# those that overflow in the formula itself are left out
@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"exponential", "exp"}))
def test_large_inputs_give_finite_values_and_gradients(name):
    x = torch.tensor([[-1e4, -88.0, 88.0, 1e4]], requires_grad=True)
    y = activations.get(name)(x)
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", [name for name in FORMULAS if name not in ("glu", "maxout")])
@pytest.mark.parametrize("shape", [(6,), (0, 6), (2, 3, 4, 5)])
def test_the_shape_stays(name, shape):
    assert activations.get(name)(torch.randn(shape)).shape == shape


@pytest.mark.parametrize("name", ["softmax", "sparsemax"])
def test_points_of_the_simplex_sum_to_one_along_the_axis(name):
    y = getattr(activations, name)(torch.tensor(_x()), axis=1)
    torch.testing.assert_close(y.sum(1), torch.ones(2, 6, dtype=torch.float64))
    assert (y >= 0).all()


def test_sparsemax_gives_exact_zeros_where_softmax_does_not():
    x = torch.tensor([[3.0, 0.0, -1.0]])
    assert activations.sparsemax(x).tolist() == [[1.0, 0.0, 0.0]]
    assert (activations.softmax(x) > 0).all()


def test_maxout_of_n_features_has_n_over_pieces():
    x = torch.tensor([[1.0, 4.0, 2.0, -1.0, -3.0, -2.0]])
    assert activations.maxout(x, 2).tolist() == [[4.0, 2.0, -2.0]]
    assert activations.maxout(x, 3).tolist() == [[4.0, -1.0]]


def test_maxout_refuses_features_that_the_pieces_do_not_divide():
    with pytest.raises(ValueError, match=r"axis -1 has 5 features.*pieces=2"):
        activations.maxout(torch.zeros(3, 5))


@pytest.mark.parametrize(
    ("given", "function"),
    [
        ("hard_sigmoid", activations.hard_sigmoid),
        ("HardSigmoid", activations.hard_sigmoid),
        ("LogSoftmax", activations.log_softmax),
        ("SparsePlus", activations.sparse_plus),
        ("ReLU", activations.relu),
        ("RELU", activations.relu),
        ("GELU", activations.gelu),
        ("Swish", activations.silu),
        (None, activations.linear),
        (torch.sin, torch.sin),
        (activations.relu, activations.relu),
    ],
)
def test_get_finds_names_in_any_case_and_passes_callables_through(given, function):
    assert activations.get(given) is function


def test_get_makes_an_instance_of_a_class_and_keeps_an_instance():
    instance = nn.Tanh()
    assert activations.get(instance) is instance
    assert isinstance(activations.get(nn.Tanh), nn.Tanh)


def test_get_passes_a_function_of_the_user_through():
    assert activations.get(lambda x: x + 1)(torch.tensor(1.0)) == 2


@pytest.mark.parametrize(
    ("wrong", "near"), [("rellu", "relu"), ("sofmax", "softmax"), ("SIGMOYD", "sigmoid"), ("gellu", "gelu")]
)
def test_an_unknown_name_suggests_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"Unknown activation '{wrong}'. Did you mean '{near}'. Known: .*softplus"):
        activations.get(wrong)


@pytest.mark.parametrize("wrong", [3, ["relu"], 0.5])
def test_what_is_no_activation_is_refused(wrong):
    with pytest.raises(TypeError, match="activation is a name, a class, an instance or a callable, got"):
        activations.get(wrong)
