"""Layers that act in training only: their numbers there, nothing in evaluation."""

import copy
import math

import pytest
import torch

import kerastorch as kt
from kerastorch import Input, Sequential
from kerastorch.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)

SHAPES = {SpatialDropout1D: (40, 30, 50), SpatialDropout2D: (40, 50, 5, 6), SpatialDropout3D: (40, 50, 3, 4, 5)}
EACH = {
    **{kind.__name__: (lambda seed, kind=kind: kind(0.3, seed=seed), shape) for kind, shape in SHAPES.items()},
    "Dropout": (lambda seed: Dropout(0.3, seed=seed), (200, 100)),
    "AlphaDropout": (lambda seed: AlphaDropout(0.3, seed=seed), (200, 100)),
    "GaussianDropout": (lambda seed: GaussianDropout(0.3, seed), (200, 100)),
    "GaussianNoise": (lambda seed: GaussianNoise(0.3, seed), (200, 100)),
}
each = pytest.mark.parametrize(("make", "shape"), EACH.values(), ids=list(EACH))


def _x(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@each
@pytest.mark.parametrize("seed", [None, 7])
def test_evaluation_gives_the_input_itself(make, shape, seed):
    layer, x = make(seed).eval(), _x(*shape)
    assert layer(x) is x


@each
def test_a_seed_draws_its_own_numbers_and_leaves_torchs_alone(make, shape):
    x = _x(*shape)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, other, third = make(7), make(7), make(8)
    first, second = one(x), one(x)
    assert torch.equal(other(x), first)
    assert not torch.equal(second, first)
    assert not torch.equal(third(x), first)
    assert torch.equal(torch.get_rng_state(), before)


@each
def test_with_a_seed_it_compiles_whole_and_draws_what_it_draws_uncompiled(make, shape):
    torch._dynamo.reset()
    x = _x(*shape).requires_grad_()
    plain, layer = make(7), make(7)
    plain(x), layer(x)  # built
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        expected, found = plain(x), compiled(x)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in (found, expected)))


@each
def test_a_copy_with_a_seed_goes_on_by_itself(make, shape):
    x, layer = _x(*shape), make(7)
    layer(x)
    other = copy.deepcopy(layer)
    assert torch.equal(layer(x), other(x))


@each
def test_without_a_seed_torchs_generator_decides(make, shape):
    x = _x(*shape)
    outputs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outputs.append(make(None)(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@each
def test_masks_pass_through(make, shape):
    mask = torch.tensor([[True, False]])
    assert make(None).compute_mask(_x(1, 2, 3), mask) is mask


@each
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_stays_in_training(make, shape, dtype):
    x = _x(*shape).to(dtype)
    assert make(None)(x).dtype == make(7)(x).dtype == dtype


# --- whole features ------------------------------------------------------------------------------------------------

SPATIAL = [
    (SpatialDropout1D, {}, 2),
    (SpatialDropout1D, {"data_format": "channels_last"}, 2),
    (SpatialDropout1D, {"data_format": "channels_first"}, 1),
    (SpatialDropout2D, {}, 1),
    (SpatialDropout2D, {"data_format": "channels_first"}, 1),
    (SpatialDropout2D, {"data_format": "channels_last"}, 3),
    (SpatialDropout3D, {}, 1),
    (SpatialDropout3D, {"data_format": "channels_last"}, 4),
]


@pytest.mark.parametrize(("kind", "options", "axis"), SPATIAL)
@pytest.mark.parametrize("seed", [None, 7])
def test_a_feature_is_dropped_everywhere_or_nowhere(kind, options, axis, seed):
    torch.manual_seed(0)
    y = kind(0.3, seed=seed, **options)(torch.ones(SHAPES[kind]))
    features = y.movedim(axis, 1).flatten(2)
    assert (features == features[..., :1]).all()
    kept = features[..., 0]
    dropped = (kept == 0).float()
    torch.testing.assert_close(kept[kept != 0], torch.full_like(kept[kept != 0], 1 / 0.7))
    assert dropped.mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / dropped.numel()))
    # drawn for each sample and feature
    assert dropped.mean(0).std() > 0.01
    assert dropped.mean(1).std() > 0.01


