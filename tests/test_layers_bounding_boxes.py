"""Bounding boxes and masks that come with images: they follow the pixels, and Keras' values where those are exact."""

import copy
import json
import pathlib

import pytest
import torch
from support.box_cases import BOXES, FUNCTIONS, LABELS, LAYERS

import kerastorch as kt
from kerastorch import layers
from kerastorch.utils import bounding_boxes

VALUES = json.loads((pathlib.Path(__file__).parent / "support/box_values.json").read_text())


def test_each_case_has_values():
    assert set(VALUES) == {*FUNCTIONS, *LAYERS}


def _tensors(value):
    if isinstance(value, dict):
        return {name: _tensors(one) for name, one in value.items()}
    return torch.tensor(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_returns_what_that_of_keras_does(name):
    function, arguments = FUNCTIONS[name]
    found, expected = getattr(bounding_boxes, function)(**_tensors(arguments)), VALUES[name]
    if isinstance(expected, dict):
        assert found["labels"].tolist() == expected["labels"]
        found, expected = found["boxes"], expected["boxes"]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_changes_boxes_as_that_of_keras_does(name):
    layer, arguments, shape = LAYERS[name]
    made = getattr(layers, layer)(**arguments, bounding_box_format="xyxy", data_format="channels_last")
    given = {
        "images": torch.zeros(shape),
        "bounding_boxes": {"boxes": torch.tensor(BOXES), "labels": torch.tensor(LABELS)},
    }
    found = made(given)["bounding_boxes"]
    torch.testing.assert_close(found["boxes"], torch.tensor(VALUES[name]["boxes"]), rtol=1e-5, atol=1e-5)
    assert found["labels"].tolist() == VALUES[name]["labels"]


# --- boxes against the pixels that they surround ---------------------------------------------------------------------

SIZE = (24, 32)
EXACT = {  # changes by whole pixels
    "flip": lambda **o: layers.RandomFlip(seed=3, **o),
    "crop": lambda **o: layers.RandomCrop(18, 20, seed=3, **o),
    "crop_resized": lambda **o: layers.RandomCrop(48, 64, seed=3, **o),
    "turn": lambda **o: layers.RandomRotation((0.5, 0.5), "constant", seed=3, **o),
    "translation": lambda **o: layers.RandomTranslation((0.25, 0.25), (-0.25, -0.25), "constant", seed=3, **o),
    "zoom_in": lambda **o: layers.RandomZoom((-0.5, -0.5), None, "constant", seed=3, **o),
    "resizing": lambda **o: layers.Resizing(48, 96, "nearest", **o),
    "resizing_cropped": lambda **o: layers.Resizing(24, 24, "nearest", crop_to_aspect_ratio=True, **o),
    "resizing_padded": lambda **o: layers.Resizing(64, 64, "nearest", pad_to_aspect_ratio=True, **o),
    "center_crop": lambda **o: layers.CenterCrop(16, 20, **o),
    "no_perspective": lambda **o: layers.RandomPerspective((0.0, 0.0), seed=3, **o),
}
NEAR = {  # the box surrounds a shape that is no box anymore
    "zoom_out": lambda **o: layers.RandomZoom((1.0, 1.0), (0.0, 0.0), "constant", seed=3, **o),
    "rotation": lambda **o: layers.RandomRotation(0.1, "constant", seed=3, **o),
    "shear": lambda **o: layers.RandomShear(0.3, 0.2, fill_mode="constant", seed=3, **o),
    "perspective": lambda **o: layers.RandomPerspective((1.0, 1.0), 0.5, seed=3, **o),
}


def _batch(n=12):
    """Images that are 1 within a box, one for each image, and 0 elsewhere; masks with the same numbers, as integers."""
    draws = torch.Generator().manual_seed(5)
    low = torch.stack([torch.randint(6, size // 2, (n,), generator=draws) for size in reversed(SIZE)], -1)
    boxes = torch.cat([low, low + 2 * torch.randint(2, 5, (n, 2), generator=draws)], -1)
    images = torch.zeros(n, 3, *SIZE)
    for image, (left, top, right, bottom) in zip(images, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = 1
    labels = torch.arange(n)[:, None] + 10
    return {
        "images": images,
        "bounding_boxes": {"boxes": boxes[:, None].float(), "labels": labels},
        "segmentation_masks": images[:, 0].long() * 7,
        "labels": torch.eye(n),
    }


def _surrounding(mask):
    """The box of the pixels of a mask, `(height, width)`."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("name", [*EXACT, *NEAR])
def test_boxes_and_masks_follow_the_pixels(name):
    torch.manual_seed(0)
    layer = (EXACT | NEAR)[name](bounding_box_format="xyxy")
    given = _batch()
    before = copy.deepcopy(given)
    found = layer(given)
    boxes, masks = found["bounding_boxes"], found["segmentation_masks"]
    assert masks.dtype == torch.int64
    assert torch.equal(found["labels"], given["labels"])
    assert set(masks.unique().tolist()) <= {0, 7}
    n_left = 0
    for image, mask, box, label in zip(
        found["images"], masks, boxes["boxes"][:, 0], boxes["labels"][:, 0], strict=True
    ):
        if name in EXACT:
            assert torch.equal(image[0] > 0.5, mask == 7)
        if not mask.any():
            assert label == -1 or name in NEAR
            continue
        n_left += 1
        assert label >= 10
        expected = torch.tensor(_surrounding(mask == 7), dtype=torch.float32)
        torch.testing.assert_close(box, expected, rtol=0, atol=1e-3 if name in EXACT else 2.5)
        if name in NEAR:  # nothing is outside of the box, but for the rounding of the nearest pixel
            sign = torch.tensor([-1.0, -1.0, 1.0, 1.0])
            assert ((box - expected) * sign > -1.0).all()
    assert n_left > 6
    torch.testing.assert_close(given, before, rtol=0, atol=0)  # what was given is unchanged


@pytest.mark.parametrize("name", ["flip", "crop", "turn", "translation", "zoom_out", "resizing", "resizing_padded"])
@pytest.mark.parametrize("box_format", ["yxyx", "xywh", "center_yxhw", "rel_xyxy", "rel_center_xywh"])
def test_boxes_in_another_format_are_the_same_boxes(name, box_format):
    given = _batch()
    expected = (EXACT | NEAR)[name](bounding_box_format="xyxy")(given)
    convert = bounding_boxes.convert_format
    given["bounding_boxes"] = convert(given["bounding_boxes"], "xyxy", box_format, *SIZE)
    found = (EXACT | NEAR)[name](bounding_box_format=box_format)(given)
    back = convert(found["bounding_boxes"], box_format, "xyxy", *found["images"].shape[2:])
    torch.testing.assert_close(back["boxes"], expected["bounding_boxes"]["boxes"], rtol=1e-4, atol=1e-3)


def test_a_box_that_leaves_the_image_gets_the_label_minus_one():
    layer = layers.RandomTranslation((0.0, 0.0), (0.5, 0.5), "constant", bounding_box_format="xywh")
    boxes = torch.tensor([[[8.0, 1.0, 4.0, 4.0], [0.0, 2.0, 6.0, 4.0], [4.0, 0.0, 4.0, 8.0]]])
    found = layer(
        {"images": torch.zeros(1, 3, 8, 12), "bounding_boxes": {"boxes": boxes, "labels": torch.tensor([[1, 2, 3]])}}
    )
    assert found["bounding_boxes"]["labels"].tolist() == [[-1, 2, 3]]
    assert found["bounding_boxes"]["boxes"][0, 1:].tolist() == [[6.0, 2.0, 6.0, 4.0], [10.0, 0.0, 2.0, 8.0]]
    one_hot = {"boxes": boxes, "labels": torch.eye(3)[None]}
    found = layer({"images": torch.zeros(1, 3, 8, 12), "bounding_boxes": one_hot})["bounding_boxes"]["labels"]
    assert found.tolist() == [[[-1.0] * 3, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]


def test_one_image_with_its_boxes_is_a_batch_of_one():
    given = _batch(1)
    expected = EXACT["translation"](bounding_box_format="xyxy")(given)
    one = {
        "images": given["images"][0],
        "bounding_boxes": {key: value[0] for key, value in given["bounding_boxes"].items()},
        "segmentation_masks": given["segmentation_masks"][0],
        "labels": given["labels"][0],
    }
    found = EXACT["translation"](bounding_box_format="xyxy")(one)
    assert torch.equal(found["images"], expected["images"][0])
    assert torch.equal(found["bounding_boxes"]["boxes"], expected["bounding_boxes"]["boxes"][0])
    assert torch.equal(found["segmentation_masks"], expected["segmentation_masks"][0])


def test_channels_last_arrays_and_masks_with_channels_are_taken():
    given = _batch(4)
    expected = EXACT["flip"](bounding_box_format="xyxy")(given)
    arrays = {
        "images": given["images"].movedim(1, -1).numpy(),
        "bounding_boxes": {key: value.numpy() for key, value in given["bounding_boxes"].items()},
        "segmentation_masks": given["segmentation_masks"][..., None].numpy(),
    }
    found = EXACT["flip"](bounding_box_format="xyxy", data_format="channels_last")(arrays)
    assert torch.equal(found["images"].movedim(-1, 1), expected["images"])
    assert torch.equal(found["segmentation_masks"][..., 0], expected["segmentation_masks"])
    assert torch.equal(found["bounding_boxes"]["boxes"], expected["bounding_boxes"]["boxes"])


@pytest.mark.parametrize(
    "make", [layers.RandomHue, layers.RandomErasing, layers.RandomGaussianBlur, layers.AutoContrast]
)
def test_colors_change_images_only(make):
    arguments = {"factor": 0.5} if make is layers.RandomHue else {}
    given = _batch(3)
    found = make(**arguments, bounding_box_format="xyxy")(given)
    assert torch.equal(found["bounding_boxes"]["boxes"], given["bounding_boxes"]["boxes"])
    assert torch.equal(found["segmentation_masks"], given["segmentation_masks"])


def test_rand_augment_moves_boxes_and_masks_as_often_as_the_images():
    given = _batch()
    layer = layers.RandAugment((0, 1), num_ops=2, bounding_box_format="xyxy")
    step = layers.RandomTranslation((0.125, 0.125), (0.0, 0.0), "constant")
    layer.steps = torch.nn.ModuleList([step])
    found = layer(given)
    moved = given["bounding_boxes"]["boxes"] + torch.tensor([0.0, 6.0, 0.0, 6.0])
    expected = bounding_boxes.clip_to_image_size({"boxes": moved}, *SIZE)["boxes"]
    torch.testing.assert_close(found["bounding_boxes"]["boxes"], expected)
    assert torch.equal(found["segmentation_masks"][:, 6:], given["segmentation_masks"][:, :-6])
    layer.steps = torch.nn.ModuleList([step, layers.RandomGrayscale(1.0)])  # half of the changes are those of colors
    torch.manual_seed(0)
    shift = layer(given)["bounding_boxes"]["boxes"][..., 1] - given["bounding_boxes"]["boxes"][..., 1]
    assert set(shift.round().flatten().tolist()) == {0.0, 3.0, 6.0}


def test_in_evaluation_boxes_stay():
    given = _batch(3)
    for name in ("flip", "translation", "no_perspective"):
        found = EXACT[name](bounding_box_format="xywh").eval()(given)
        torch.testing.assert_close(found["bounding_boxes"]["boxes"], given["bounding_boxes"]["boxes"])
        assert torch.equal(found["images"], given["images"])


def test_mixup_has_the_boxes_of_both_images_and_cutmix_pastes_masks():
    given = _batch(6)
    given["segmentation_masks"] = given["segmentation_masks"].float()[:, None]
    found = layers.MixUp(bounding_box_format="xyxy", seed=1)(given)
    boxes, labels = found["bounding_boxes"]["boxes"], found["bounding_boxes"]["labels"]
    assert boxes.shape == (6, 2, 4)
    partners = labels[:, 1] - 10
    assert torch.equal(boxes[:, 0], given["bounding_boxes"]["boxes"][:, 0])
    assert torch.equal(boxes[:, 1], given["bounding_boxes"]["boxes"][partners, 0])
    share = found["labels"][torch.arange(6), torch.arange(6)].view(-1, 1, 1, 1)
    share = torch.where((partners == torch.arange(6)).view(-1, 1, 1, 1), 1.0, share)
    masks = given["segmentation_masks"]
    torch.testing.assert_close(found["segmentation_masks"], share * masks + (1 - share) * masks[partners])
    del given["bounding_boxes"]
    cut = layers.CutMix(seed=1)(given)
    torch.testing.assert_close(cut["segmentation_masks"][:, 0] / 7, cut["images"][:, 0])


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (
            lambda: layers.RandomFlip(),
            lambda data: None,
            r"name their format: RandomFlip\(bounding_box_format='xyxy'\)",
        ),
        (
            lambda: layers.RandomFlip(bounding_box_format="xyxy"),
            lambda data: data["bounding_boxes"].update(boxes=torch.zeros(2, 1, 5)),
            r"of shape \(3, n, 4\) for 3 images",
        ),
        (
            lambda: layers.RandomFlip(bounding_box_format="xyxy"),
            lambda data: data.update(segmentation_masks=torch.zeros(3, 4, 4)),
            "the batch, the height and the width must be the same",
        ),
        (lambda: layers.CutMix(bounding_box_format="xyxy"), lambda data: None, "CutMix takes no bounding boxes"),
    ],
)
def test_boxes_that_do_not_fit_are_an_error(make, change, message):
    data = _batch(3)
    change(data)
    with pytest.raises(ValueError, match=message):
        make()(data)


def test_what_is_no_dict_of_tensors_is_an_error():
    layer, images = layers.RandomFlip(bounding_box_format="xyxy"), torch.zeros(2, 3, 4, 4)
    for data, message in (
        ({"image": images}, r"a dict with 'images', got one with \['image'\]"),
        ({"images": images, "bounding_boxes": images}, "a dict with 'boxes' and 'labels'"),
        ({"images": images, "bounding_boxes": {"boxes": [[]], "labels": []}}, "fill up with boxes of zeros"),
        ({"images": images, "segmentation_masks": "none"}, "segmentation_masks must be a tensor"),
    ):
        with pytest.raises(TypeError, match=message):
            layer(data)
    with pytest.raises(ValueError, match="Unknown bounding_box_format 'xyxz'"):
        layers.RandomFlip(bounding_box_format="xyxz")


def test_a_pipeline_and_a_config_keep_the_format():
    pipeline = layers.Pipeline(
        [EXACT["flip"](bounding_box_format="xywh"), layers.Resizing(12, 16, bounding_box_format="xywh")]
    )
    again = layers.Pipeline.from_config(json.loads(json.dumps(pipeline.get_config())))
    given = _batch(5)
    found, other = pipeline(given), again(given)
    assert torch.equal(found["bounding_boxes"]["boxes"], other["bounding_boxes"]["boxes"])
    assert found["images"].shape == (5, 3, 12, 16)


def test_a_layer_on_a_dict_is_part_of_a_model():
    images, boxes = kt.Input((3, *SIZE)), kt.Input((1, 4))
    labels = kt.Input((1,), dtype=torch.int64)
    data = {"images": images, "bounding_boxes": {"boxes": boxes, "labels": labels}}
    model = kt.Model(
        [images, boxes, labels], layers.Resizing(12, 16, bounding_box_format="xyxy")(data)["bounding_boxes"]["boxes"]
    )
    given = _batch(4)
    found = model([given["images"], given["bounding_boxes"]["boxes"], given["bounding_boxes"]["labels"]])
    torch.testing.assert_close(found, given["bounding_boxes"]["boxes"] / 2)


def test_a_perspective_is_that_of_ops_and_an_elastic_transform_stays_near():
    x = torch.rand(4, 3, 12, 16)
    layer = layers.RandomPerspective((1.0, 1.0), 0.4, fill_value=0.3, seed=2)
    change = layer.sample_map(x).change
    expected = kt.ops.image.perspective_transform(
        x, change.start, change.end, fill_value=0.3, data_format="channels_first"
    )
    torch.testing.assert_close(change.move_images(x), expected, rtol=1e-4, atol=1e-4)
    ratio = change.end[:, 3] / change.start[:, 3]
    assert ((ratio >= 0.8) & (ratio <= 1.2)).all()
    assert (change.end[:, 0] == 0).all()
    assert torch.equal(layers.RandomElasticTransform((0.0, 0.0))(x), x)
    same = torch.full((2, 3, 12, 16), 0.7)
    for mode in ("reflect", "mirror", "nearest", "wrap"):
        torch.testing.assert_close(layers.RandomElasticTransform((1.0, 1.0), fill_mode=mode)(same), same)


@pytest.mark.parametrize("fill_mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_an_elastic_transform_takes_values_from_where_map_coordinates_does(fill_mode, interpolation):
    torch.manual_seed(0)
    x = torch.rand(2, 1, 8, 12)
    layer = layers.RandomElasticTransform((1.0, 1.0), 1.0, interpolation, fill_mode, 0.2)
    change = layer.sample_map(x).change
    change = type(change)(change.distances * 40, change.sampling)  # beyond the edges, too
    rows, columns = torch.arange(8.0)[:, None], torch.arange(12.0)
    for image, found, (across, down) in zip(x, change.move_images(x), change.distances, strict=True):
        places = [rows + down, columns + across]
        order = 1 if interpolation == "bilinear" else 0
        expected = kt.ops.image.map_coordinates(image[0], places, order, fill_mode, 0.2)
        torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-4)


def test_the_distances_of_an_elastic_transform_are_smooth_noise():
    torch.manual_seed(0)
    x = torch.zeros(1, 1, 40, 60)
    strength = 1.0
    change = layers.RandomElasticTransform((1.0, 1.0), (strength, strength)).sample_map(x.expand(400, 1, 40, 60)).change
    sigma, alpha = 0.05 * 40, 0.1 * 60
    window = torch.exp(-(torch.arange(-6.0, 7) ** 2) / (2 * sigma**2))
    window = window / window.sum()
    expected = alpha * sigma * window.square().sum()  # the norm of the weights of both axes
    inner = change.distances[:, :, 10:-10, 10:-10]
    assert abs(inner.std() / expected - 1) < 0.05
    neighbors = (inner[..., 1:] * inner[..., :-1]).mean() / inner.var()
    assert abs(neighbors - (window[1:] * window[:-1]).sum() / window.square().sum()) < 0.02
