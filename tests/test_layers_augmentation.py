"""Random changes of images: with what they draw pinned against formulas, and what is drawn against its distribution."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kerastorch import Input, Model, Sequential
from kerastorch.layers import (
    CutMix,
    Dense,
    Flatten,
    MixUp,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)

EACH = {
    "flip": lambda **options: RandomFlip(**options),
    "rotation": lambda **options: RandomRotation(0.3, **options),
    "zoom": lambda **options: RandomZoom(0.3, 0.2, **options),
    "translation": lambda **options: RandomTranslation(0.3, 0.3, "wrap", **options),
    "crop": lambda **options: RandomCrop(4, 5, **options),
    "contrast": lambda **options: RandomContrast(0.5, (0, 1), **options),
    "brightness": lambda **options: RandomBrightness(0.5, (0, 1), **options),
    "erasing": lambda **options: RandomErasing((1.0, 1.0), value_range=(0, 1), **options),
}
each = pytest.mark.parametrize("make", EACH.values(), ids=list(EACH))


def _images(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- what holds for each ---------------------------------------------------------------------------------------------


@each
def test_images_that_are_equal_come_out_different(make):
    torch.manual_seed(0)
    found = make()(_images(1, 2, 8, 9).expand(16, 2, 8, 9))
    assert any(not torch.equal(one, found[0]) for one in found[1:])


@each
def test_in_evaluation_an_image_is_what_it_was(make):
    layer = make().eval()
    x = _images(3, 2, 4, 5) if isinstance(layer, RandomCrop) else _images(3, 2, 8, 9)
    state = torch.get_rng_state()
    assert torch.equal(layer(x), x)
    assert torch.equal(torch.get_rng_state(), state)


@each
@pytest.mark.parametrize("training", [True, False])
def test_floats_keep_their_dtype_and_integers_become_floats(make, training):
    layer = make().train(training)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        assert layer(_images(3, 2, 8, 9).to(dtype)).dtype == dtype
    assert layer((255 * _images(3, 2, 8, 9)).to(torch.uint8)).dtype == torch.float32


@each
def test_a_seed_draws_the_same_and_leaves_the_random_state_alone(make):
    x = _images(6, 2, 8, 9)
    state = torch.get_rng_state()
    first, second, other = make(seed=3), make(seed=3), make(seed=4)
    found = first(x)
    assert torch.equal(found, second(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(found, other(x))
    assert not torch.equal(found, first(x))


@each
def test_a_copy_with_a_seed_goes_on_from_where_it_was_copied(make):
    x, layer = _images(6, 2, 8, 9), make(seed=3)
    layer(x)
    again = copy.deepcopy(layer)
    assert torch.equal(layer(x), again(x))


@each
def test_channels_last_is_the_same_with_the_axes_elsewhere(make):
    x = _images(6, 2, 8, 9)
    first, last = make(seed=3), make(seed=3, data_format="channels_last")
    torch.testing.assert_close(last(x.movedim(1, -1)), first(x).movedim(1, -1))


@each
def test_one_image_is_a_batch_of_one(make):
    x = _images(2, 8, 9)
    torch.testing.assert_close(make(seed=3)(x), make(seed=3)(x[None])[0])


@each
def test_gradients_flow(make):
    torch.manual_seed(0)
    x = _images(6, 2, 8, 9).requires_grad_()
    make()(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).any()


@each
def test_images_of_255_are_changed_as_those_of_1(make):
    if make in (EACH["contrast"], EACH["brightness"], EACH["erasing"]):
        pytest.skip("has a value_range, tested with each")
    x = _images(6, 2, 8, 9)
    torch.testing.assert_close(make(seed=3)(255 * x), 255 * make(seed=3)(x), rtol=1e-4, atol=1e-3)


@each
def test_a_model_trains_behind_it_and_predicts_without_it(make):
    torch.manual_seed(0)
    model = Sequential([make(), Flatten(), Dense(2)])
    model.compile("sgd", "mse")
    x = _images(8, 2, 4, 5).numpy()
    model.fit(x, np.zeros((8, 2)), epochs=1, verbose=0)
    np.testing.assert_array_equal(model.predict(x), model.predict(x))


# --- moved pixels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", [3]), ("vertical", [2]), ("horizontal_and_vertical", [3, 2])]
)
def test_a_flip_mirrors_half_of_the_images_along_each_axis(mode, axes):
    x = _images(1, 1, 4, 5).expand(2000, 1, 4, 5)
    found = RandomFlip(mode, seed=0)(x)
    outcomes = [x[0]]
    for axis in axes:
        outcomes += [one.flip(axis - 1) for one in outcomes]
    shares = [(found == one).all((1, 2, 3)).float().mean().item() for one in outcomes]
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_allclose(shares, 1 / len(outcomes), atol=0.05)


@pytest.mark.parametrize("fill_mode", ["reflect", "nearest", "constant", "wrap"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("share", "turns"), [(0.25, 1), (0.5, 2), (-0.25, 3), (1.0, 0)])
def test_a_turn_by_right_angles_is_counter_clockwise(fill_mode, interpolation, share, turns):
    x = _images(3, 2, 6, 6)
    found = RandomRotation((share, share), fill_mode, interpolation)(x)
    torch.testing.assert_close(found, torch.rot90(x, turns, (2, 3)), rtol=0, atol=1e-5)


def test_a_turn_of_an_image_that_is_no_square_is_one_in_pixels():
    x = _images(1, 1, 4, 8)
    found = RandomRotation((0.25, 0.25), "constant", fill_value=5.0)(x)
    torch.testing.assert_close(found[:, :, :, 2:6], torch.rot90(x[:, :, :, 2:6], 1, (2, 3)), rtol=0, atol=1e-5)
    assert (found[:, :, :, :2] == 5).all()


_PAD = {
    "wrap": lambda row, n: np.pad(row, n, "wrap"),
    "reflect": lambda row, n: np.pad(row, n, "symmetric"),
    "nearest": lambda row, n: np.pad(row, n, "edge"),
    "constant": lambda row, n: np.pad(row, n, constant_values=0.5),
}


@pytest.mark.parametrize("fill_mode", list(_PAD))
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("down", "right"), [(2, 3), (-3, 1), (0, -5), (6, 8)])
def test_a_shift_by_whole_pixels_shows_what_the_edge_is_extended_with(fill_mode, interpolation, down, right):
    x = _images(2, 1, 6, 8)
    layer = RandomTranslation((down / 6,) * 2, (right / 8,) * 2, fill_mode, interpolation, fill_value=0.5)
    extended = np.stack(
        [_PAD[fill_mode](image[0], 8)[8 - down : 14 - down, 8 - right : 16 - right] for image in x.numpy()]
    )
    torch.testing.assert_close(layer(x)[:, 0], torch.tensor(extended), rtol=0, atol=1e-5)


@pytest.mark.parametrize("fill_mode", list(_PAD))
def test_a_shift_by_half_a_pixel_is_the_mean_of_two(fill_mode):
    x = _images(2, 1, 1, 8)
    found = RandomTranslation((0.0, 0.0), (0.5 / 8,) * 2, fill_mode, fill_value=0.5)(x)
    wide = np.stack([_PAD[fill_mode](image[0, 0], 1) for image in x.numpy()])
    torch.testing.assert_close(found[:, 0, 0], torch.tensor((wide[:, :8] + wide[:, 1:9]) / 2), rtol=0, atol=1e-5)


def test_zooming_in_by_half_shows_the_middle():
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 1, 8, 8)
    found = RandomZoom((-0.5, -0.5))(rows)
    torch.testing.assert_close(found[0, 0, :, 3], 3.5 + (torch.arange(8.0) - 3.5) / 2, rtol=0, atol=1e-5)


def test_zooming_out_leaves_every_other_pixel_and_the_edges_to_be_filled():
    x = _images(1, 1, 9, 9)
    found = RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=7.0)(x)
    torch.testing.assert_close(found[:, :, 2:7, 2:7], x[:, :, ::2, ::2], rtol=0, atol=1e-5)
    assert (found[:, :, :2] == 7).all()


def test_height_and_width_are_zoomed_alike_or_apart():
    x = _images(1, 1, 9, 9)
    found = RandomZoom((1.0, 1.0), (0.0, 0.0), "constant")(x)
    torch.testing.assert_close(found[:, :, 2:7], x[:, :, ::2], rtol=0, atol=1e-5)
    torch.testing.assert_close(RandomZoom(0.4, seed=1)(x), RandomZoom(0.4, seed=1)(x.mT).mT, rtol=0, atol=1e-4)


def test_what_is_drawn_lies_between_the_factors():
    x = torch.arange(100.0).view(1, 1, 1, 100).expand(4000, 1, 1, 100)
    shifts = 50 - RandomTranslation(0, (-0.1, 0.3), seed=0)(x)[:, 0, 0, 50]
    assert -10.01 < shifts.min() < -9.5
    assert 29.5 < shifts.max() < 30.01
    assert abs(shifts.mean() - 10) < 0.6


def test_a_crop_is_a_window_of_the_image_and_each_place_is_as_likely():
    x = torch.arange(20.0).view(1, 1, 4, 5).expand(6000, 1, 4, 5)
    found = RandomCrop(2, 3, seed=0)(x)
    corners = found[:, 0, 0, 0]
    for corner in corners.unique():
        row, column = divmod(int(corner), 5)
        window = x[0, 0, row : row + 2, column : column + 3]
        assert (found[corners == corner, 0] == window).all()
    np.testing.assert_allclose(np.bincount(corners.long())[[0, 1, 2, 5, 6, 7, 10, 11, 12]] / 6000, 1 / 9, atol=0.02)


def test_a_crop_in_evaluation_is_the_middle_resized():
    x = _images(2, 3, 8, 12)
    expected = F.interpolate(x[:, :, :, 2:10], (4, 4), mode="bilinear", align_corners=False)
    assert torch.equal(RandomCrop(4, 4).eval()(x), expected)
    same_size = RandomCrop(8, 4).eval()(x)
    assert torch.equal(same_size, x[:, :, :, 4:8])


def test_an_image_smaller_than_the_crop_is_resized():
    x = _images(2, 3, 4, 8)
    assert torch.equal(RandomCrop(6, 6)(x), F.interpolate(x[:, :, :, 2:6], (6, 6), mode="bilinear"))


# --- changed pixels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [1, 255])
def test_brightness_adds_its_share_of_the_range_and_stays_in_it(top):
    x = top * _images(3, 2, 4, 5)
    for factor in (0.25, -0.6):
        found = RandomBrightness((factor, factor), (0, top))(x)
        torch.testing.assert_close(found, (x + factor * top).clamp(0, top))


def test_brightness_is_one_number_for_all_pixels_of_an_image():
    x = torch.full((1000, 2, 4, 5), 0.5)
    found = RandomBrightness(0.3, (0, 1), seed=0)(x)
    assert (found == found[:, :1, :1, :1]).all()
    assert 0.2 <= found.min() < 0.21
    assert 0.79 < found.max() <= 0.8


@pytest.mark.parametrize(("factor", "low", "high"), [(0.4, 0.6, 1.4), ((0.2, 0.8), 0.8, 1.8), ((0.8, 0.0), 0.2, 1.0)])
def test_contrast_stretches_about_the_mean_of_each_channel(factor, low, high):
    x = 0.45 + 0.1 * _images(1, 2, 4, 5).expand(2000, 2, 4, 5)
    found = RandomContrast(factor, (0, 1), seed=0)(x)
    mean = x.mean((2, 3), keepdim=True)
    contrast = ((found - mean) / (x - mean)).median(-1).values.median(-1).values[:, :1, None, None]
    torch.testing.assert_close(found, (x - mean) * contrast + mean, rtol=0, atol=1e-5)
    assert low - 0.001 <= contrast.min() < low + 0.01
    assert high - 0.01 < contrast.max() <= high + 0.001


def test_contrast_stays_in_the_range():
    found = RandomContrast(1.0, (0, 255), seed=0)(255 * _images(50, 1, 4, 5).round())
    assert found.min() == 0
    assert found.max() == 255


@pytest.mark.parametrize("fill_value", [0.25, (0.1, 0.2), None])
def test_what_is_erased_is_a_rectangle_of_the_area_asked_for(fill_value):
    x = torch.full((200, 2, 40, 50), 0.6)
    found = RandomErasing((1.0, 1.0), (0.25, 0.25), fill_value, (0, 1), seed=0)(x)
    erased = (found != x).any(1)
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).sub(20).abs().max() <= 1
    assert columns.sum(1).sub(25).abs().max() <= 1
    for channel in (0, 1):
        inside = found[:, channel][erased]
        if fill_value is None:
            assert 0 <= inside.min() < inside.max() <= 1
        else:
            assert (inside == (fill_value if isinstance(fill_value, float) else fill_value[channel])).all()


def test_the_factor_of_erasing_is_how_many_images_are():
    x = torch.ones(4000, 1, 4, 4)
    for factor, share in (((0.3, 0.3), 0.3), (0.5, 0.25), (0.0, 0.0)):
        found = RandomErasing(factor, (1.0, 1.0), 0.0, seed=0)(x)
        assert abs((found == 0).all((1, 2, 3)).float().mean() - share) < 0.03


# --- mixed images ----------------------------------------------------------------------------------------------------


def _batch(n=64, classes=4):
    labels = F.one_hot(torch.arange(n) % classes, classes).float()
    # an image says which it is: all its pixels are its number
    return {"images": torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 2, 6, 8), "labels": labels}


def test_mixup_mixes_images_and_labels_by_the_same_share():
    given = _batch()
    given["labels"] = given["images"][:, :, 0, 0]  # so that labels must stay equal to pixels
    found = MixUp(0.8, seed=0)(given)
    torch.testing.assert_close(found["labels"][:, :, None, None].expand_as(found["images"]), found["images"])
    assert (found["labels"] != given["labels"]).any()


def test_the_share_of_mixup_is_drawn_from_a_beta_distribution():
    n, alpha = 20000, 0.4
    given = {"images": torch.zeros(n, 1, 1, 1), "labels": torch.eye(2)[torch.arange(n) % 2]}
    labels = MixUp(alpha, seed=0)(given)["labels"]
    mixed = labels[(labels != given["labels"]).any(1) & (labels[:, 0] > 0)]
    torch.testing.assert_close(labels.sum(1), torch.ones(n))
    share = torch.cat([mixed[:, 0], mixed[:, 1]])
    assert abs(share.var() - 1 / (4 * (2 * alpha + 1))) < 0.01  # of Beta(alpha, alpha)


def test_a_tiny_alpha_leaves_one_of_two_images():
    found = MixUp(1e-6, seed=0)(_batch())["images"]
    assert torch.equal(found, found.round())
    assert torch.isfinite(found).all()


def test_cutmix_puts_a_rectangle_of_one_other_image_and_weighs_labels_by_pixels():
    given = _batch(classes=64)
    found = CutMix((1.0, 1.0), seed=0)(given)
    mixed = 0
    for number, (image, label) in enumerate(zip(found["images"], found["labels"], strict=True)):
        assert torch.equal(image[0], image[1])
        foreign = image[0] != number
        assert torch.equal(foreign, foreign.any(1)[:, None] & foreign.any(0)[None])
        others = image[0][foreign].unique()
        assert len(others) <= 1
        expected = torch.zeros(64)
        expected[number] = 1 - foreign.float().mean()
        if len(others):
            expected[int(others)] = foreign.float().mean()
            mixed += 1
        torch.testing.assert_close(label, expected)
    assert mixed > 32


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_mixing_in_evaluation_changes_nothing_and_never_what_it_was_given(make):
    given = _batch()
    before = copy.deepcopy(given)
    layer = make()
    layer(given)
    found = layer.eval()(given)
    for key in ("images", "labels"):
        assert torch.equal(given[key], before[key])
        assert torch.equal(found[key], before[key])


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_mixing_keeps_dtypes_works_channels_last_and_by_seed(make):
    given = {"images": _images(8, 3, 6, 8).bfloat16(), "labels": torch.eye(8, dtype=torch.float64)}
    last = {"images": given["images"].movedim(1, -1), "labels": given["labels"]}
    one, other = make(seed=1)(given), make(seed=1, data_format="channels_last")(last)
    assert one["images"].dtype == torch.bfloat16
    assert one["labels"].dtype == torch.float64
    assert torch.equal(one["images"], other["images"].movedim(-1, 1))


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_mixing_compiles_whole(make):
    torch._dynamo.reset()
    found = torch.compile(make(), fullgraph=True, backend="aot_eager")(_batch())
    torch.testing.assert_close(found["labels"].sum(1), torch.ones(64))


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_mixing_is_made_again_from_its_config(make):
    layer = make(0.5, seed=3)
    again = make.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert torch.equal(again(_batch())["images"], layer(_batch())["images"])


def test_mixing_goes_into_a_train_step():
    class Mixed(Model):
        def __init__(self):
            super().__init__()
            self.net = Sequential([Flatten(), Dense(4)])
            self.mix = MixUp(seed=0)

        def forward(self, x):
            return self.net(x)

        def train_step(self, batch):
            mixed = self.mix({"images": batch.x, "labels": batch.y})
            return super().train_step(batch._replace(x=mixed["images"], y=mixed["labels"]))

    model = Mixed()
    model.compile("sgd", "mse")
    given = _batch()
    x, y = given["images"].numpy() / 64, given["labels"].numpy()
    history = model.fit(x, y, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RandomFlip("diagonal"), "Unknown mode 'diagonal'"),
        (lambda: RandomFlip(data_format="first"), "Unknown data_format 'first'"),
        (lambda: RandomFlip(seed=-1), "seed must be an integer >= 0"),
        (
            lambda: RandomFlip()(torch.zeros(2, 3)),
            r"takes images \(batch, channels, height, width\).*got shape \(2, 3\)",
        ),
        (lambda: RandomFlip()(torch.zeros(1, 1, 2, 2, dtype=torch.complex64)), "takes a tensor of images"),
        (lambda: RandomRotation(1.5), "factor must be a finite number >= -1 and <= 1"),
        (lambda: RandomRotation((0.1, 0.2, 0.3)), "factor must be a number or a pair"),
        (lambda: RandomRotation(0.1, "mirror"), "Unknown fill_mode 'mirror'.*constant, nearest, reflect, wrap"),
        (lambda: RandomRotation(0.1, interpolation="bicubic"), "Unknown interpolation 'bicubic'"),
        (lambda: RandomZoom("big"), "height_factor must be a finite number"),
        (lambda: RandomCrop(0, 3), "height must be an integer >= 1"),
        (lambda: RandomContrast(-0.1), "factor must be a finite number >= 0"),
        (lambda: RandomContrast((0.1,)), "a pair of numbers"),
        (lambda: RandomBrightness(0.1, 255), "value_range must be a pair"),
        (lambda: RandomErasing(2.0), "factor must be a finite number >= 0 and <= 1"),
        (lambda: RandomErasing(fill_value=(1, 2, 3))(torch.zeros(1, 2, 4, 4)), "3 numbers, the images 2 channels"),
        (lambda: MixUp(0), "alpha must be a finite number > 0"),
        (
            lambda: MixUp()(torch.zeros(2, 1, 4, 4)),
            r"takes \{'images': x, 'labels': y\}, got a Tensor. .* in train_step",
        ),
        (
            lambda: MixUp()({"images": Input((1, 4, 4)), "labels": Input((2,))}),
            "called on a symbolic tensor. It cannot be part",
        ),
        (lambda: CutMix().eval()({"images": torch.zeros(2, 1, 4, 4)}), r"got a dict of \['images'\]"),
        (
            lambda: MixUp()({"images": torch.zeros(2, 1, 4, 4), "labels": torch.tensor([0, 1])}),
            r"labels as floats, .* got torch.int64 of shape \(2,\). .*one_hot",
        ),
        (
            lambda: MixUp()({"images": torch.zeros(2, 1, 4, 4), "labels": torch.zeros(3, 2)}),
            r"a row for each of the 2 images",
        ),
        (lambda: MixUp()({"images": torch.zeros(1, 4, 4), "labels": torch.zeros(1, 2)}), "takes a batch of images"),
    ],
)
def test_what_cannot_be_is_said(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()


def test_turns_by_small_angles_keep_the_sum_of_a_spot():
    x = torch.zeros(100, 1, 21, 21)
    x[:, :, 8:13, 8:13] = 1
    found = RandomRotation(1.0, seed=0)(x)
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.full((100,), 25.0), rtol=0.02, atol=0)
    assert math.isclose(found.mean(0)[0, 10, 10].item(), 1, abs_tol=1e-4)