@pytest.mark.parametrize("kind", SHAPES)
def test_another_number_of_axes_is_refused(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes inputs of {len(SHAPES[kind])} axes"):
        kind(0.3)(torch.ones(2, 3))


# --- alpha dropout -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 7])
def test_alpha_dropout_keeps_mean_and_variance(seed):
    torch.manual_seed(0)
    x = _x(1000, 400)
    y = AlphaDropout(0.3, seed=seed)(x)
    assert y.mean().item() == pytest.approx(0, abs=0.01)
    assert y.std().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", [None, 7])
def test_alpha_dropout_sets_to_the_lowest_value_of_selu(seed):
    torch.manual_seed(0)
    rate, lowest = 0.3, torch.nn.functional.selu(torch.tensor(-1e9)).item()
    a = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5  # Klambauer et al. 2017, section 3
    b = -a * lowest * rate
    x = _x(200, 100)
    y = AlphaDropout(rate, seed=seed)(x)
    dropped = torch.isclose(y, torch.tensor(a * lowest + b)) & ~torch.isclose(x, torch.tensor(lowest))
    assert dropped.float().mean().item() == pytest.approx(rate, abs=0.02)
    torch.testing.assert_close(y[~dropped], a * x[~dropped] + b)


def test_alpha_dropout_shares_its_noise_as_noise_shape_says():
    y = AlphaDropout(0.3, (None, 1, None), seed=7)(torch.zeros(20, 5, 10))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert len(y.unique()) == 2


def test_alpha_dropout_of_all_is_zeros_as_in_torch():
    assert torch.equal(AlphaDropout(1.0, seed=7)(_x(4, 3)).abs(), torch.zeros(4, 3))


# --- Gaussian ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 7])
def test_gaussian_dropout_multiplies_by_noise_of_mean_one(seed):
    torch.manual_seed(0)
    x = _x(400, 500).sign() * 2
    noise = GaussianDropout(0.2, seed)(x) / x
    assert noise.mean().item() == pytest.approx(1, abs=0.01)
    assert noise.std().item() == pytest.approx(0.5, abs=0.01)  # sqrt(0.2 / 0.8)


@pytest.mark.parametrize("seed", [None, 7])
def test_gaussian_noise_adds_noise_of_mean_zero(seed):
    torch.manual_seed(0)
    x = _x(400, 500)
    noise = GaussianNoise(0.3, seed)(x) - x
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.3, abs=0.01)
    assert torch.corrcoef(torch.stack([noise.flatten(), x.flatten()]))[0, 1].abs() < 0.01


# --- activity ------------------------------------------------------------------------------------------------------


def test_activity_regularization_adds_its_penalty_over_the_batch_size():
    x, y = _x(8, 4), _x(8, 4)
    model = Sequential([Input((4,)), Dense(4), ActivityRegularization(l1=0.1, l2=0.2)])
    plain = Sequential([*model.layers[:1]])
    for one in (model, plain):
        one.compile("sgd", "mse")
    found, bare = (one.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)["loss"] for one in (model, plain))
    out = plain(x)
    penalty = (0.1 * out.abs().sum() + 0.2 * out.square().sum()) / 8
    assert found - bare == pytest.approx(penalty.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SpatialDropout1D(1.5), "rate must be"),
        (lambda: SpatialDropout2D(0.5, "channels_middle"), "Unknown data_format"),
        (lambda: AlphaDropout(-0.1), "rate must be"),
        (lambda: AlphaDropout(0.1, (1, 1))(torch.ones(2, 3, 4)), "noise_shape"),
        (lambda: GaussianDropout(1.0), "rate must be a finite number >= 0 and < 1"),
        (lambda: GaussianNoise(-1.0), "stddev must be"),
        (lambda: GaussianNoise(1.0, seed=1.5), "seed must be"),
        (lambda: ActivityRegularization(l1=-1.0), "l1 must be"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_noise_compiles_with_the_training_step():
    said = []
    model = Sequential(
        [Input((4,)), GaussianNoise(0.1), Dense(4, "selu"), AlphaDropout(0.1), GaussianDropout(0.1), Dense(2)]
    )
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", jit_compile=True)
    model.trainer.register_listener(said.append)
    model.fit(_x(160, 4), torch.arange(160) % 2, verbose=0, epochs=2)
    assert any("compiled the training step in" in sentence for sentence in said)


@pytest.mark.filterwarnings("ignore:jit_compile")
def test_a_training_step_with_a_seed_stays_eager_and_draws_as_it_did():
    losses, x = [], _x(64, 4)
    for jit in (False, True):
        torch.manual_seed(0)
        model = Sequential([Input((4,)), Dense(8), Dropout(0.3, seed=7), Dense(2)])
        model.compile(kt.optimizers.SGD(0.1), "cross_entropy", jit_compile=jit)
        losses.append(model.fit(x, torch.arange(64) % 2, verbose=0, epochs=2, shuffle=False).history["loss"])
    assert losses[0] == losses[1]
