"""Constraints: the formulas of Keras on weights laid out as torch does it."""

import json

import numpy as np
import pytest
import torch

from kerastorch import constraints, initializers, regularizers
from kerastorch.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from kerastorch.core import serialization

SHAPES = {(5, 4): (1,), (5, 4, 3): (1, 2), (5, 4, 3, 2): (1, 2, 3), (5,): (0,)}
each_shape = pytest.mark.parametrize(("shape", "axes"), SHAPES.items(), ids=str)


def _weight(*shape):
    weight = 2 * np.random.default_rng(0).normal(size=shape)
    return weight, torch.tensor(weight)


def _norm(weight, axes):
    return np.sqrt((weight**2).sum(axes, keepdims=True))


@each_shape
def test_max_norm_shortens_what_is_too_long_and_leaves_the_rest(shape, axes):
    weight, tensor = _weight(*shape)
    norm = _norm(weight, axes)
    limit = float(np.median(norm))
    expected = np.where(norm > limit, weight / norm * limit, weight)
    np.testing.assert_allclose(MaxNorm(limit)(tensor), expected, rtol=1e-6)


@each_shape
def test_unit_norm_makes_every_norm_one(shape, axes):
    weight, tensor = _weight(*shape)
    np.testing.assert_allclose(UnitNorm()(tensor), weight / _norm(weight, axes), rtol=1e-6)


@each_shape
@pytest.mark.parametrize("rate", [1.0, 0.3, 0.0])
def test_min_max_norm_pulls_norms_into_the_interval(shape, axes, rate):
    weight, tensor = _weight(*shape)
    norm = _norm(weight, axes)
    low, high = float(norm.mean() * 0.9), float(norm.mean() * 1.1)
    wanted = rate * np.clip(norm, low, high) + (1 - rate) * norm
    np.testing.assert_allclose(MinMaxNorm(low, high, rate)(tensor), weight / norm * wanted, rtol=1e-6)


def test_non_neg_cuts_at_zero():
    weight, tensor = _weight(5, 4)
    np.testing.assert_array_equal(NonNeg()(tensor), np.maximum(weight, 0))


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 1), [1, 2]])
def test_the_norm_is_taken_over_the_axes_asked_for(dim):
    weight, tensor = _weight(5, 4, 3)
    axes = tuple(dim) if isinstance(dim, (tuple, list)) else dim
    for constraint in (UnitNorm(dim=dim), MinMaxNorm(1, 1, dim=dim)):
        np.testing.assert_allclose(constraint(tensor), weight / _norm(weight, axes), rtol=1e-6)
    longest = _norm(MaxNorm(0.5, dim=dim)(tensor).numpy(), axes).max()
    assert longest == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("constraint", [MaxNorm(), UnitNorm(), MinMaxNorm(0.5, 1.0), NonNeg()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_zeros_stay_zeros_and_the_dtype_stays(constraint, dtype):
    found = constraint(torch.zeros(3, 2, dtype=dtype))
    assert found.dtype == dtype
    assert torch.equal(found, torch.zeros(3, 2, dtype=dtype))


@pytest.mark.parametrize("constraint", [MaxNorm(), UnitNorm(), MinMaxNorm(0.5, 1.0), NonNeg()])
def test_what_satisfies_it_is_left_alone(constraint):
    once = constraint(_weight(5, 4)[1])
    torch.testing.assert_close(constraint(once), once, rtol=1e-6, atol=0)


NAMES = {"max_norm": MaxNorm, "MaxNorm": MaxNorm, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm, "NonNeg": NonNeg}


@pytest.mark.parametrize("name", NAMES)
def test_names_classes_instances_and_functions_are_taken(name):
    assert type(constraints.get(name)) is NAMES[name]
    assert type(constraints.get(NAMES[name])) is NAMES[name]
    made = NAMES[name]()
    assert constraints.get(made) is made
    assert constraints.get(torch.tanh) is torch.tanh
    assert constraints.get(None) is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: constraints.get("maxnorn"), "Unknown constraint 'maxnorn'. Did you mean 'max_norm'?"),
        (lambda: MaxNorm(-1.0), "max_value must be a finite number >= 0"),
        (lambda: MinMaxNorm(2.0, 1.0), "max_value must be a finite number >= 2"),
        (lambda: MinMaxNorm(rate=1.5), "rate must be"),
        (lambda: UnitNorm(dim=0.5), "dim must be an integer"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


# --- the same for initializers and regularizers: every name of Keras, and made again from what is written ----------

KERAS = {
    initializers: (
        "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform "
        "Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros "
        "constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones "
        "orthogonal random_normal random_uniform truncated_normal variance_scaling zeros"
    ),
    constraints: "MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm",
    regularizers: "L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer",
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in KERAS.items() for name in names.split()]
)
def test_every_name_of_keras_is_there_and_is_taken_as_a_string(module, name):
    kind = getattr(module, name)
    assert isinstance(module.get(name), kind)


MADE = [
    initializers.Constant(0.5),
    initializers.Zeros(),
    initializers.Ones(),
    initializers.RandomNormal(1.0, 0.5, seed=1),
    initializers.RandomUniform(-1.0, 2.0, seed=1),
    initializers.TruncatedNormal(1.0, 0.5, seed=1),
    *(
        initializers.VarianceScaling(2.0, mode, distribution, seed=1)
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "untruncated_normal", "uniform")
    ),
    initializers.GlorotUniform(1),
    initializers.GlorotNormal(1),
    initializers.HeUniform(1),
    initializers.HeNormal(1),
    initializers.LecunUniform(1),
    initializers.LecunNormal(1),
    initializers.Orthogonal(2.0, seed=1),
    initializers.Identity(2.0),
    regularizers.L1(0.3),
    regularizers.L2(0.3),
    regularizers.L1L2(0.3, 0.2),
    regularizers.OrthogonalRegularizer(0.3, "columns"),
    NonNeg(),
    MaxNorm(0.5, dim=0),
    UnitNorm(dim=(0, 1)),
    MinMaxNorm(0.5, 0.7, 0.9, dim=[1]),
]


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_each_is_made_again_from_its_config(made):
    written = json.loads(json.dumps(serialization.encode(made)))
    again = serialization.decode(written)
    assert type(again) is type(made)
    assert serialization.encode(again) == written
    start = _weight(5, 4)[1]
    torch.testing.assert_close(again(start.clone()), made(start.clone()), rtol=0, atol=0)
    assert type(made).from_config(made.get_config()).get_config() == made.get_config()


def test_every_class_of_keras_is_among_those_made_again():
    kinds = {getattr(module, name) for module, names in KERAS.items() for name in names.split()}
    assert kinds == {type(made) for made in MADE}
