"""Random changes of colors and of RGB images: what holds for each. `test_keras_layers.py` compares their values."""

import copy
import json

import pytest
import torch
from torch.nn import functional as F

from kerastorch import Input, Model, Sequential, load_model
from kerastorch.layers import (
    AugMix,
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
    RandAugment,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
    RandomSharpness,
    RandomShear,
    Solarization,
)

UNIT = {"value_range": (0, 1)}
RANDOM = {
    "hue": lambda **o: RandomHue(0.5, **UNIT, **o),
    "saturation": lambda **o: RandomSaturation(0.7, **UNIT, **o),
    "degeneration": lambda **o: RandomColorDegeneration(0.8, **UNIT, **o),
    "grayscale": lambda **o: RandomGrayscale(0.5, **o),
    "jitter": lambda **o: RandomColorJitter((0, 1), 0.2, 0.2, (0.3, 0.6), 0.1, **o),
    "posterization": lambda **o: RandomPosterization((1, 5), **UNIT, **o),
    "sharpness": lambda **o: RandomSharpness(1.0, **UNIT, **o),
    "invert": lambda **o: RandomInvert((0.5, 0.5), **UNIT, **o),
    "solarization": lambda **o: Solarization(0.5, 0.5, **UNIT, **o),
    "blur": lambda **o: RandomGaussianBlur(1.0, **UNIT, **o),
    "shear": lambda **o: RandomShear(0.4, (0.1, 0.5), **o),
    "rand_augment": lambda **o: RandAugment((0, 1), **o),
    "aug_mix": lambda **o: AugMix((0, 1), **o),
}
FIXED = {
    "auto_contrast": lambda **o: AutoContrast((0, 1), **o),
    "equalization": lambda **o: Equalization((0, 1), **o),
    "clahe": lambda **o: ContrastLimitedAdaptiveHistogramEqualization((0, 1), 4.0, (2, 3), **o),
}
random = pytest.mark.parametrize("make", RANDOM.values(), ids=list(RANDOM))
each = pytest.mark.parametrize("make", (RANDOM | FIXED).values(), ids=list(RANDOM | FIXED))
seeded = {make: {"seed": 3} for make in RANDOM.values()}


def _images(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@random
def test_images_that_are_equal_come_out_different_and_in_the_range(make):
    torch.manual_seed(0)
    found = make()(_images(1, 3, 8, 9).expand(24, 3, 8, 9))
    assert any(not torch.allclose(one, found[0]) for one in found[1:])
    assert found.min() >= -1e-5
    assert found.max() <= 1 + 1e-5


@random
def test_in_evaluation_an_image_is_what_it_was(make):
    x, state = _images(3, 3, 8, 9), torch.get_rng_state()
    assert torch.equal(make().eval()(x), x)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["auto_contrast", "clahe"])
def test_preparations_are_the_same_in_evaluation(name):
    layer, x = FIXED[name](), _images(3, 3, 8, 9)
    assert torch.equal(layer(x), layer.eval()(x))


@each
@pytest.mark.parametrize("training", [True, False])
def test_floats_keep_their_dtype_and_integers_become_floats(make, training):
    layer = make().train(training)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        assert layer(_images(3, 3, 8, 9).to(dtype)).dtype == dtype
    assert layer((255 * _images(3, 3, 8, 9)).to(torch.uint8)).dtype == torch.float32


