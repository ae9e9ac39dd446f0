"""Initializers: the distributions of Keras in the layout of torch, `(out, in, ...)`."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch import initializers, layers

# class -> variance from (fan_in, fan_out), and whether it is uniform
SCALED = {
    initializers.GlorotUniform: (lambda i, o: 2 / (i + o), True),
    initializers.GlorotNormal: (lambda i, o: 2 / (i + o), False),
    initializers.HeUniform: (lambda i, o: 2 / i, True),
    initializers.HeNormal: (lambda i, o: 2 / i, False),
    initializers.LecunUniform: (lambda i, o: 1 / i, True),
    initializers.LecunNormal: (lambda i, o: 1 / i, False),
}
# shape -> (fan_in, fan_out)
FANS = {(300, 200): (200, 300), (64, 32, 3, 3): (32 * 9, 64 * 9), (20000,): (20000, 20000)}

RANDOM = [
    *SCALED,
    initializers.RandomNormal,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
    initializers.Orthogonal,
]


def _truncated(stddev, mean=0.0):
    return stats.truncnorm(-2, 2, loc=mean, scale=stddev)


def _follows(values, distribution):
    # a fixed seed, so that this is a comparison and not a lottery
    return stats.kstest(values.flatten().double().numpy(), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", FANS, ids=str)
@pytest.mark.parametrize("kind", SCALED)
def test_the_variance_is_that_of_the_formula(kind, shape):
    variance = SCALED[kind][0](*FANS[shape])
    values = kind(seed=0)(torch.empty(shape))
    n = values.numel()
    assert values.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    assert abs(values.mean().item()) < 5 * math.sqrt(variance / n)


@pytest.mark.parametrize("kind", SCALED)
def test_the_distribution_is_uniform_or_a_normal_cut_off_at_two_deviations(kind):
    formula, uniform = SCALED[kind]
    variance = formula(200, 300)
    values = kind(seed=3)(torch.empty(300, 200))
    limit = math.sqrt(3 * variance)
    cut = _truncated(1).std()  # the deviation that cutting leaves of 1
    wanted = stats.uniform(-limit, 2 * limit) if uniform else _truncated(math.sqrt(variance) / cut)
    assert _follows(values, wanted)
    assert wanted.support()[0] <= values.min() < values.max() <= wanted.support()[1]


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling_is_scale_over_the_fan(mode, distribution):
    fan = {"fan_in": 200, "fan_out": 300, "fan_avg": 250}[mode]
    values = initializers.VarianceScaling(3.0, mode, distribution, seed=0)(torch.empty(300, 200))
    assert values.var().item() == pytest.approx(3 / fan, rel=0.03)
    beyond = (values.abs() > 2.3 * math.sqrt(3 / fan)).any()  # 2 / 0.88 is the cut, sqrt(3) the uniform limit
    assert bool(beyond) == (distribution == "untruncated_normal")


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (initializers.GlorotUniform(), nn.init.xavier_uniform_),
        (initializers.HeUniform(), lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu")),
        (initializers.RandomNormal(), lambda w: nn.init.normal_(w, 0, 0.05)),
        (initializers.RandomUniform(), lambda w: nn.init.uniform_(w, -0.05, 0.05)),
        (initializers.TruncatedNormal(), lambda w: nn.init.trunc_normal_(w, 0, 0.05, -0.1, 0.1)),
        (initializers.Orthogonal(2.0), lambda w: nn.init.orthogonal_(w, 2.0)),
    ],
)
def test_without_a_seed_the_values_are_those_that_torch_draws(ours, torchs):
    torch.manual_seed(5)
    mine = ours(torch.empty(30, 20))
    torch.manual_seed(5)
    torch.testing.assert_close(mine, torchs(torch.empty(30, 20)))


@pytest.mark.parametrize("kind", RANDOM)
def test_a_seed_gives_the_same_values_each_time_and_leaves_torchs_generator_alone(kind):
    before = torch.get_rng_state()
    first, again = (kind(seed=1)(torch.empty(6, 5)) for _ in range(2))
    other = kind(seed=2)(torch.empty(6, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", RANDOM)
def test_without_a_seed_two_draws_differ(kind):
    make = kind()
    assert not torch.equal(make(torch.empty(6, 5)), make(torch.empty(6, 5)))


def test_random_normal_and_uniform_take_their_parameters():
    shape = (200, 100)
    assert _follows(initializers.RandomNormal(1.0, 3.0, seed=0)(torch.empty(shape)), stats.norm(1, 3))
    assert _follows(initializers.RandomUniform(2.0, 5.0, seed=0)(torch.empty(shape)), stats.uniform(2, 3))


def test_the_truncated_normal_stays_within_two_deviations_of_its_mean():
    values = initializers.TruncatedNormal(1.0, 0.5, seed=0)(torch.empty(200, 100))
    assert 0.0 <= values.min() < 0.05
    assert 1.95 < values.max() <= 2.0
    assert _follows(values, _truncated(0.5, 1.0))


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (4, 2, 3)])
def test_orthogonal_rows_or_columns_have_the_length_of_the_gain(shape):
    matrix = initializers.Orthogonal(gain=3.0)(torch.empty(shape, dtype=torch.float64)).flatten(1)
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(gram, 9 * torch.eye(len(gram), dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_identity_is_numpys_eye_times_the_gain(shape):
    values = initializers.Identity(gain=2.5)(torch.empty(shape))
    np.testing.assert_array_equal(values.numpy(), 2.5 * np.eye(*shape))


@pytest.mark.parametrize(
    ("make", "value"),
    [(initializers.Zeros(), 0), (initializers.Ones(), 1), (initializers.Constant(3.5), 3.5)],
)
def test_constants_fill_the_whole_tensor(make, value):
    assert (make(torch.full((2, 3), 7.0)) == value).all()


@pytest.mark.parametrize("name", sorted(initializers._NAMES))
def test_a_named_initializer_fills_a_parameter_in_place_in_its_dtype(name):
    weight = nn.Parameter(torch.full((4, 4), math.nan, dtype=torch.float64))
    given = initializers.get(name)(weight)
    assert torch.isfinite(weight).all()
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.dtype == torch.float64
    assert torch.equal(given, weight)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("glorot_uniform", initializers.GlorotUniform),
        ("GlorotUniform", initializers.GlorotUniform),
        ("xavier_normal", initializers.GlorotNormal),
        ("HeNormal", initializers.HeNormal),
        ("LECUN_NORMAL", initializers.LecunNormal),
        ("normal", initializers.RandomNormal),
        ("uniform", initializers.RandomUniform),
        ("TruncatedNormal", initializers.TruncatedNormal),
        (initializers.Ones, initializers.Ones),
    ],
)
def test_get_makes_the_class_of_a_name(name, kind):
    assert type(initializers.get(name)) is kind


@pytest.mark.parametrize("given", [nn.init.orthogonal_, nn.init.zeros_, initializers.HeNormal(3), lambda w: w.fill_(2)])
def test_get_passes_functions_and_instances_through(given):
    assert initializers.get(given) is given


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown initializer 'glorot_unifrm'\. Did you mean 'glorot_uniform'."):
        initializers.get("glorot_unifrm")


def test_what_is_no_initializer_is_refused():
    with pytest.raises(TypeError, match="initializer is a name, a class, an instance or a callable, got 0"):
        initializers.get(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "fan"}, "mode must be 'fan_in', 'fan_out' or 'fan_avg', got 'fan'"),
        ({"distribution": "normal"}, "distribution must be .*'uniform', got 'normal'"),
        ({"scale": 0.0}, "scale"),
        ({"scale": -1.0}, "scale"),
        ({"scale": math.nan}, "scale"),
    ],
)
def test_variance_scaling_refuses_what_it_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        initializers.VarianceScaling(**arguments)


# --- Keras' form -----------------------------------------------------------------------------------------------


def counting(shape, dtype=None):
    return torch.arange(math.prod(shape), dtype=getattr(torch, dtype)).reshape(shape)


class Seven(initializers.Initializer):
    def __call__(self, shape, dtype=None, **kwargs):
        return np.full(shape, 7.0)


def test_an_initializer_makes_a_tensor_of_a_shape():
    made = initializers.HeNormal(seed=0)(shape=(20, 4000), dtype="float64")
    assert made.shape == (20, 4000)
    assert made.dtype is torch.float64
    assert made.std().item() == pytest.approx(math.sqrt(2 / 20), rel=0.02)  # 20 inputs in Keras' layout
    assert torch.equal(initializers.Ones()((2, 3)), torch.ones(2, 3))
    orthogonal = initializers.Orthogonal()((3, 5))
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(3))


@pytest.mark.parametrize("form", [counting, keras.initializers.Constant(np.arange(6.0).reshape(3, 2))])
def test_numbers_in_keras_form_are_in_keras_layout(form):
    layer = keras.layers.Dense(2, kernel_initializer=form)
    layer.build((None, 3))
    assert layer.get_weights()[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert layer(np.array([[1.0, 0.0, 0.0]])).tolist() == [[0.0, 1.0]]
    table = keras.layers.Embedding(3, 2, embeddings_initializer=form)
    assert table(np.array([2])).tolist() == [[4.0, 5.0]]


def test_arrays_of_square_weights_have_the_layout_of_the_door():
    square = initializers.Constant(np.array([[1.0, 2.0], [3.0, 4.0]]))
    ours, theirs = layers.Dense(2, kernel_initializer=square), keras.layers.Dense(2, kernel_initializer=square)
    x = torch.tensor([[1.0, 0.0]])
    assert (ours(x).tolist(), theirs(x).tolist()) == ([[1.0, 3.0]], [[1.0, 2.0]])


def test_an_initializer_of_ones_own_in_keras_form():
    layer = keras.layers.Conv2D(2, 2, kernel_initializer=Seven(), bias_initializer=Seven())
    layer.build((None, 4, 4, 3))
    assert all((one == 7).all() for one in layer.get_weights())
    made = keras.Variable(Seven(), shape=(2,))
    assert made.tolist() == [7.0, 7.0]


def test_a_layer_of_ones_own_counts_inputs_as_keras():
    class Own(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 4000), initializer="he_normal")

        def call(self, x):
            return x @ self.w

    layer = Own()
    layer(np.ones((1, 20)))
    assert layer.w.std().item() == pytest.approx(math.sqrt(2 / 20), rel=0.02)
    assert Own().adds_keras_weights
    assert not keras.layers.Dense(1).adds_keras_weights


def test_arrays_are_in_files(tmp_path):
    rows = np.arange(6.0).reshape(3, 2)
    model = kt.Sequential([kt.Input((1,)), layers.Embedding(3, 2, embeddings_initializer=initializers.Constant(rows))])
    model.save(tmp_path / "m.kt")
    assert kt.load_model(tmp_path / "m.kt").get_weights()[0].tolist() == rows.tolist()