@random
def test_a_seed_draws_the_same_and_leaves_the_random_state_alone(make):
    x, state = _images(9, 3, 8, 9), torch.get_rng_state()
    first, second = make(seed=3), make(seed=3)
    found = first(x)
    assert torch.equal(found, second(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(found, first(x))
    assert torch.equal(copy.deepcopy(first)(x), first(x))


@each
def test_channels_last_is_the_same_with_the_axes_elsewhere_and_one_image_a_batch_of_one(make):
    x, options = _images(6, 3, 8, 9), seeded.get(make, {})
    expected = make(**options)(x)
    last = make(data_format="channels_last", **options)
    torch.testing.assert_close(last(x.movedim(1, -1)), expected.movedim(1, -1))
    torch.testing.assert_close(make(**options)(x[0]), make(**options)(x[:1])[0])


@each
def test_it_is_made_again_from_its_config(make):
    layer = make(name="change", **seeded.get(make, {}))
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    x = _images(6, 3, 8, 9)
    assert torch.equal(again(x), layer(x))


@pytest.mark.parametrize("name", sorted(RANDOM.keys() - {"posterization", "rand_augment", "aug_mix"}))
def test_gradients_flow(name):
    torch.manual_seed(0)
    x = _images(6, 3, 8, 9).requires_grad_()
    RANDOM[name]()(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).any()


@pytest.mark.parametrize(
    "layer",
    [
        RandomHue(0.0, (0, 1)), RandomSaturation((0.5, 0.5), (0, 1)), RandomColorDegeneration((0.0, 0.0)),
        RandomGrayscale(0.0), RandomColorJitter((0, 1)), RandomSharpness((0.5, 0.5), (0, 1)),
        RandomInvert((0.0, 0.0)), Solarization(0.0, (1.0, 1.0), (0, 1)), RandomGaussianBlur((0.0, 0.0)),
        RandomShear(0.0, 0.0), RandomGaussianBlur(1.0, 3, 0.0, (0, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_a_factor_that_changes_nothing_leaves_images_as_they_are(layer):
    x = _images(6, 3, 8, 9) * 0.999
    torch.testing.assert_close(layer(x), x, rtol=0, atol=1e-5)


def test_probabilities_are_the_given_ones():
    torch.manual_seed(0)
    x = _images(1, 3, 2, 2).expand(4000, 3, 2, 2)
    for layer, expected in ((RandomGrayscale(0.3), 0.3), (RandomInvert((0.7, 0.7)), 0.7), (RandomInvert(1.0), 0.5)):
        changed = (layer(x) != x).flatten(1).any(1).float().mean()
        assert abs(changed - expected) < 0.03


def test_the_hue_turns_by_at_most_half_the_factor_in_both_directions():
    torch.manual_seed(0)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(4000, 3, 1, 1)
    y = RandomHue(0.2, (0, 1))(red)[:, :, 0, 0]
    turn = (y[:, 1] - y[:, 2]) / 6  # near red, green grows in one direction and blue in the other
    assert abs(turn.mean()) < 0.003
    assert 0.095 < turn.abs().max() < 0.1001
    assert 0.045 < turn.abs().mean() < 0.055


def test_all_numbers_of_bits_of_a_pair_occur():
    torch.manual_seed(0)
    ramp = torch.arange(256.0).view(1, 1, 16, 16).expand(300, 1, 16, 16)
    found = {one.unique().numel() for one in RandomPosterization((2, 4))(ramp)}
    assert found == {4, 8, 16}
    assert torch.equal(RandomPosterization(8)(ramp[:1]), ramp[:1])


def test_inversion_and_solarization_stay_in_a_range_that_does_not_begin_at_zero():
    x = 2 * _images(4, 3, 4, 4) - 1
    torch.testing.assert_close(RandomInvert((1.0, 1.0), (-1, 1))(x), -x)
    y = Solarization((0.25, 0.25), (0.5, 0.5), (-1, 1))(x)
    added = (x + 0.5).clamp(-1, 1)
    torch.testing.assert_close(y, torch.where(added < 0, added, -added))


def test_a_shear_moves_rows_by_whole_pixels():
    x = torch.zeros(1, 1, 4, 6)
    x[..., 3] = 1
    layer = RandomShear((1.0, 1.0), 0.0, "nearest", "constant", seed=0)
    y = layer(x)[0, 0]
    step = 1 if y[1, 4] else -1
    for row in range(4):
        expected = torch.zeros(6)
        if 0 <= 3 + step * row < 6:
            expected[3 + step * row] = 1
        assert torch.equal(y[row], expected)


def test_a_blur_is_that_of_torch_with_a_window_for_each_image():
    torch.manual_seed(0)
    layer, x = RandomGaussianBlur((1.0, 1.0), 3, (0.7, 0.7), (0, 1)), _images(2, 3, 8, 9)
    window = torch.exp(-torch.tensor([1.0, 0, 1]) / 2 / 0.7**2)
    window = window / window.sum()
    kernel = (window[:, None] * window).expand(3, 1, 3, 3)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, padding=1, groups=3))
    y = RandomGaussianBlur((1.0, 1.0), 3, 1.0, (0, 1))(x[:1].expand(4, 3, 8, 9))
    assert not torch.allclose(y[0], y[1])


def test_each_image_is_equalized_by_itself():
    x = _images(4, 3, 8, 9)
    for make in FIXED.values():
        torch.testing.assert_close(make()(x), torch.stack([make()(one) for one in x]))
    flat = torch.full((1, 3, 4, 4), 0.3)
    torch.testing.assert_close(AutoContrast((0, 1))(flat), flat)
    torch.testing.assert_close(Equalization((0, 1))(flat), flat)


def test_rand_augment_draws_every_change_and_aug_mix_stays_near_the_image():
    torch.manual_seed(0)
    layer = RandAugment((0, 1), num_ops=1, factor=(0.9, 0.9))
    x = _images(1, 3, 8, 9)
    found = layer(x.expand(400, 3, 8, 9))
    for step in list(layer.steps)[-2:]:
        assert any(torch.allclose(one, step.augment(x)[0], atol=1e-6) for one in found)
    distance = (found - x).flatten(1).norm(dim=1)
    mixed = (AugMix((0, 1), factor=(0.9, 0.9))(x.expand(400, 3, 8, 9)) - x).flatten(1).norm(dim=1)
    assert mixed.mean() < distance.mean()
    assert len(layer.steps) == 11
    assert len(AugMix(all_ops=False).steps) == 7


def test_a_model_with_them_is_saved_and_loaded(tmp_path):
    inputs = Input((3, 8, 9))
    model = Model(inputs, Sequential([make() for make in RANDOM.values()])(AutoContrast((0, 1))(inputs)))
    model.save(tmp_path / "colors.kt")
    x = _images(4, 3, 8, 9)
    torch.testing.assert_close(load_model(tmp_path / "colors.kt").eval()(x), model.eval()(x))


@pytest.mark.parametrize("name", ["hue", "saturation", "degeneration", "grayscale", "rand_augment", "aug_mix"])
def test_images_without_three_colors_are_an_error(name):
    with pytest.raises(ValueError, match="3 channels, red, green and blue; got 1"):
        RANDOM[name]()(_images(2, 1, 8, 9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomHue(1.5), "factor"),
        (lambda: RandomPosterization(9), "factor"),
        (lambda: RandomPosterization((0, 3)), "factor"),
        (lambda: RandomPosterization((1, 2, 3)), "factor"),
        (lambda: RandomGaussianBlur(kernel_size=4), "odd"),
        (lambda: RandomGrayscale(-0.1), "factor"),
        (lambda: RandomShear((-1.5, 0.5)), "x_factor"),
        (lambda: Equalization(bins=1), "bins"),
        (lambda: RandAugment(interpolation="cubic"), "interpolation"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
